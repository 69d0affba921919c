// Why a player stands where they stand: days, events, score, rank, tier, and what would move the rank.
import { boardPath, get, type Explanation } from "./api";
import { EventTable, type NotedEvent } from "./events";
import { usePolled } from "./hooks";
import { Card, Instant, Problem, tall, TierTag } from "./parts";
import { count, texts } from "./texts";
import { parameters, toQuery, type Choice } from "./windows";

const DAYS_SHOWN = 31;
const EVENTS_SHOWN = 8;
const BAR_PX = 60;

interface Asked {
  board: string;
  user: string;
  choice: Choice;
  names: string[];
}

export function Why({ board, user, choice, names }: Asked) {
  const path = `${boardPath(board, "players", user, "explain")}?${toQuery(parameters(choice))}`;
  const { value, error } = usePolled((signal) => get<Explanation>(path, signal), 5_000, [path]);
  return (
    <Card title={texts.why} size="wide">
      <Problem error={error} />
      {value && (
        <ol class="story">
          <li class="whole"><Days of={value} /></li>
          <li class="whole"><EventsOf of={value} /></li>
          <li>
            <h3>{texts.scoreIs}</h3>
            <p class="big">{count(value.player.score)}</p>
            <p>{texts.aggregation[value.aggregation]}; {texts.whenReached} <Instant at={value.player.reachedAt} /></p>
            {value.agrees !== null && <p class={value.agrees ? "good" : "problem"}>{value.agrees ? texts.agrees : texts.agreesNot}</p>}
          </li>
          <li><Rank of={value} /></li>
          <li><Tiers of={value} names={names} /></li>
        </ol>
      )}
    </Card>
  );
}

function isOut(of: Explanation, day: string): boolean {
  return of.disqualifiedDays.some(({ from, to }) => from <= day && day <= to);
}

/** A bar a day: those that make the score, those that another one beats, and those that are out. */
function Days({ of }: { of: Explanation }) {
  const { points, reachedAt } = { points: of.player.score, reachedAt: of.player.reachedAt };
  const most = Math.max(1, ...of.days.map((day) => Math.abs(day.points)));
  const known = of.days.map((day) => ({
    ...day, isOut: false, decides: of.aggregation === "sum" || (day.points === points && day.reachedAt === reachedAt),
  }));
  const out = [...new Set(of.events.map(({ event }) => event.occurredAt.slice(0, 10)))].filter((day) => isOut(of, day));
  const all = [...known, ...out.map((day) => ({ day, points: 0, events: 0, isOut: true, decides: false }))]
    .sort((one, other) => (one.day < other.day ? -1 : 1));
  return (
    <>
      <h3>{texts.days}</h3>
      <div class="days">
        {all.slice(-DAYS_SHOWN).map((day) => (
          <div key={day.day} class={day.isOut ? "out" : day.decides ? undefined : "idle"} title={day.isOut ? undefined : texts.dayPart(day.day, day.events)}>
            <span class="number">{day.isOut ? texts.dayOut : count(day.points)}</span>
            <i ref={tall(day.isOut ? BAR_PX / 2 : (Math.abs(day.points) / most) * BAR_PX + 2)} />
            <span class="quiet">{day.day.slice(5)}</span>
            {of.aggregation !== "sum" && day.decides && <span class="good">{texts.dayDecides}</span>}
          </div>
        ))}
      </div>
      {of.disqualifiedDays.map((days) => <p key={days.from} class="problem">{texts.daysOut(days.from, days.to)}</p>)}
    </>
  );
}

/** The events in the score, and those that are not, each with the reason. */
function EventsOf({ of }: { of: Explanation }) {
  const counting = of.events.filter((one) => one.counts).map(({ event }) => ({ event, note: texts.counts }));
  const others = of.events.filter((one) => !one.counts).map(({ event }): NotedEvent => {
    if (event.voidedByEntry !== null) return { event, note: texts.voided(event.voidedByEntry) };
    if (isOut(of, event.occurredAt.slice(0, 10))) return { event, note: texts.dayIsOut, isOut: true };
    return { event, note: texts.countsNot };
  });
  const part = (title: string, events: NotedEvent[]) => events.length > 0 && (
    <>
      <h3>{title}</h3>
      <EventTable events={events.slice(0, EVENTS_SHOWN)} />
      {events.length > EVENTS_SHOWN && <p class="quiet">{texts.eventsLeft(EVENTS_SHOWN)}</p>}
    </>
  );
  return (
    <>
      {part(texts.eventsIn, counting)}
      {part(texts.eventsNot, others)}
      {!of.eventsComplete && <p class="quiet">{texts.eventsSome}</p>}
    </>
  );
}

/** Who is next to the player and why, and what is enough to change places. */
function Rank({ of: { player, above, below, order, aggregation } }: { of: Explanation }) {
  const better = order === "desc" ? 1 : -1;
  const [isSum, isMore] = [aggregation === "sum", order === "desc"];
  const { pointsToNextRank: gap, score, rank } = player;
  const overtaken = score + better; // who only draws level has reached it later
  const rise = () => {
    if (gap === null || !Number.isSafeInteger(score + better * gap)) return null;
    if (!isSum) return texts.rises.score(score + better * gap, rank - 1);
    return (isMore ? texts.rises.sum : texts.rises.sumLess)(gap, rank - 1);
  };
  const fall = () => {
    if (below === null || !Number.isSafeInteger(overtaken)) return null;
    const { userId, score: theirs } = below.entry;
    if (!isSum) return texts.falls.score(userId, overtaken);
    return (isMore ? texts.falls.sum : texts.falls.sumLess)(userId, Math.abs(overtaken - theirs));
  };
  const moves = [rise(), fall()].filter((one) => one !== null);
  return (
    <>
      <h3>{texts.columns.rank}</h3>
      <p class="big">{count(rank)}</p>
      {above && <p>{texts.ahead(above.entry.userId)} ({count(above.entry.score)}): {texts.tie[above.decidedBy]}.</p>}
      {below && <p>{texts.behind(below.entry.userId)} ({count(below.entry.score)}): {texts.tie[below.decidedBy]}.</p>}
      {moves.length > 0 && <h3>{texts.moves}</h3>}
      {moves.map((one) => <p key={one}>{one}</p>)}
    </>
  );
}

function Tiers({ of, names }: { of: Explanation; names: string[] }) {
  return (
    <>
      <h3>{texts.columns.tier}</h3>
      {!of.qualifies && <p class="problem">{texts.qualifiesNot}</p>}
      {of.tiers.map(({ rule, met, cutoffRank, cutoffScore, pointsToReach }) => (
        <p key={rule.name}>
          <TierTag name={rule.name} names={names} /> {met ? texts.tierMet : texts.tierMissed(pointsToReach)}
          {cutoffRank !== null && (
            <span class="quiet"> {texts.columns.rank} {count(cutoffRank)}{cutoffScore !== null && `: ${count(cutoffScore)}`}</span>
          )}
        </p>
      ))}
    </>
  );
}
