// The list of leaderboards.
import { get, type Board } from "./api";
import { Problem } from "./parts";
import { link, usePolled } from "./hooks";
import { texts } from "./texts";

interface Page {
  leaderboards: Board[];
  nextAfter: string | null;
}

const BOARDS_MAX = 1_000;

async function readAll(signal: AbortSignal): Promise<{ found: Board[]; isCut: boolean }> {
  const found: Board[] = [];
  for (let after: string | null = null; ; ) {
    const more: string = after === null ? "" : `&after=${encodeURIComponent(after)}`;
    const page: Page = await get<Page>(`/leaderboards?limit=100${more}`, signal);
    found.push(...page.leaderboards);
    after = page.nextAfter;
    if (after === null || found.length >= BOARDS_MAX) return { found, isCut: after !== null };
  }
}

export function BoardsPage() {
  const { value, error } = usePolled(readAll, 10_000, []);
  return (
    <>
      <h1>{texts.boards}</h1>
      <Problem error={error} />
      {value === null && error === null && <p>{texts.loading}</p>}
      {value?.found.length === 0 && <p>{texts.noBoards}</p>}
      {value?.isCut && <p role="status">{texts.boardsCut(value.found.length)}</p>}
      <ul class="boards">
        {value?.found.map((one) => (
          <li key={one.id}>
            <a href={link(["leaderboards", one.id])}>
              <strong>{one.name}</strong>
              <span class="quiet">{one.id}</span>
              <span>{texts.aggregation[one.aggregation]}</span>
              <span class="tags">
                {one.tiers.map((tier) => (
                  <span class="tag" key={tier.name}>
                    {tier.name}
                  </span>
                ))}
              </span>
            </a>
          </li>
        ))}
      </ul>
    </>
  );
}
