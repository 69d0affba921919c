// Which window of a leaderboard is shown: its choice, and how the API and addresses name it.
import type { Board, Period } from "./api";
import { link } from "./hooks";
import { texts } from "./texts";

/** A window as the query of an address names it. */
export interface Choice {
  kind: string;
  date: string | null;
  period: string | null;
}

export const KINDS = ["daily", "weekly", "monthly", "all-time"];
const DATED = ["daily", "weekly", "monthly"];

/** What an address asks for; the first kind of window that the leaderboard keeps, if nothing. */
export function choiceOf(query: URLSearchParams, board: Board | null): Choice {
  const first = board?.windows[0] ?? "daily";
  const period = query.get("period");
  if (period !== null) return { kind: "custom", date: null, period };
  const kind = query.get("window") ?? first;
  return { kind: KINDS.includes(kind) ? kind : first, date: query.get("date"), period: null };
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

/** The date by a leaderboard's calendar; that of UTC until it is known, or where the browser has no such time zone. */
export function dateNow(board: Board | null): string {
  const [hours = 0, minutes = 0] = (board?.dayStartsAt ?? "00:00").split(":").map(Number);
  const at = new Date(Date.now() - (hours * 60 + minutes) * 60_000);
  try {
    return new Intl.DateTimeFormat("sv-SE", { timeZone: board?.timeZone ?? "UTC" }).format(at);
  } catch {
    return at.toISOString().slice(0, 10);
  }
}

/** Tabs of the windows, a date, and the registered periods. */
export function WindowChoice(props: { at: string[]; choice: Choice; board: Board | null; periods: Period[] }) {
  const { at, choice, board, periods } = props;
  const today = dateNow(board);
  const isUtc = board === null || (board.timeZone === "UTC" && board.dayStartsAt === "00:00");
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
      {DATED.includes(choice.kind) && (
        <label>
          {texts.day}{" "}
          <input
            type="date" key={JSON.stringify([choice, today])}
            defaultValue={choice.date ?? today}
            onChange={(event) => go({ window: choice.kind, date: event.currentTarget.value })}
          />
          {!isUtc && <span class="quiet">{" "}{texts.clocks(board.timeZone, board.dayStartsAt)}</span>}
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
