// How events go from Kafka to the rankings, now: rates, lag, what was rejected, and the health of each dependency.
import { useRef } from "preact/hooks";
import { boardPath, get, getHealth, getText, type Dependency, type Rebuild } from "./api";
import { link, usePolled } from "./hooks";
import { parse, rate, series, total, type Scrape } from "./metrics";
import { Card, Problem } from "./parts";
import { count, decimal, duration, texts } from "./texts";
import { KINDS } from "./windows";

const EVERY_MS = 2_000;
const HEALTH_EVERY_MS = 10_000;
const OVER = 5;
const REBUILDS_MAX = 10;

export function PipelinePage() {
  const scrapes = useRef<Scrape[]>([]);
  const { value: now, error } = usePolled(
    async (signal) => {
      const scrape = { atMs: Date.now(), samples: parse(await getText("/metrics", signal)) };
      scrapes.current = [...scrapes.current.slice(-OVER), scrape];
      return scrape;
    },
    EVERY_MS,
    [],
  );
  return (
    <>
      <h1>{texts.pipeline}</h1>
      <Problem error={error} />
      {now === null && error === null && <p>{texts.loading}</p>}
      {now && (
        <>
          <Flow now={now} before={scrapes.current[0] === now ? null : scrapes.current[0]!} />
          <div class="columns">
            <Partitions now={now} />
            <Rejected now={now} />
            <Caches now={now} />
            <Dependencies />
          </div>
        </>
      )}
    </>
  );
}

function Flow({ now, before }: { now: Scrape; before: Scrape | null }) {
  const of = (name: string, labels: Record<string, string> = {}) => rate(now, before, name, labels);
  const applied = of("leaderboards_events_total", { result: "applied" });
  const rejected = of("leaderboards_events_rejected_total");
  const records = [applied, of("leaderboards_events_total", { result: "duplicate" }), rejected].reduce<number>((sum, one) => sum + (one ?? 0), 0);
  const complete = series(now, "leaderboards_cache_complete");
  const delays = series(now, "leaderboards_commit_delay_seconds").map((one) => one.value * 1000);
  const steps: [string, string, number][] = [
    [texts.flow.kafka, texts.lag(total(now, "leaderboards_partition_lag_records")), records],
    [texts.flow.ingest, delays.length ? texts.delay(Math.max(...delays)) : "", records - (rejected ?? 0)],
    [texts.flow.truth, applied === null ? "" : `${texts.perSecond(applied)} ${texts.applied}`, applied ?? 0],
    [texts.flow.cache, texts.completeBoards(complete.filter((one) => one.value === 1).length, complete.length), applied ?? 0],
    [texts.flow.api, apiNote(of("leaderboards_requests_total"), of("leaderboards_rankings_read_total", { source: "snapshot" })), 0],
  ];
  return (
    <ol class="flow">
      {steps.map(([name, note, perSecond], at) => (
        <li key={name}>
          <strong>{name}</strong>
          <span class="quiet">{note}</span>
          {at < steps.length - 1 && (
            <span class={perSecond > 0 ? "arrow moving" : "arrow"}>{perSecond > 0 ? texts.perSecond(perSecond) : ""}</span>
          )}
        </li>
      ))}
    </ol>
  );
}

function apiNote(requests: number | null, snapshots: number | null): string {
  if (requests === null) return "";
  return [texts.requests(requests), snapshots ? texts.fromSnapshots(snapshots) : null].filter(Boolean).join(", ");
}

function Partitions({ now }: { now: Scrape }) {
  const committed = series(now, "leaderboards_committed_offset");
  const at = (name: string, partition: string | undefined) => series(now, name).find((one) => one.labels["partition"] === partition)?.value;
  return (
    <Card title={texts.partitions}>
      <table>
        <thead>
          <tr>
            <th scope="col">{texts.partition}</th>
            <th scope="col" class="number">{texts.committed}</th>
            <th scope="col" class="number">{texts.behindBy}</th>
            <th scope="col" class="number">{texts.lastDelay}</th>
          </tr>
        </thead>
        <tbody>
          {committed.map(({ labels, value }) => {
            const delay = at("leaderboards_commit_delay_seconds", labels["partition"]);
            return (
              <tr key={labels["partition"]}>
                <td>{labels["partition"]}</td>
                <td class="number">{count(value)}</td>
                <td class="number">{count(at("leaderboards_partition_lag_records", labels["partition"]) ?? 0)}</td>
                <td class="number">{delay === undefined ? "" : duration(delay * 1000)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Card>
  );
}

function Rejected({ now }: { now: Scrape }) {
  const reasons = new Map<string, number>();
  for (const { labels, value } of series(now, "leaderboards_events_rejected_total")) {
    if (value > 0) reasons.set(labels["reason"]!, (reasons.get(labels["reason"]!) ?? 0) + value);
  }
  return (
    <Card title={texts.rejectedBy}>
      {reasons.size === 0 && <p>{texts.noneRejected}</p>}
      <table>
        <tbody>
          {[...reasons].sort((a, b) => b[1] - a[1]).map(([reason, records]) => (
            <tr key={reason}>
              <th scope="row"><a href={link(["pipeline", "dead-letters"], { reason })}>{reason}</a></th>
              <td class="number">{count(records)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p>{texts.deadLetters(total(now, "leaderboards_dead_letters"))}.</p>
      <p><a href={link(["pipeline", "dead-letters"])}>{texts.lettersOpen}</a></p>
    </Card>
  );
}

function Caches({ now }: { now: Scrape }) {
  const players = series(now, "leaderboards_window_players");
  const complete = series(now, "leaderboards_cache_complete");
  const asked = new Set(complete.filter((one) => one.value !== 1).slice(0, REBUILDS_MAX).map((one) => one.labels["leaderboard"]));
  const due = new Map(series(now, "leaderboards_windows_due").map((one) => [one.labels["leaderboard"], one.value]));
  return (
    <Card title={texts.flow.cache}>
      <table>
        <thead>
          <tr>
            <th scope="col">{texts.boards}</th>
            {KINDS.map((kind) => <th scope="col" class="number" key={kind}>{texts.kind[kind]}</th>)}
            <th scope="col" class="number">{texts.windowsDue}</th>
          </tr>
        </thead>
        <tbody>
          {complete.map(({ labels: { leaderboard }, value }) => (
            <tr key={leaderboard}>
              <th scope="row">
                <span class={value === 1 ? "good" : "problem"}>●</span> {leaderboard}
                {asked.has(leaderboard) && <Rebuilding board={leaderboard!} />}
              </th>
              {KINDS.map((kind) => {
                const found = players.find((one) => one.labels["leaderboard"] === leaderboard && one.labels["window"] === kind);
                return <td class="number" key={kind}>{found && count(found.value)}</td>;
              })}
              <td class="number">{count(due.get(leaderboard) ?? 0)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p>{texts.repaired(total(now, "leaderboards_entries_repaired_total"))}.</p>
      <Memory now={now} />
    </Card>
  );
}

/** How far the rebuild of a leaderboard's windows is, while it lasts. */
function Rebuilding({ board }: { board: string }) {
  const { value } = usePolled((signal) => get<Rebuild>(boardPath(board, "rebuild"), signal), EVERY_MS, [board]);
  if (value === null || value.state === "complete") return null;
  const { state, daysRead, days, standingsRead } = value;
  return <div class="quiet">{state === "running" ? texts.rebuilding(daysRead, days, standingsRead) : texts.rebuildWaits}</div>;
}

function Memory({ now }: { now: Scrape }) {
  const [used] = series(now, "leaderboards_cache_used_bytes");
  if (used === undefined) return null;
  const limits = series(now, "leaderboards_cache_limit_bytes");
  const limit = limits.length > 0 ? total(now, "leaderboards_cache_limit_bytes") : null;
  return <p>{texts.memory(total(now, "leaderboards_cache_used_bytes"), limit)}</p>;
}

/** What waits on each queue, where anything does. */
function waiting({ queues }: Dependency): string {
  const found = Object.entries(queues ?? {}).filter(([, { waiting: n }]) => (n ?? 0) > 0);
  return found.map(([name, { waiting: n }]) => texts.waiting(name, n!)).join(", ");
}

function Dependencies() {
  const { value, error } = usePolled(getHealth, HEALTH_EVERY_MS, []);
  return (
    <Card title={texts.dependencies}>
      <Problem error={error} />
      <table>
        <tbody>
          {Object.entries(value?.dependencies ?? {}).map(([name, dependency]) => {
            const { status, latencyMs, detail, since, breaker } = dependency;
            return <tr key={name}>
              <th scope="row"><span class={status === "up" ? "good" : "problem"}>●</span> {name}</th>
              <td title={texts.statusSince(since)}>{status === "up" ? texts.up : texts.down}</td>
              <td class="number">{decimal(latencyMs)} ms</td>
              <td>{breaker && <span class={breaker === "closed" ? "quiet" : "problem"}>{texts.breaker[breaker]}</span>}</td>
              <td class="who">{detail ?? waiting(dependency)}</td>
            </tr>;
          })}
        </tbody>
      </table>
      {value && <p class="quiet">{texts.breakerWhose}</p>}
    </Card>
  );
}
