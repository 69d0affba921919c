// Which window of a leaderboard is shown: its choice, and how the API and addresses name it.
import { boardPath, get, type Period } from "./api";
import { link, usePolled } from "./hooks";
import { texts } from "./texts";

/** A window as the query of an address names it. */
export interface Choice {
  kind: string;
  date: string | null;
  period: string | null;
}

const KINDS = ["daily", "weekly", "all-time"];

export function choiceOf(query: URLSearchParams): Choice {
  const period = query.get("period");
  if (period !== null) return { kind: "custom", date: null, period };
  const kind = query.get("window") ?? "daily";
  return { kind: KINDS.includes(kind) ? kind : "daily", date: query.get("date"), period: null };
}

/** As parameters, of the API as of addresses here. */
export function parameters(choice: Choice): Record<string, string> {
  const found: Record<string, string> = { window: choice.kind };
  if (choice.period !== null) found["period"] = choice.period;
  if (choice.date !== null && choice.kind !== "all-time") found["date"] = choice.date;
  return found;
}

export function toQuery(parameters: Record<string, string | number | undefined>): string {
  const pairs = Object.entries(parameters).filter((one) => one[1] !== undefined && one[1] !== "");
  return new URLSearchParams(pairs.map(([name, value]) => [name, String(value)])).toString();
}

/** The date by a leaderboard's calendar; that of UTC until the API has said it. */
export function useToday(board: string): string {
  const { value } = usePolled(
    (signal) => get<{ window: { from: string } }>(`${boardPath(board, "rankings")}?${toQuery({ window: "daily", limit: 1 })}`, signal),
    60_000, [board],
  );
  return value?.window.from ?? new Date().toISOString().slice(0, 10);
}

/** Tabs of the windows, a date, and the registered periods. */
export function WindowChoice(props: { at: string[]; choice: Choice; periods: Period[] }) {
  const { at, choice, periods } = props;
  const today = useToday(at[1] ?? "");
  const go = (query: Record<string, string | undefined>) => {
    location.hash = link(at, query);
  };
  return (
    <div class="choice">
      <nav aria-label={texts.window} class="tabs">
        {KINDS.map((kind) => (
          <a key={kind} href={link(at, { window: kind })} aria-current={choice.kind === kind ? "page" : undefined}>
            {texts.kind[kind]}
          </a>
        ))}
      </nav>
      {(choice.kind === "daily" || choice.kind === "weekly") && (
        <label>
          {texts.day}{" "}
          <input
            type="date" key={JSON.stringify([choice, today])}
            defaultValue={choice.date ?? today}
            onChange={(event) => go({ window: choice.kind, date: event.currentTarget.value })}
          />
        </label>
      )}
      {periods.length > 0 && (
        <label>
          {texts.period}{" "}
          <select
            value={choice.period ?? ""}
            onChange={(event) => {
              const period = event.currentTarget.value;
              go(period ? { window: "custom", period } : { window: "daily" });
            }}
          >
            <option value="">–</option>
            {periods.map((one) => (
              <option key={one.id} value={one.id}>
                {one.name} ({one.from} – {one.to})
              </option>
            ))}
          </select>
        </label>
      )}
    </div>
  );
}
