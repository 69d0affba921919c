// Follows the top of a leaderboard live, in a browser: an example to copy, without dependencies.
//
//     const stop = new AbortController();
//     follow("https://api.example.com/leaderboards/autumn-cup", (page) => paint(list, page), { signal: stop.signal });
//
// One request at a time waits at the server until the ranking changes (`Prefer: wait`), so a change shows within a
// second, and a board that stands still costs three requests a minute; a new name comes with the next of them. A tab that
// is hidden asks nothing.

/** What to paint a player with. */
export interface Profile {
  name: string | null;
  avatar: string | null;
  metadata: Record<string, unknown> | null;
}

export interface Entry {
  rank: number;
  competitionRank: number;
  userId: string;
  score: number;
  topPercent: number;
  tier: string | null;
  /** `null` for who has none; missing where it can't be had at the moment. */
  profile?: Profile | null;
}

export interface Page {
  revision: number;
  total: number;
  asOf: string;
  /** `live`; `snapshot`: as of `asOf`, while the live ranking can't answer; `final`: it will not change any more. */
  source: "live" | "snapshot" | "final";
  entries: Entry[];
}

export interface Options {
  window?: "daily" | "weekly" | "monthly" | "all-time";
  limit?: number;
  token?: string;
  signal?: AbortSignal;
  /** Told of every try that failed, with the seconds until the next one. */
  onError?: (error: Error, againInS: number) => void;
}

const WAIT_S = 20;
const PAUSE_MAX_S = 60;

/** Calls `onPage` with the ranking now and after every change, until the signal is aborted or asking is in vain. */
export async function follow(board: string, onPage: (page: Page) => void, options: Options = {}): Promise<void> {
  const { window = "all-time", limit = 10, token, signal, onError } = options;
  const url = `${board}/rankings?${new URLSearchParams({ window, limit: String(limit), include: "profile" })}`;
  let tag: string | null = null;
  let failures = 0;
  while (!signal?.aborted) {
    await visible(signal);
    const headers: Record<string, string> = { Prefer: `wait=${WAIT_S}` };
    if (token) headers.Authorization = `Bearer ${token}`;
    if (tag) headers["If-None-Match"] = tag;
    let pauseS = 0;
    try {
      const answer: Response = await fetch(url, { headers, signal: signal ?? null, cache: "no-store" });
      const retryS = Number(answer.headers.get("Retry-After") ?? 0);
      if (answer.status === 200) {
        tag = answer.headers.get("ETag");
        onPage((await answer.json()) as Page);
        // without a tag, or while too many others wait, the answer comes at once: then the pause is ours to make
        pauseS = Math.max(retryS, tag ? 0.2 : 1);
      } else if (answer.status === 304) {
        pauseS = Math.max(retryS, answer.headers.has("Preference-Applied") ? 0 : 1);
      } else if ([202, 429, 503].includes(answer.status)) {
        pauseS = Math.max(retryS, backoffS(failures++));
        onError?.(new Error(`${answer.status}, asked again`), pauseS);
        await pause(pauseS, signal);
        continue;
      } else if (answer.status < 500) {
        throw new Refused(`${answer.status}: ${await answer.text()}`); // asking the same again is in vain
      } else {
        throw new Error(`${answer.status}`);
      }
      failures = 0;
    } catch (error) {
      if (signal?.aborted) return;
      if (error instanceof Refused) throw error;
      pauseS = backoffS(failures++);
      onError?.(error as Error, pauseS);
    }
    await pause(pauseS, signal);
  }
}

/** Paints a page. Names and user ids are text, whatever they look like: never markup. */
export function paint(list: HTMLOListElement, page: Page): void {
  list.replaceChildren(
    ...page.entries.map((entry) => {
      const line = document.createElement("li");
      line.value = entry.rank;
      line.textContent = `${entry.profile?.name ?? entry.userId}: ${entry.score} (top ${entry.topPercent} %)`;
      return line;
    }),
  );
}

class Refused extends Error {}

function backoffS(failures: number): number {
  return Math.min(PAUSE_MAX_S, 2 ** failures) * (1 + Math.random() / 5);
}

function pause(seconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, seconds * 1000);
    function done(): void {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    }
    if (signal?.aborted) done();
    else signal?.addEventListener("abort", done);
  });
}

/** Resolves at once while the page is shown, else once it is. */
function visible(signal?: AbortSignal): Promise<void> {
  if (typeof document === "undefined" || !document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    function look(): void {
      if (document.hidden && !signal?.aborted) return;
      document.removeEventListener("visibilitychange", look);
      signal?.removeEventListener("abort", look);
      resolve();
    }
    document.addEventListener("visibilitychange", look);
    signal?.addEventListener("abort", look);
  });
}
