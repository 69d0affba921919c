// What views share: asking again and again, the address, and the time.
import { useEffect, useRef, useState } from "preact/hooks";
import { type Answer, ApiError, StillBuilding, getTagged } from "./api";

const WAIT_S = 15;
const RETRY_MS = 3_000;
const FRESH_MS = 250;

export interface Asked<T> {
  value: T | null;
  error: string | null;
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

function shown(signal: AbortSignal): Promise<void> {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    const look = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    signal.addEventListener("abort", look, { once: true });
  });
}

/** Ask for something again every `everyMs` while the tab is shown; what was there stays while it fails. */
export function usePolled<T>(ask: (signal: AbortSignal) => Promise<T>, everyMs: number, keys: unknown[]): Asked<T> {
  const [state, setState] = useState<Asked<T>>({ value: null, error: null });
  useEffect(() => {
    const control = new AbortController();
    setState({ value: null, error: null });
    void (async () => {
      while (!control.signal.aborted) {
        await shown(control.signal);
        let pauseMs = everyMs;
        try {
          const value = await ask(control.signal);
          if (!control.signal.aborted) setState({ value, error: null });
        } catch (error) {
          if (control.signal.aborted) return;
          if (error instanceof StillBuilding) pauseMs = error.retryMs;
          setState((before) => ({ value: before.value, error: sentence(error) }));
        }
        if (everyMs === Infinity && pauseMs === Infinity) return;
        await sleep(pauseMs, control.signal);
      }
    })();
    return () => control.abort();
  }, keys);
  return state;
}

/** Follow a read that has an ETag: each change is shown as soon as the API knows it. One wait at a time, none while the
 * tab is hidden. */
export function useFollowed<T>(path: string): Asked<T> & { lastHeardMs: number } {
  const [state, setState] = useState<Asked<T> & { lastHeardMs: number }>({ value: null, error: null, lastHeardMs: 0 });
  useEffect(() => {
    const control = new AbortController();
    const { signal } = control;
    let etag: string | null = null;
    setState({ value: null, error: null, lastHeardMs: 0 });
    void (async () => {
      while (!signal.aborted) {
        await shown(signal);
        try {
          const began = performance.now();
          const found: Answer<T> | null = await getTagged<T>(path, { etag, waitS: WAIT_S, signal });
          if (signal.aborted) return;
          if (found !== null) {
            etag = found.etag;
            setState({ value: found.body, error: null, lastHeardMs: Date.now() });
          } else {
            setState((before) => ({ ...before, error: null, lastHeardMs: Date.now() }));
          }
          const quick = performance.now() - began < FRESH_MS;
          if (etag === null || (found === null && quick)) await sleep(RETRY_MS, signal);
          else if (quick) await sleep(FRESH_MS, signal);
        } catch (error) {
          if (signal.aborted) return;
          const pauseMs = error instanceof StillBuilding ? error.retryMs : RETRY_MS;
          setState((before) => ({ ...before, error: sentence(error) }));
          await sleep(pauseMs, signal);
        }
      }
    })();
    return () => control.abort();
  }, [path]);
  return state;
}

/** What went wrong, as one sentence. */
export function sentence(error: unknown): string {
  return error instanceof ApiError || error instanceof Error ? error.message : String(error);
}

/** The part of the address behind `#`, split at `/`, and its query. */
export interface Place {
  parts: string[];
  query: URLSearchParams;
}

function place(): Place {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  return { parts: path.split("/").filter(Boolean).map(decodeURIComponent), query: new URLSearchParams(query) };
}

export function usePlace(): Place {
  const [now, setNow] = useState(place);
  useEffect(() => {
    const follow = () => setNow(place());
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return now;
}

/** The address of a view. */
export function link(parts: string[], query: Record<string, string | undefined> = {}): string {
  const pairs = Object.entries(query).filter((pair): pair is [string, string] => !!pair[1]);
  const search = new URLSearchParams(pairs).toString();
  return `#/${parts.map(encodeURIComponent).join("/")}${search ? `?${search}` : ""}`;
}

/** The time in ms, again every second. */
export function useClock(): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

/** The value that something had when it was first there, under a key. */
export function useFirst<T>(key: string, value: T | null): T | null {
  const first = useRef<{ key: string; value: T } | null>(null);
  if (value !== null && first.current?.key !== key) first.current = { key, value };
  return first.current?.key === key ? first.current.value : null;
}
