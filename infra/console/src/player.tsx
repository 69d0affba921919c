// One player: where they stand in every window, why, and what an administrator may do about it.
import { useState } from "preact/hooks";
import {
  ApiError, boardPath, get, type Entry, type Events, type LedgerEvent, type Neighbours, type PlayerWindows,
} from "./api";
import { Administration } from "./administration";
import { useBoard } from "./board";
import { EventTable } from "./events";
import { Why } from "./explain";
import { link, useFollowed, usePolled } from "./hooks";
import { Card, Freshness, Problem, TierTag } from "./parts";
import { count, texts } from "./texts";
import { choiceOf, parameters, toQuery, useToday, WindowChoice, type Choice } from "./windows";

const HISTORY_DAYS = 7;
const DAY_MS = 86_400_000;

interface Shown {
  board: string;
  user: string;
  choice: Choice;
  names: string[];
}

export function PlayerPage({ board, user, query }: { board: string; user: string; query: URLSearchParams }) {
  const { value, error } = useBoard(board);
  const choice = choiceOf(query);
  const shown = { board, user, choice, names: value?.board.tiers.map((tier) => tier.name) ?? [] };
  return (
    <>
      <h1 dir="auto">{texts.playerTitle(user)}</h1>
      <Problem error={error} />
      <WindowChoice at={["leaderboards", board, "players", user]} choice={choice} periods={value?.periods ?? []} />
      {(value !== null || error === null) && <div class="columns">
        <Around key={JSON.stringify(choice)} {...shown} />
        <AllWindows {...shown} />
        <Why {...shown} />
        <History {...shown} />
        <Ledger {...shown} />
        <Administration board={board} user={user} />
      </div>}
    </>
  );
}

function Around({ board, user, choice, names }: Shown) {
  const path = `${boardPath(board, "players", user)}?${toQuery({ ...parameters(choice), context: 5 })}`;
  const { value, error } = useFollowed<Neighbours>(path);
  const line = (entry: Entry, isPlayer: boolean) => (
    <tr key={entry.userId} class={isPlayer ? "marked" : undefined}>
      <td class="number">{count(entry.rank)}</td>
      <td class="who">
        <a href={link(["leaderboards", board, "players", entry.userId], parameters(choice))}><bdi>{entry.userId}</bdi></a>
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
              <th scope="row">{periods.length > 0 ? periods.join(", ") : texts.kind[window.kind]}</th>
              <td class="quiet">{window.id === "all-time" ? "" : window.id}</td>
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

function History({ board, user, names }: Shown) {
  const today = useToday(board);
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

function Ledger({ board, user }: Shown) {
  const [after, setAfter] = useState<string | null>(null);
  const path = `${boardPath(board, "players", user, "events")}?${toQuery({ limit: 50, after: after ?? undefined })}`;
  const { value, error } = usePolled((signal) => get<Events>(path, signal), 5_000, [path]);
  const note = (event: LedgerEvent) =>
    event.voidedByEntry !== null ? texts.voided(event.voidedByEntry) : event.addedByEntry !== null ? texts.added(event.addedByEntry) : "";
  return (
    <Card title={texts.events} wide>
      <Problem error={error} />
      {value?.events.length === 0 && <p>{texts.noEvents}</p>}
      <EventTable events={value?.events.map((event) => ({ event, note: note(event) })) ?? []} />
      {value?.nextAfter != null && <button onClick={() => setAfter(value.nextAfter)}>{texts.more}</button>}
      {after !== null && <button onClick={() => setAfter(null)}>{texts.backToStart}</button>}
    </Card>
  );
}
