// Results: what is not done yet and why, what would be paid now, and the versions with their files.
import { useState } from "preact/hooks";
import { ApiError, boardPath, get, type Closing, type Preview, type ResultFile, type Version, type Versions } from "./api";
import { useBoard } from "./board";
import { link, sentence, useClock, usePolled } from "./hooks";
import { Card, Freshness, Instant, Problem, TierTag } from "./parts";
import { count, duration, texts } from "./texts";
import { choiceOf, parameters, toQuery, WindowChoice, type Choice } from "./windows";
import { check } from "./verify";

const PREVIEWED = 20;

export function ResultsPage({ board, query }: { board: string; query: URLSearchParams }) {
  const { value, error, isGone } = useBoard(board);
  const choice = choiceOf(query, value?.board ?? null);
  const names = value?.board.tiers.map((tier) => tier.name) ?? [];
  return (
    <>
      <h1>{texts.results}</h1>
      <Problem error={error} />
      <WindowChoice at={["leaderboards", board, "results"]} choice={choice} board={value?.board ?? null} periods={value?.periods ?? []} />
      {!isGone && <div class="columns">
        <VersionsCard key={JSON.stringify(choice)} board={board} choice={choice} />
        {choice.kind !== "all-time" && <PreviewCard board={board} choice={choice} names={names} />}
        <ClosingCard board={board} />
      </div>}
    </>
  );
}

function ClosingCard({ board }: { board: string }) {
  const { value, error } = usePolled((signal) => get<Closing>(`${boardPath(board, "closing")}?limit=100`, signal), 5_000, [board]);
  const now = useClock();
  return (
    <Card title={texts.closing} size="wide">
      <Problem error={error} />
      {value?.sealedThrough && <p>{texts.sealedThrough(value.sealedThrough)}</p>}
      {value?.items.length === 0 && <p>{texts.closingNothing}</p>}
      <table>
        <tbody>
          {value?.items.map((item) => (
            <tr key={item.kind + item.id}>
              <td>{item.kind}</td>
              <th scope="row">{item.id}</th>
              <td><span class={`badge ${item.blockers.length > 0 ? "snapshot" : ""}`}>{texts.step[item.step] ?? item.step}</span></td>
              <td>{item.expectedAt && expectation(Date.parse(item.expectedAt) - now)}</td>
              <td class="who">
                {item.blockers.map((one) => (
                  <p key={one.code} class="problem">
                    {one.reason} {one.since && texts.since(duration(now - Date.parse(one.since)))} <span class="quiet">{one.runbook}</span>
                  </p>
                ))}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Card>
  );
}

function expectation(inMs: number): string {
  return inMs >= 0 ? texts.expected(duration(inMs)) : texts.overdue(duration(-inMs));
}

function PreviewCard({ board, choice, names }: { board: string; choice: Choice; names: string[] }) {
  const path = `${boardPath(board, "result")}?${toQuery({ ...parameters(choice), preview: "true", limit: PREVIEWED })}`;
  const { value, error } = usePolled((signal) => get<Preview>(path, signal), 10_000, [path]);
  return (
    <Card title={texts.preview}>
      <Problem error={error} />
      {value && (
        <>
          <Freshness of={value} error={error} />
          <p class="quiet">{texts.previewNote}</p>
          <p>{value.tiers.map((tier) => `${tier.name}: ${tier.awardCount === null ? "…" : texts.awards(tier.awardCount)}`).join(" · ")}</p>
          <table>
            <tbody>
              {value.awards.map((award) => (
                <tr key={award.awardId}>
                  <td class="number">{count(award.rank)}</td>
                  <td class="who"><a href={link(["leaderboards", board, "players", award.userId], parameters(choice))}><bdi>{award.userId}</bdi></a></td>
                  <td class="number">{count(award.score)}</td>
                  <td><TierTag name={award.tier} names={names} /></td>
                </tr>
              ))}
            </tbody>
          </table>
        </>
      )}
    </Card>
  );
}

/** The versions of a window's result; none while it has none. */
async function versionsOf(board: string, choice: Choice, signal: AbortSignal): Promise<Version[]> {
  const path = `${boardPath(board, "result", "versions")}?${toQuery(parameters(choice))}`;
  try {
    return (await get<Versions>(path, signal)).versions;
  } catch (error) {
    if (error instanceof ApiError && [404, 409].includes(error.status)) return [];
    throw error;
  }
}

function VersionsCard({ board, choice }: { board: string; choice: Choice }) {
  const { value, error } = usePolled((signal) => versionsOf(board, choice, signal), 10_000, [board, JSON.stringify(choice)]);
  return (
    <Card title={texts.versions}>
      <Problem error={error} />
      {value?.length === 0 && <p>{texts.noVersions}</p>}
      {value?.toReversed().map((version) => (
        <article key={version.version}>
          <h3>{texts.resultVersion(version.version)}</h3>
          <p><Instant at={version.finalisedAt} /> · {texts.players(version.players)} · {texts.awards(version.awardCount)}</p>
          <p><Announced of={version} /></p>
          <ul class="plain-list">
            {(["ranking", "awards", "difference", "awardChanges"] as const).map((name) => {
              const file = version[name];
              return file && <File key={name} name={texts.files[name]} file={file} />;
            })}
            <li><a href={version.manifest}>{texts.files.manifest}</a></li>
          </ul>
        </article>
      ))}
    </Card>
  );
}

/** Whether who pays was told of a version: as far as the service knows, which is until the topic had it. */
function Announced({ of }: { of: Version }) {
  if (of.announcementPending) return <span class="badge snapshot">{texts.announcementPending}</span>;
  if (of.announcedAt === null) return <span class="quiet" title={texts.announcedUnknownTitle}>{texts.announcedUnknown}</span>;
  return <span title={texts.announcedTitle}>{texts.announced} <Instant at={of.announcedAt} /></span>;
}

function File({ name, file }: { name: string; file: ResultFile }) {
  const [state, setState] = useState<{ text: string; good: boolean } | null>(null);
  const look = async () => {
    setState({ text: texts.verifying, good: true });
    try {
      const isRight = await check(file.url, file.sha256, file.rows ?? null);
      setState({ text: isRight ? texts.verified(file.rows ?? 0) : texts.verifiedNot, good: isRight });
    } catch (error) {
      setState({ text: error instanceof TypeError ? texts.verifyBlocked : sentence(error), good: false });
    }
  };
  return (
    <li>
      <a href={file.url}>{name}</a> <span class="quiet">{count(file.rows ?? 0)} · {file.sha256?.slice(0, 12)}…</span>{" "}
      <button class="small" onClick={() => void look()}>{texts.verify}</button>
      {state && <p class={state.good ? "good" : "problem"} role="status">{state.text}</p>}
    </li>
  );
}
