// What an administrator may do about a player. Each says what it will change before it is sent.
import { boardPath, mayAdminister, post } from "./api";
import { useDraft, useSending } from "./forms";
import { Card, Problem } from "./parts";
import { texts } from "./texts";

type Kind = "disqualify" | "reinstate" | "void" | "correct";

interface Draft {
  kind: Kind;
  reason: string;
  from: string;
  to: string;
  eventId: string;
  points: string;
  occurredAt: string;
}

interface Entry {
  number: number;
  known?: boolean;
}

const EMPTY: Draft = { kind: "disqualify", reason: "", from: "", to: "", eventId: "", points: "", occurredAt: "" };

/** What it will change, as a sentence. */
function consequence(user: string, draft: Draft): string {
  const points = Number(draft.points);
  switch (draft.kind) {
    case "disqualify": return texts.willDisqualify(user, draft.from, draft.to);
    case "reinstate": return texts.willReinstate(user, draft.from, draft.to);
    case "void": return texts.willVoid(draft.eventId || "…");
    case "correct": return texts.willCorrect(points);
  }
}

async function act(board: string, user: string, draft: Draft): Promise<Entry> {
  const { kind, reason, from, to, eventId, points, occurredAt } = draft;
  if (to && !from) throw new Error(texts.fromMissing);
  if (kind === "correct" && !Number.isSafeInteger(Number(points))) throw new Error(texts.pointsInexact);
  const days = from ? { from, to: to || from } : {};
  const at = (...parts: string[]) => boardPath(board, "players", user, ...parts);
  switch (kind) {
    case "disqualify": return post(at("disqualify"), { reason, ...days });
    case "reinstate": return post(at("reinstate"), { reason, ...days });
    case "void": return post(at("events", eventId, "void"), { reason });
    case "correct": return post(at("corrections"), { reason, eventId, points: Number(points), occurredAt });
  }
}

interface Of {
  board: string;
  user: string;
  /** Called once something was done. */
  onDone: () => void;
}

/** The form, for who may; others get a sentence. */
export function Administration(of: Of) {
  if (mayAdminister()) return <Form {...of} />;
  return <Card title={texts.administration}><p>{texts.administrationNot}</p></Card>;
}

/** The form; what was typed stays until the API has taken it. */
function Form({ board, user, onDone }: Of) {
  const [draft, setDraft] = useDraft(`${board}/${encodeURIComponent(user)}`, EMPTY);
  const { isSending, problem, done, send } = useSending();

  const field = (name: keyof Draft, label: string, type: "text" | "date" | "number" = "text", required = true) => (
    <label>
      {label}
      <input
        type={type as "text"} required={required} disabled={isSending} value={draft[name]}
        onInput={(event) => setDraft({ ...draft, [name]: event.currentTarget.value })}
      />
    </label>
  );
  const submit = () => send(async () => {
    const entry = await act(board, user, draft);
    setDraft({ ...EMPTY, kind: draft.kind });
    onDone();
    return texts.done(entry.number) + (entry.known === false ? ` ${texts.unknownPlayer}` : "");
  });
  return (
    <Card title={texts.administration}>
      <form class="administration" onSubmit={(event) => (event.preventDefault(), void submit())}>
        <fieldset>
          <legend class="hidden">{texts.administration}</legend>
          {(["disqualify", "reinstate", "void", "correct"] as const).map((kind) => (
            <label key={kind}>
              <input type="radio" name="kind" checked={draft.kind === kind} onChange={() => setDraft({ ...draft, kind })} /> {texts[kind]}
            </label>
          ))}
        </fieldset>
        {(draft.kind === "disqualify" || draft.kind === "reinstate") && (
          <div class="pair">{field("from", texts.fromDay, "date", false)}{field("to", texts.toDay, "date", false)}</div>
        )}
        {(draft.kind === "void" || draft.kind === "correct") && field("eventId", texts.eventId)}
        {draft.kind === "correct" && (
          <div class="pair">{field("points", texts.points, "number")}{field("occurredAt", texts.occurredAt)}</div>
        )}
        {field("reason", texts.reason)}
        <p>{consequence(user, draft)}</p>
        <p class="quiet">{texts.administrationHint}</p>
        <button disabled={isSending}>{texts[draft.kind]}</button>
        <Problem error={problem} isHere />
        <p class="good" role="status" hidden={done === null}>{done}</p>
      </form>
    </Card>
  );
}
