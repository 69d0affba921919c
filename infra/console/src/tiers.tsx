// The tiers of a leaderboard: their rules, the place and score at which each ends, drawn on the scores by rank.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { boardPath, get, type Board, type Explanation, type Ranking, type Tier } from "./api";
import { usePolled } from "./hooks";
import { Card, Problem, TierTag } from "./parts";
import { count, texts } from "./texts";
import { parameters, toQuery, type Choice } from "./windows";

const SAMPLES = 16;
const AT_ONCE = 4;

interface Cutoff {
  rank: number;
  score: number;
  tier: Tier;
}

interface Found {
  points: [number, number][];
  cutoffs: Cutoff[];
}

/** Ranks from the first to the last, closer together at the top where more of them are. */
function ranks(total: number): number[] {
  const steps = Array.from({ length: SAMPLES }, (_, at) => Math.round(total ** (at / (SAMPLES - 1))));
  return [...new Set([1, ...steps, total])].filter((rank) => rank >= 1 && rank <= total).sort((a, b) => a - b);
}

async function sample(board: Board, choice: Choice, total: number, signal: AbortSignal): Promise<Found> {
  const points: [number, number][] = [];
  let first: string | null = null;
  const wanted = ranks(total);
  for (let at = 0; at < wanted.length; at += AT_ONCE) {
    const pages = wanted.slice(at, at + AT_ONCE).map((rank) =>
      get<Ranking>(`${boardPath(board.id, "rankings")}?${toQuery({ ...parameters(choice), limit: 1, offset: rank - 1 })}`, signal),
    );
    for (const page of await Promise.all(pages)) {
      const [entry] = page.entries;
      if (entry === undefined) continue;
      points.push([entry.rank, entry.score]);
      first ??= entry.userId;
    }
  }
  return { points, cutoffs: first === null ? [] : await cutoffs(board, choice, first, signal) };
}

async function cutoffs(board: Board, choice: Choice, user: string, signal: AbortSignal): Promise<Cutoff[]> {
  const path = `${boardPath(board.id, "players", user, "explain")}?${toQuery(parameters(choice))}`;
  const { tiers } = await get<Explanation>(path, signal);
  return tiers.flatMap(({ rule, cutoffRank, cutoffScore }) =>
    cutoffRank === null || cutoffScore === null ? [] : [{ rank: cutoffRank, score: cutoffScore, tier: rule }],
  );
}

function ruleOf(tier: Tier): string {
  if (tier.topN !== undefined) return texts.rule.topN(tier.topN);
  if (tier.topPercent !== undefined) return texts.rule.topPercent(tier.topPercent);
  if (tier.minScore !== undefined) return texts.rule.minScore(tier.minScore);
  return texts.rule.maxScore(tier.maxScore ?? 0);
}

export function TiersCard({ board, choice, total }: { board: Board; choice: Choice; total: number }) {
  const { value, error } = usePolled((signal) => sample(board, choice, total, signal), 20_000, [board.id, board.version, choice, total > 0]);
  const names = board.tiers.map((tier) => tier.name);
  return (
    <Card title={texts.tiers}>
      <Problem error={error} />
      {board.tiers.length === 0 && <p>{texts.noTiers}</p>}
      <ul class="plain-list">
        {board.tiers.map((tier) => {
          const cutoff = value?.cutoffs.find((one) => one.tier.name === tier.name);
          return (
            <li key={tier.name}>
              <TierTag name={tier.name} names={names} /> {ruleOf(tier)}
              {tier.ties === "shared" && ` ${texts.shared}`}
              {tier.windows && ` (${texts.onlyFor(tier.windows.join(", "))})`}
              {cutoff && (
                <span class="quiet">
                  {" "}
                  {texts.columns.rank} {count(cutoff.rank)}: {count(cutoff.score)}
                </span>
              )}
            </li>
          );
        })}
      </ul>
      {value && value.points.length > 2 && <Curve found={value} />}
      <p class="quiet">
        {texts.aggregation[board.aggregation]}; {texts.order[board.order]}; {texts.version(board.version)}.
      </p>
    </Card>
  );
}

function Curve({ found }: { found: Found }) {
  const box = useRef<HTMLElement>(null);
  useEffect(() => {
    const element = box.current!;
    const colour = (name: string) => () => getComputedStyle(element).getPropertyValue(name);
    const ink = colour("--quiet");
    const marks: uPlot.Plugin = { hooks: { draw: [(plot) => drawCutoffs(plot, found.cutoffs, ink())] } };
    const axis: uPlot.Axis = { stroke: ink, grid: { stroke: colour("--line"), width: 1 } };
    const last = found.points.at(-1)![0];
    const plot = new uPlot(
      {
        width: element.clientWidth, height: 220, plugins: [marks], legend: { show: false }, cursor: { show: false },
        scales: { x: { time: false, distr: 3, range: [1, last] } },
        axes: [{ ...axis, values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : count(tick))) }, { ...axis, size: 64 }],
        series: [{}, { stroke: colour("--accent"), width: 2, points: { show: false } }],
      },
      [found.points.map(([rank]) => rank), found.points.map(([, score]) => score)],
      element,
    );
    const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: 220 }));
    observer.observe(element);
    const forget = onTheme(() => plot.redraw(false, true));
    return () => (observer.disconnect(), forget(), plot.destroy());
  }, [found]);
  return (
    <figure ref={box} role="img" aria-label={texts.scoreByRank}>
      <figcaption class="quiet">{texts.scoreByRank}</figcaption>
    </figure>
  );
}

/** Call something when the page turns dark or light; returns what ends that. */
function onTheme(call: () => void): () => void {
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const button = new MutationObserver(call);
  scheme.addEventListener("change", call);
  button.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  return () => (scheme.removeEventListener("change", call), button.disconnect());
}

function drawCutoffs(plot: uPlot, cutoffs: Cutoff[], ink: string): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = ink;
  ctx.setLineDash([4, 4]);
  ctx.textBaseline = "alphabetic";
  cutoffs.forEach(({ rank, tier }, number) => {
    const x = Math.round(plot.valToPos(rank, "x", true));
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    const isRight = x + 4 + ctx.measureText(tier.name).width > bbox.left + bbox.width;
    ctx.textAlign = isRight ? "right" : "left";
    ctx.fillText(tier.name, isRight ? x - 4 : x + 4, bbox.top + 12 * devicePixelRatio * (1 + (number % 4)));
  });
  ctx.restore();
}
