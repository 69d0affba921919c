// What views share: asking again and again, the address, and the time.
import { useEffect, useRef, useState } from "preact/hooks";
import { type Answer, ApiError, getTagged } from "./api";

const WAIT_S = 15;
const RETRY_MS = 3_000;
const FRESH_MS = 250;

export interface Asked<T> {
  value: T | null;
  error: string | null;
  /** Whether there is no such thing. */
  isGone: boolean;
}

const NOTHING = { value: null, error: null, isGone: false };

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end, { once: true });
  });
}

function shown(signal: AbortSignal): Promise<void> {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    const look = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", look);
      signal.removeEventListener("abort", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    signal.addEventListener("abort", look, { once: true });
  });
}

/** A signal that also ends when the tab is hidden; `done` lets go of it. */
function whileShown(signal: AbortSignal): { signal: AbortSignal; done: () => void } {
  const control = new AbortController();
  const look = () => {
    if (document.hidden || signal.aborted) control.abort();
  };
  const done = () => {
    document.removeEventListener("visibilitychange", look);
    signal.removeEventListener("abort", look);
  };
  document.addEventListener("visibilitychange", look);
  signal.addEventListener("abort", look);
  look();
  return { signal: control.signal, done };
}

function pauseAfter(error: unknown, otherwiseMs: number): number {
  return error instanceof ApiError && error.waitMs !== null ? error.waitMs : otherwiseMs;
}

/** Whether asking again soon may help: the API was not there, or failed. */
function isPassing(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 0 || error.status >= 500);
}

/** Whether the API says that there is no such thing (any more): what was known of it is not old, but over. */
function isGone(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}

/** What is known by the keys it was asked for: another's is as good as nothing, also before an effect can clear it. */
function ofKeys<T extends object>(state: T & { keys: string }, keys: string, empty: T): T {
  return state.keys === keys ? state : empty;
}

/** Ask for something again every `everyMs` while the tab is shown; what was there stays while it fails. */
export function usePolled<T>(ask: (signal: AbortSignal) => Promise<T>, everyMs: number, keys: unknown[]): Asked<T> {
  const named = JSON.stringify(keys);
  const [state, setState] = useState<Asked<T> & { keys: string }>({ ...NOTHING, keys: named });
  const latest = useRef(ask);
  latest.current = ask;
  useEffect(() => {
    const control = new AbortController();
    setState({ ...NOTHING, keys: named });
    void (async () => {
      while (!control.signal.aborted) {
        await shown(control.signal);
        let pauseMs = everyMs;
        try {
          const value = await latest.current(control.signal);
          if (!control.signal.aborted) setState({ value, error: null, isGone: false, keys: named });
        } catch (error) {
          if (control.signal.aborted) return;
          pauseMs = pauseAfter(error, isPassing(error) ? Math.min(everyMs, RETRY_MS) : everyMs);
          setState((before) => ({ ...before, ...(isGone(error) ? { value: null } : {}), isGone: isGone(error), error: sentence(error) }));
        }
        await sleep(pauseMs, control.signal);
      }
    })();
    return () => control.abort();
  }, [named]);
  return ofKeys<Asked<T>>(state, named, NOTHING);
}

/** Follow a read that has an ETag: each change is shown as soon as the API knows it. One wait at a time, none while the
 * tab is hidden. */
export function useFollowed<T>(path: string): Asked<T> & { lastHeardMs: number } {
  const empty = { ...NOTHING, lastHeardMs: 0 };
  const [state, setState] = useState<Asked<T> & { lastHeardMs: number; keys: string }>({ ...empty, keys: path });
  useEffect(() => {
    const control = new AbortController();
    const { signal } = control;
    let etag: string | null = null;
    setState({ ...empty, keys: path });
    void (async () => {
      while (!signal.aborted) {
        await shown(signal);
        const visible = whileShown(signal);
        try {
          const began = performance.now();
          const found: Answer<T> | null = await getTagged<T>(path, { etag, waitS: WAIT_S, signal: visible.signal });
          if (signal.aborted) return;
          if (found !== null) {
            etag = found.etag;
            setState({ value: found.body, error: null, isGone: false, lastHeardMs: Date.now(), keys: path });
          } else {
            setState((before) => ({ ...before, error: null, lastHeardMs: Date.now() }));
          }
          const quick = performance.now() - began < FRESH_MS;
          if (etag === null || (found === null && quick)) await sleep(RETRY_MS, signal);
          else if (quick) await sleep(FRESH_MS, signal);
        } catch (error) {
          if (signal.aborted) return;
          if (visible.signal.aborted) continue;
          setState((before) => ({ ...before, ...(isGone(error) ? { value: null } : {}), isGone: isGone(error), error: sentence(error) }));
          await sleep(pauseAfter(error, RETRY_MS), signal);
        } finally {
          visible.done();
        }
      }
    })();
    return () => control.abort();
  }, [path]);
  return ofKeys<Asked<T> & { lastHeardMs: number }>(state, path, empty);
}

/** What went wrong, as one sentence. */
export function sentence(error: unknown): string {
  return error instanceof ApiError || error instanceof Error ? error.message : String(error);
}

/** The part of the address behind `#`, split at `/`, and its query; the part `?` alone if it can't be decoded. */
export interface Place {
  parts: string[];
  query: URLSearchParams;
}

function place(): Place {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  try {
    return { parts: path.split("/").filter(Boolean).map(decodeURIComponent), query: new URLSearchParams(query) };
  } catch {
    return { parts: ["?"], query: new URLSearchParams() };
  }
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

/** A value once it has not changed for a moment. */
export function useSettled<T>(value: T, ms: number): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
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
