// Which records were rejected, one by one, and sending them again.
import { useState } from "preact/hooks";
import { boardPath, get, mayAdminister, post, type DeadLetter, type DeadLetters, type Excerpt, type Reason, type Redriven } from "./api";
import { useDraft, useSending } from "./forms";
import { link, usePolled } from "./hooks";
import { Card, Instant, Problem } from "./parts";
import { texts } from "./texts";

const EVERY_MS = 5_000;
const SEARCH_EVERY_MS = 30_000; // a search may read a thousand letters of each reason
const SHORT = 400;
const LOCAL = ["localhost", "127.0.0.1", "[::1]"];
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
      {isEmpty && next === null && (asked || cursor ? <p>{texts.lettersNone}</p> : <Nothing />)}
      {value && (
        <ul class="letters" aria-label={texts.letters}>
          {value.deadLetters.map((one) => <Letter key={`${one.topic} ${one.partition} ${one.offset}`} of={one} />)}
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

/** All is well; on this machine, how to see what a bad event comes to. */
function Nothing() {
  const [isCopied, setCopied] = useState(false);
  const copy = () => void navigator.clipboard.writeText(texts.badEvent).then(() => setCopied(true), () => setCopied(false));
  if (!LOCAL.includes(location.hostname)) return <p>{texts.noLetters}</p>;
  return (
    <>
      <p>{texts.noLetters} {texts.badEventHint}</p>
      <pre class="bad-event" tabIndex={0}>{texts.badEvent}</pre>
      {isSecureContext && <p><button onClick={copy}>{isCopied ? texts.copied : texts.copy}</button></p>}
    </>
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
  const chosen = shown.filter((one) => isChosen(one, draft)).length;
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
            <li>{texts.willRedrive(draft.leaderboardId, draft.rejectedAs)} {texts.chosenHere(chosen)}</li>
            {UNREAD.includes(draft.rejectedAs as Reason) && <li>{texts.willRedriveUnread}</li>}
            <li>{texts.willRedriveOnce}</li>
            <li>{texts.willRedriveNot}</li>
          </ul>
        )}
        <p class="quiet">{texts.administrationHint}</p>
        <button disabled={isSending}>{isSending ? texts.sending : texts.redriveSend}</button>
        <Problem error={problem} />
        <p class="good" role="status" hidden={done === null}>{done}</p>
      </form>
    </Card>
  );
}
