// A leaderboard's window: its ranking at any depth, tiers, and how fresh it is.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { boardPath, get, type Board, type Entry, type Period, type Ranking } from "./api";
import { link, useFollowed, usePolled, useSettled } from "./hooks";
import { Card, Freshness, Instant, Problem, tall, TierTag, Who } from "./parts";
import { count, decimal, texts } from "./texts";
import { TiersCard } from "./tiers";
import { choiceOf, parameters, toQuery, WindowChoice, type Choice } from "./windows";

const ROW_PX = 34;
const HEIGHT_MAX_PX = 12_000_000; // browsers lay out no taller elements alike
const PAGE = 150;
const STEP = 50;
const SCROLL_SETTLED_MS = 80; // a fast scroll asks for no page that it passes
const REMEMBERED = 5_000; // players whose first rank is kept

/** The definition and the registered periods. */
export function useBoard(id: string) {
  return usePolled(
    async (signal) => {
      const [board, periods] = await Promise.all([
        get<Board>(boardPath(id), signal),
        get<{ periods: Period[] }>(boardPath(id, "periods"), signal),
      ]);
      return { board, periods: periods.periods };
    },
    15_000,
    [id],
  );
}

export function BoardPage({ board: id, query }: { board: string; query: URLSearchParams }) {
  const { value, error } = useBoard(id);
  const choice = choiceOf(query, value?.board ?? null);
  const attr = [...query].find(([name]) => name.startsWith("attr."));
  return (
    <>
      <h1 dir="auto">{value?.board.name ?? id}</h1>
      <Problem error={error} />
      <WindowChoice at={["leaderboards", id]} choice={choice} board={value?.board ?? null} periods={value?.periods ?? []} />
      {value && <Window key={JSON.stringify([choice, attr])} board={value.board} choice={choice} attr={attr ?? null} />}
    </>
  );
}

function Window({ board, choice, attr }: { board: Board; choice: Choice; attr: [string, string] | null }) {
  const [top, setTop] = useState(0);
  const [jumpTo, setJumpTo] = useState<{ rank: number } | null>(null);
  const offset = Math.max(0, Math.floor(top / STEP) * STEP - STEP / 2);
  const asked = useSettled(offset, SCROLL_SETTLED_MS);
  const filter: Record<string, string> = attr === null ? {} : { [attr[0]]: attr[1] };
  const path = `${boardPath(board.id, "rankings")}?${toQuery({ ...parameters(choice), ...filter, include: "profile", limit: PAGE, offset: asked })}`;
  const { value, error } = useFollowed<Ranking>(path);
  const last = useLast(value);
  const names = board.tiers.map((tier) => tier.name);
  return (
    <div class="columns">
      <Card title={texts.ranking} size="wide">
        <Problem error={error} />
        {last && (
          <div class="bar">
            <Freshness of={last} approximate={last.rankApproximate} error={error} />
            <span>{texts.players(attr ? last.matched : last.total)}</span>
            {board.filters.map((name) => (
              <Filter key={name} board={board.id} choice={choice} name={name} attr={attr} />
            ))}
            <Jump board={board.id} choice={choice} total={last.matched} onRank={(rank) => setJumpTo({ rank })} />
          </div>
        )}
        {last === null && error === null && <p>{texts.loading}</p>}
        {last?.matched === 0 && <p>{texts.nobody}</p>}
        {last && last.matched > 0 && (
          <Rows
            board={board.id} choice={choice} total={last.matched} page={value} first={asked} names={names}
            onTop={setTop} jumpTo={jumpTo}
          />
        )}
      </Card>
      <TiersCard board={board} choice={choice} total={last?.total ?? 0} />
    </div>
  );
}

/** The last value that was there: totals and freshness stay while another page comes. */
function useLast<T>(value: T | null): T | null {
  const last = useRef<T | null>(null);
  if (value !== null) last.current = value;
  return last.current;
}

function Filter(props: { board: string; choice: Choice; name: string; attr: [string, string] | null }) {
  const key = `attr.${props.name}`;
  const current = props.attr?.[0] === key ? props.attr[1] : "";
  const [text, setText] = useState(current);
  return (
    <label>
      {texts.filter(props.name)}{" "}
      <input
        size={8} placeholder={texts.anyValue} value={text} onInput={(event) => setText(event.currentTarget.value)}
        onChange={(event) => {
          const query = { ...parameters(props.choice), [key]: event.currentTarget.value };
          location.hash = link(["leaderboards", props.board], query);
        }}
      />
    </label>
  );
}

function Jump(props: { board: string; choice: Choice; total: number; onRank: (rank: number) => void }) {
  const [text, setText] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const open = () => {
    const wanted = text.trim();
    if (wanted) location.hash = link(["leaderboards", props.board, "players", wanted], parameters(props.choice));
  };
  return (
    <form
      class="jump"
      onSubmit={(event) => {
        event.preventDefault();
        const wanted = text.trim();
        if (!wanted) return;
        const rank = /^-?[\d,]+$/.test(wanted) ? Number(wanted.replaceAll(",", "")) : Number.NaN;
        if (Number.isNaN(rank)) open();
        else if (rank < 1 || rank > props.total) setProblem(texts.noSuchRank(rank, props.total));
        else setProblem(null), props.onRank(rank);
      }}
    >
      <label>
        <span class="hidden">{texts.jump}</span>
        <input placeholder={texts.jumpHint} value={text} onInput={(event) => setText(event.currentTarget.value)} />
      </label>
      <button>{texts.go}</button>
      <button type="button" onClick={open}>{texts.goPlayer}</button>
      <Problem error={problem} />
    </form>
  );
}

interface RowsProps {
  board: string;
  choice: Choice;
  total: number;
  page: Ranking | null;
  first: number;
  names: string[];
  onTop: (row: number) => void;
  jumpTo: { rank: number } | null;
}

/** All rows of a ranking, of which only those in sight are there. */
function Rows({ board, choice, total, page, first, names, onTop, jumpTo }: RowsProps) {
  const box = useRef<HTMLDivElement>(null);
  const [scroll, setScroll] = useState({ top: 0, height: 600 });
  const whole = Math.min(total * ROW_PX, HEIGHT_MAX_PX);
  const inSight = Math.ceil(scroll.height / ROW_PX);
  const range = Math.max(1, whole - scroll.height);
  const row = Math.round((Math.min(scroll.top, range) / range) * Math.max(0, total - Math.floor(scroll.height / ROW_PX)));
  const known = useKnown(page, first);
  const moves = useMoves(page);

  useEffect(() => onTop(row), [row]);
  useEffect(() => {
    const element = box.current!;
    const look = () => setScroll({ top: element.scrollTop, height: element.clientHeight });
    const observer = new ResizeObserver(look);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    if (jumpTo === null || box.current === null) return;
    const to = Math.max(0, jumpTo.rank - 1 - Math.floor(inSight / 3));
    box.current.scrollTop = (to / Math.max(1, total - inSight + 1)) * range;
  }, [jumpTo]);

  const shownRows = Array.from({ length: Math.min(inSight, total - row) }, (_, at) => row + at);
  return (
    <div
      class="rows" ref={box} tabIndex={0} role="region" aria-label={texts.ranking}
      onScroll={(event) => setScroll({ top: event.currentTarget.scrollTop, height: event.currentTarget.clientHeight })}
    >
      <table>
        <thead>
          <tr>
            <th scope="col" class="number">{texts.columns.rank}</th>
            <th scope="col"><span class="hidden">{texts.columns.moved}</span></th>
            <th scope="col">{texts.columns.player}</th>
            <th scope="col" class="number">{texts.columns.score}</th>
            <th scope="col" class="wide-only">{texts.columns.reached}</th>
            <th scope="col" class="number wide-only">{texts.columns.top}</th>
            <th scope="col">{texts.columns.tier}</th>
          </tr>
        </thead>
        <tbody>
          {shownRows.map((at) => (
            <Row key={at} at={at} entry={known.get(at)} board={board} choice={choice} names={names} moved={moves} marked={jumpTo?.rank === at + 1} />
          ))}
        </tbody>
      </table>
      <div class="length" ref={tall(Math.max(0, whole - scroll.height))} />
    </div>
  );
}

/** Offset → entry, of the page that is there and of those before it. */
function useKnown(page: Ranking | null, first: number): ReadonlyMap<number, Entry> {
  const before = useRef(new Map<number, Entry>());
  return useMemo(() => {
    if (page !== null) {
      const found = new Map([...before.current].slice(-2 * PAGE));
      page.entries.forEach((entry, at) => (found.delete(first + at), found.set(first + at, entry)));
      before.current = found;
    }
    return before.current;
  }, [page]);
}

/** Player → the rank when the page first showed them, of those shown last. */
function useMoves(page: Ranking | null): ReadonlyMap<string, number> {
  const seen = useRef(new Map<string, number>());
  if (page !== null) {
    for (const entry of page.entries) if (!seen.current.has(entry.userId)) seen.current.set(entry.userId, entry.rank);
    for (const user of seen.current.keys()) {
      if (seen.current.size <= REMEMBERED) break;
      seen.current.delete(user);
    }
  }
  return seen.current;
}

interface RowProps {
  at: number;
  entry: Entry | undefined;
  board: string;
  choice: Choice;
  names: string[];
  moved: ReadonlyMap<string, number>;
  marked: boolean;
}

function Row({ at, entry, board, choice, names, moved, marked }: RowProps) {
  if (entry === undefined) {
    return (
      <tr class="coming">
        <td class="number">{count(at + 1)}</td>
        <td colSpan={6}>…</td>
      </tr>
    );
  }
  const before = moved.get(entry.userId) ?? entry.rank;
  const up = before - entry.rank;
  return (
    <tr class={marked ? "marked" : undefined}>
      <td class="number">{count(entry.rank)}</td>
      <td class={up > 0 ? "up" : "down"} title={up > 0 ? texts.movedUp(up) : up < 0 ? texts.movedDown(-up) : undefined}>
        {up > 0 ? `▲${up}` : up < 0 ? `▼${-up}` : ""}
      </td>
      <td class="who">
        <Who of={entry} at={link(["leaderboards", board, "players", entry.userId], parameters(choice))} />
      </td>
      <td class="number">{count(entry.score)}</td>
      <td class="wide-only"><Instant at={entry.reachedAt} /></td>
      <td class="number wide-only">{decimal(entry.topPercent)} %</td>
      <td><TierTag name={entry.tier} names={names} /></td>
    </tr>
  );
}
