// Which records were rejected, one by one, and sending them again.
import { useState } from "preact/hooks";
import { boardPath, get, mayAdminister, post, type DeadLetter, type DeadLetters, type Excerpt, type Reason, type Redriven } from "./api";
import { useDraft, useSending } from "./forms";
import { link, usePolled, useSettled } from "./hooks";
import { Card, Instant, Problem } from "./parts";
import { broker } from "./signin";
import { texts } from "./texts";

const EVERY_MS = 5_000;
const SEARCH_EVERY_MS = 30_000; // a search may read a thousand letters of each reason
const SHORT = 400;
const COUNTED_PAGES = 5;
const COUNT_EVERY_MS = 30_000;
const SETTLED_MS = 500; // of an id that is being typed
const REASONS = Object.keys(texts.rejectedAs) as Reason[];
/** Of these, a redrive also takes letters that name no leaderboard. */
const UNREAD: readonly Reason[] = ["malformed", "invalid"];

interface Search {
  reason: string;
  leaderboardId: string;
  eventId: string;
}

/** Dead letters, for who may see them; others get a sentence. */
export function LettersPage({ query }: { query: URLSearchParams }) {
  const of = (name: string) => query.get(name) ?? "";
  const search: Search = { reason: of("reason"), leaderboardId: of("leaderboardId"), eventId: of("eventId") };
  return (
    <>
      <h1>{texts.letters}</h1>
      {mayAdminister() ? <Letters search={search} /> : <p>{texts.lettersNot}</p>}
    </>
  );
}

function Letters({ search }: { search: Search }) {
  const asked = new URLSearchParams(Object.entries(search).filter(([, value]) => value)).toString();
  const [page, setPage] = useState<{ asked: string; cursor: string | null }>({ asked, cursor: null });
  const cursor = page.asked === asked ? page.cursor : null;
  const path = `/dead-letters?${new URLSearchParams({ ...Object.fromEntries(new URLSearchParams(asked)), ...(cursor ? { cursor } : {}) })}`;
  const everyMs = search.leaderboardId || search.eventId ? SEARCH_EVERY_MS : EVERY_MS;
  const { value, error } = usePolled((signal) => get<DeadLetters>(path, signal), everyMs, [path]);
  const next = value?.nextCursor ?? null;
  const isEmpty = value?.deadLetters.length === 0;
  return (
    <>
      <SearchForm key={asked} search={search} />
      <Problem error={error} />
      {value === null && error === null && <p>{texts.loading}</p>}
      {isEmpty && next !== null && <p>{texts.lettersFurther}</p>}
      {isEmpty && next === null && <p>{asked || cursor ? texts.lettersNone : texts.noLetters}</p>}
      {value && broker() !== null && <BadEvent broker={broker()!} isOpen={isEmpty && !asked} />}
      {value && (
        <ul class="letters" aria-label={texts.letters}>
          {value.deadLetters.map((one) => <Letter key={keyOf(one)} of={one} />)}
        </ul>
      )}
      {value && value.onlyInQueue > 0 && <p class="quiet">{texts.onlyInQueue(value.onlyInQueue)}</p>}
      <p class="bar">
        {next !== null && <button onClick={() => setPage({ asked, cursor: next })}>{texts.more}</button>}
        {cursor !== null && <button onClick={() => setPage({ asked, cursor: null })}>{texts.backToStart}</button>}
      </p>
      <Redrive key={`redrive ${asked}`} search={search} shown={value?.deadLetters ?? []} />
    </>
  );
}

const keyOf = ({ topic, partition, offset }: DeadLetter): string => `${topic} ${partition} ${offset}`;

function ReasonChoice({ value, onChange, disabled = false }: { value: string; onChange: (value: string) => void; disabled?: boolean }) {
  return (
    <select value={value} disabled={disabled} onChange={(event) => onChange(event.currentTarget.value)}>
      <option value="">{texts.anyReason}</option>
      {REASONS.map((one) => <option key={one} value={one}>{one}</option>)}
    </select>
  );
}

function SearchForm({ search }: { search: Search }) {
  const [typed, setTyped] = useState(search);
  const go = (event: Event) => {
    event.preventDefault();
    location.hash = link(["pipeline", "dead-letters"], { ...typed });
  };
  const text = (name: "leaderboardId" | "eventId", label: string) => (
    <label>{label} <input value={typed[name]} onInput={(event) => setTyped({ ...typed, [name]: event.currentTarget.value })} /></label>
  );
  return (
    <form class="bar" role="search" onSubmit={go}>
      <label>{texts.rejectedBecause} <ReasonChoice value={typed.reason} onChange={(reason) => setTyped({ ...typed, reason })} /></label>
      {text("leaderboardId", texts.leaderboardId)}
      {text("eventId", texts.eventId)}
      <button>{texts.search}</button>
    </form>
  );
}

/** On the machine of the whole system, how to see what a bad event comes to. */
function BadEvent({ broker, isOpen }: { broker: string; isOpen: boolean }) {
  const [isCopied, setCopied] = useState(false);
  const command = texts.badEvent(broker);
  const copy = () => void navigator.clipboard.writeText(command).then(() => setCopied(true), () => setCopied(false));
  return (
    <details open={isOpen}>
      <summary>{texts.badEventHint}</summary>
      <p>{texts.badEventHow}</p>
      <pre class="bad-event" tabIndex={0}>{command}</pre>
      {isSecureContext && <p><button onClick={copy}>{isCopied ? texts.copied : texts.copy}</button></p>}
    </details>
  );
}

function Letter({ of }: { of: DeadLetter }) {
  const facts: [string, string | null][] = [[texts.leaderboardId, of.leaderboardId], [texts.eventId, of.eventId]];
  return (
    <li class="card">
      <h2><span class="tag">{of.reason}</span> {texts.rejectedAs[of.reason]}</h2>
      <p class="who">{of.detail}</p>
      <p class="quiet who">
        {`${of.topic} ${of.partition}:${of.offset}`}
        {of.appendedAt !== null && <> · {texts.appended} <Instant at={of.appendedAt} /></>}
        {" · "}{texts.rejectedAt} <Instant at={of.rejectedAt} />
        {facts.map(([name, value]) => value !== null && <span key={name}> · {name} <bdi>{value}</bdi></span>)}
      </p>
      <Content name={texts.key} of={of.key} />
      <Content name={texts.value} of={of.value} />
    </li>
  );
}

/** A key or a value as it came: as text, whatever it holds. */
function Content({ name, of }: { name: string; of: Excerpt | null }) {
  if (of === null) return <p class="quiet">{name}: {texts.none}</p>;
  return (
    <details open={of.text.length <= SHORT}>
      <summary>{name}: <span class="quiet">{texts.excerpt(of.bytes, of.truncated, of.encoding === "base64")}</span></summary>
      <pre dir="ltr">{of.text}</pre>
    </details>
  );
}

interface Draft {
  leaderboardId: string;
  rejectedAs: string;
  reason: string;
}

/** Whether a redrive would choose a letter, as far as what is shown of it says. */
function isChosen(letter: DeadLetter, { leaderboardId, rejectedAs }: Draft): boolean {
  if (rejectedAs && letter.reason !== rejectedAs) return false;
  if (letter.leaderboardId !== null) return letter.leaderboardId === leaderboardId;
  if (!UNREAD.includes(rejectedAs as Reason)) return false;
  const [named, user] = letter.key?.encoding === "utf-8" ? letter.key.text.split(":", 2) : [];
  return user === undefined || named === leaderboardId;
}

/** How many of the register a redrive would take, of those on the page and of all; `isMore` where there are too many to count. */
async function countOf(draft: Draft, signal: AbortSignal): Promise<{ keys: string[]; isMore: boolean }> {
  const { leaderboardId, rejectedAs } = draft;
  const query: Record<string, string> = { limit: "100" };
  if (rejectedAs) query["reason"] = rejectedAs;
  if (!UNREAD.includes(rejectedAs as Reason)) query["leaderboardId"] = leaderboardId;
  const keys: string[] = [];
  for (let pages = 0; pages < COUNTED_PAGES; pages++) {
    const found: DeadLetters = await get<DeadLetters>(`/dead-letters?${new URLSearchParams(query)}`, signal);
    keys.push(...found.deadLetters.filter((one) => isChosen(one, draft)).map(keyOf));
    if (found.nextCursor === null) return { keys, isMore: false };
    query["cursor"] = found.nextCursor;
  }
  return { keys, isMore: true };
}

/** What a redrive would take, also beyond the page. */
function Counted({ draft, shown }: { draft: Draft; shown: DeadLetter[] }) {
  const { value, error } = usePolled((signal) => countOf(draft, signal), COUNT_EVERY_MS, [draft.leaderboardId, draft.rejectedAs]);
  if (error !== null) return <li><Problem error={error} /></li>;
  if (value === null) return <li class="quiet">{texts.redriveCounting}</li>;
  const here = new Set(shown.map(keyOf));
  return <li>{texts.redriveCount(value.keys.length, value.keys.filter((one) => here.has(one)).length, value.isMore)}</li>;
}

async function redrive({ leaderboardId, rejectedAs, reason }: Draft): Promise<string> {
  const body = { reason, ...(rejectedAs ? { rejectedAs } : {}) };
  const done = await post<Redriven>(boardPath(leaderboardId, "redrive"), body);
  return texts.redriven(done.auditEntry.number, done);
}

/** Sends dead letters of a leaderboard to Kafka again; says before what that will do. */
function Redrive({ search, shown }: { search: Search; shown: DeadLetter[] }) {
  const empty: Draft = { leaderboardId: search.leaderboardId, rejectedAs: search.reason, reason: "" };
  const [draft, setDraft] = useDraft(`redrive ${JSON.stringify(search)}`, empty);
  const { isSending, problem, done, send } = useSending();
  const submit = () => send(async () => {
    const found = await redrive(draft);
    setDraft({ ...draft, reason: "" });
    return found;
  });
  const text = (name: "leaderboardId" | "reason", label: string) => (
    <label>
      {label}
      <input required disabled={isSending} value={draft[name]} onInput={(event) => setDraft({ ...draft, [name]: event.currentTarget.value })} />
    </label>
  );
  const settled = useSettled(draft.leaderboardId, SETTLED_MS);
  return (
    <Card title={texts.redrive}>
      <form class="administration redrive" onSubmit={(event) => (event.preventDefault(), void submit())}>
        <div class="pair">
          {text("leaderboardId", texts.leaderboardId)}
          <label>{texts.rejectedBecause}<ReasonChoice value={draft.rejectedAs} disabled={isSending} onChange={(rejectedAs) => setDraft({ ...draft, rejectedAs })} /></label>
        </div>
        {text("reason", texts.reason)}
        {draft.leaderboardId && (
          <ul>
            <li>{texts.willRedrive(draft.leaderboardId, draft.rejectedAs)}</li>
            {settled && <Counted draft={{ ...draft, leaderboardId: settled }} shown={shown} />}
            {search.eventId && <li>{texts.redriveWhole}</li>}
            {UNREAD.includes(draft.rejectedAs as Reason) && <li>{texts.willRedriveUnread}</li>}
            <li>{texts.willRedriveOnce}</li>
            <li>{texts.willRedriveNot}</li>
          </ul>
        )}
        <p class="quiet">{texts.administrationHint}</p>
        <button disabled={isSending}>{isSending ? texts.sending : texts.redriveSend}</button>
        <Problem error={problem} isHere />
        <p class="good" role="status" hidden={done === null}>{done}</p>
      </form>
    </Card>
  );
}
