// One player: where they stand in every window, why, and what an administrator may do about it.
import { useState } from "preact/hooks";
import {
  ApiError, boardPath, get, mayAdminister, type Disqualified, type Entry, type Events, type LedgerEvent, type Neighbours, type PlayerWindows, type Profile,
} from "./api";
import { Administration } from "./administration";
import { useBoard } from "./board";
import { EventTable } from "./events";
import { Why } from "./explain";
import { link, useFollowed, usePolled } from "./hooks";
import { Card, Freshness, Problem, TierTag, Who } from "./parts";
import { count, texts } from "./texts";
import { choiceOf, dateNow, parameters, toQuery, WindowChoice, type Choice } from "./windows";

const HISTORY_DAYS = 7;
const DAY_MS = 86_400_000;

interface Shown {
  board: string;
  user: string;
  choice: Choice;
  names: string[];
}

export function PlayerPage({ board, user, query }: { board: string; user: string; query: URLSearchParams }) {
  const { value, error, isGone } = useBoard(board);
  const choice = choiceOf(query, value?.board ?? null);
  const [acts, setActs] = useState(0);
  const out = useOut(board, user, acts);
  const isOut = out.includes(texts.isOut);
  const shown = { board, user, choice, names: value?.board.tiers.map((tier) => tier.name) ?? [] };
  return (
    <>
      <h1 dir="auto"><bdi>{user}</bdi><Name board={board} user={user} /></h1>
      <Problem error={error} />
      {out.length > 0 && (
        <p class="out" role="status">{out.join(" ")} <a href={link(["leaderboards", board, "audit-log"])}>{texts.outWhy}</a></p>
      )}
      <WindowChoice
        at={["leaderboards", board, "players", user]} choice={choice} board={value?.board ?? null} periods={value?.periods ?? []}
      />
      {!isGone && <div class="columns">
        {!isOut && <Around key={JSON.stringify(choice)} {...shown} />}
        <AllWindows key={`after ${acts}`} {...shown} />
        {!isOut && <Why {...shown} />}
        <Administration board={board} user={user} onDone={() => setActs(acts + 1)} />
        {value?.board.windows.includes("daily") && <History key={acts} today={dateNow(value.board)} {...shown} />}
        <Ledger {...shown} />
      </div>}
    </>
  );
}

/** What the player's profile calls them, as text; nothing where they have none, or it can't be had. */
function Name({ board, user }: { board: string; user: string }) {
  const { value } = usePolled((signal) => get<Profile>(boardPath(board, "players", user, "profile"), signal), 15_000, [board, user]);
  const name = value?.profile?.name;
  return name ? <>{" "}<bdi class="quiet name">{name}</bdi></> : null;
}

/** From what the player is taken out, as sentences, for whoever may know it: no ranking says why somebody is not in it. */
function useOut(board: string, user: string, acts: number): string[] {
  const ask = async (signal: AbortSignal) => (mayAdminister() ? get<Disqualified>(boardPath(board, "disqualified"), signal) : null);
  const { value } = usePolled(ask, 15_000, [board, user, acts]);
  if (!value) return [];
  if (value.userIds.includes(user)) return [texts.isOut];
  return value.days.filter((one) => one.userId === user).map(({ from, to }) => texts.isOutFor(from, to));
}

function Around({ board, user, choice, names }: Shown) {
  const path = `${boardPath(board, "players", user)}?${toQuery({ ...parameters(choice), context: 5, include: "profile" })}`;
  const { value, error } = useFollowed<Neighbours>(path);
  const line = (entry: Entry, isPlayer: boolean) => (
    <tr key={entry.userId} class={isPlayer ? "marked" : undefined}>
      <td class="number">{count(entry.rank)}</td>
      <td class="who">
        <Who of={entry} at={link(["leaderboards", board, "players", entry.userId], parameters(choice))} />
      </td>
      <td class="number">{count(entry.score)}</td>
      <td><TierTag name={entry.tier} names={names} /></td>
    </tr>
  );
  return (
    <Card title={texts.aroundPlayer}>
      <Problem error={error} />
      {value && (
        <>
          <Freshness of={value} approximate={value.player.rankApproximate} error={error} />
          <p>
            {value.player.pointsToNextRank === null ? texts.first : texts.toNextRank(value.player.pointsToNextRank)}
            {value.player.pointsToNextTier !== null && ` · ${texts.toNextTier(value.player.pointsToNextTier)}`}
          </p>
          <table>
            <tbody>
              {value.above.map((one) => line(one, false))}
              {line(value.player, true)}
              {value.below.map((one) => line(one, false))}
            </tbody>
          </table>
        </>
      )}
    </Card>
  );
}

function AllWindows({ board, user, names }: Shown) {
  const { value, error } = usePolled(
    (signal) => get<PlayerWindows>(boardPath(board, "players", user, "windows"), signal), 5_000, [board, user],
  );
  return (
    <Card title={texts.allWindows}>
      <Problem error={error} />
      <table>
        <tbody>
          {value?.windows.map(({ window, entry, total, source, periods }) => (
            <tr key={window.id + periods.join()}>
              <th scope="row">
                {periods.length > 0 ? periods.join(", ") : texts.kind[window.kind]}
                {window.id !== "all-time" && <><br /><span class="quiet">{window.id}</span></>}
              </th>
              <td class="number">{entry ? `${count(entry.rank)} / ${count(total)}` : texts.notRanked}</td>
              <td class="number">{entry && count(entry.score)}</td>
              <td><TierTag name={entry?.tier ?? null} names={names} /></td>
              <td><span class={`badge ${error === null ? source : "snapshot"}`}>{error === null ? texts.source[source] : texts.old}</span></td>
            </tr>
          ))}
        </tbody>
      </table>
    </Card>
  );
}

function History({ board, user, names, today }: Shown & { today: string }) {
  const days = Array.from({ length: HISTORY_DAYS }, (_, ago) => new Date(Date.parse(today) - ago * DAY_MS).toISOString().slice(0, 10)).reverse();
  const { value, error } = usePolled(
    (signal) => Promise.all(days.map(async (date) => ({ date, entry: await rankOn(board, user, date, signal) }))), 60_000, [board, user, today],
  );
  const found = value?.filter((day) => day.entry !== null) ?? [];
  return (
    <Card title={texts.history}>
      <Problem error={error} />
      {value && found.length === 0 && <p>{texts.historyEmpty}</p>}
      <table>
        <tbody>
          {found.map(({ date, entry }) => (
            <tr key={date}>
              <th scope="row">
                <a href={link(["leaderboards", board, "players", user], { window: "daily", date })}>{date}</a>
              </th>
              <td class="number">{count(entry!.rank)}</td>
              <td class="number">{count(entry!.score)}</td>
              <td><TierTag name={entry!.tier} names={names} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </Card>
  );
}

/** The player's entry of one day; null if they have none, or the day is still being read. */
async function rankOn(board: string, user: string, date: string, signal: AbortSignal): Promise<Entry | null> {
  const path = `${boardPath(board, "players", user)}?${toQuery({ window: "daily", date, context: 0 })}`;
  try {
    return (await get<Neighbours>(path, signal)).player;
  } catch (error) {
    if (error instanceof ApiError && [202, 404].includes(error.status)) return null;
    throw error;
  }
}

/** A page of the ledger; an empty one where the player has no events at all. */
async function eventsOf(path: string, signal: AbortSignal): Promise<Pick<Events, "events" | "nextAfter">> {
  try {
    return await get<Events>(path, signal);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return { events: [], nextAfter: null };
    throw error;
  }
}

function Ledger({ board, user }: Shown) {
  const [after, setAfter] = useState<string | null>(null);
  const path = `${boardPath(board, "players", user, "events")}?${toQuery({ limit: 50, after: after ?? undefined })}`;
  const { value, error } = usePolled((signal) => eventsOf(path, signal), 5_000, [path]);
  const note = (event: LedgerEvent) =>
    event.voidedByEntry !== null ? texts.voided(event.voidedByEntry) : event.addedByEntry !== null ? texts.added(event.addedByEntry) : "";
  return (
    <Card title={texts.events} size="full">
      <Problem error={error} />
      {value?.events.length === 0 && <p>{texts.noEvents}</p>}
      <EventTable events={value?.events.map((event) => ({ event, note: note(event) })) ?? []} />
      {value?.nextAfter != null && <button onClick={() => setAfter(value.nextAfter)}>{texts.more}</button>}
      {after !== null && <button onClick={() => setAfter(null)}>{texts.backToStart}</button>}
    </Card>
  );
}
