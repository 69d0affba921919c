// The public HTTP API, as docs/openapi describes it. Every failure is one sentence that a person can act on.
import type { components } from "./openapi";
import { texts } from "./texts";

type Schemas = components["schemas"];
export type Board = Schemas["LeaderboardView"];
export type Tier = Schemas["TierView"];
export type Period = Schemas["PeriodView"];
export type Ranking = Schemas["RankingView"];
export type Entry = Schemas["EntryView"];
export type Neighbours = Schemas["NeighboursView"];
export type PlayerWindows = Schemas["PlayerWindowsView"];
export type Explanation = Schemas["ExplanationView"];
export type Events = Schemas["EventsView"];
export type LedgerEvent = Schemas["EventView"];
export type Health = Schemas["HealthView"];
export type AuditLog = Schemas["AuditLogView"];
export type Closing = Schemas["ClosingView"];
export type Preview = Schemas["ResultPreviewView"];
export type Versions = Schemas["ResultVersionsView"];
export type Version = Schemas["ResultVersionView"];
export type ResultFile = Schemas["ResultFileView"];
type Problem = Schemas["Problem"];
type Building = Schemas["BuildingView"];

/** The API said no, or could not be reached. `message` is a sentence for people. */
export class ApiError extends Error {
  constructor(
    message: string,
    /** HTTP status; 0 if there was no answer. */
    readonly status: number,
    /** Field of the request → what it must be. */
    readonly fields: ReadonlyMap<string, string> = new Map(),
  ) {
    super(message);
  }
}

/** The API is reading days of the window from the truth; it says how far it is. */
export class StillBuilding extends ApiError {
  constructor(
    readonly progress: Building,
    readonly retryMs: number,
  ) {
    super(texts.building(progress.daysRead, progress.days), 202);
  }
}

export interface Answer<T> {
  body: T;
  etag: string | null;
  /** Whether the API held the answer back until something changed. */
  waited: boolean;
}

let token: string | null = null;

/** Send a token with every request; it is kept in memory only. */
export function useToken(value: string | null): void {
  token = value;
}

const API = new URL("..", document.baseURI);

/** Where a path of the API is. */
export function address(path: string): string {
  return new URL(path.replace(/^\//, ""), API).href;
}

/** The path of a leaderboard, of a player of it, …; each part is encoded. */
export function boardPath(id: string, ...parts: string[]): string {
  return ["/leaderboards", ...[id, ...parts].map(encodeURIComponent)].join("/");
}

async function send(path: string, init: RequestInit): Promise<Response> {
  const headers = new Headers(init.headers);
  if (token !== null) headers.set("Authorization", `Bearer ${token}`);
  try {
    return await fetch(address(path), { ...init, headers, cache: "no-store" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(texts.unreachable, 0);
  }
}

async function failure(response: Response): Promise<ApiError> {
  if (response.status === 401) return new ApiError(texts.signInAgain, 401);
  try {
    const problem = (await response.json()) as Problem;
    const fields = new Map((problem.errors ?? []).map((one) => [one.field, one.message]));
    const named = [...fields].map(([field, message]) => `${field} ${message}`).join("; ");
    return new ApiError([problem.title, named || problem.detail].filter(Boolean).join(": "), response.status, fields);
  } catch {
    return new ApiError(texts.oddAnswer(response.status), response.status);
  }
}

/** The JSON of a GET with its ETag; null if nothing has changed since `etag`. */
export async function getTagged<T>(
  path: string,
  options: { etag?: string | null; waitS?: number; signal?: AbortSignal } = {},
): Promise<Answer<T> | null> {
  const headers = new Headers({ Accept: "application/json" });
  if (options.etag) headers.set("If-None-Match", options.etag);
  if (options.etag && options.waitS) headers.set("Prefer", `wait=${options.waitS}`);
  const response = await send(path, { headers, signal: options.signal ?? null });
  if (response.status === 304) return null;
  if (response.status === 202) {
    const seconds = Number(response.headers.get("Retry-After") ?? 1);
    throw new StillBuilding((await response.json()) as Building, seconds * 1000);
  }
  if (!response.ok) throw await failure(response);
  const waited = response.headers.has("Preference-Applied");
  return { body: (await response.json()) as T, etag: response.headers.get("ETag"), waited };
}

/** The JSON of a GET. */
export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const found = await getTagged<T>(path, signal ? { signal } : {});
  if (found === null) throw new ApiError(texts.oddAnswer(304), 304);
  return found.body;
}

/** The text of a GET, such as that of /metrics. */
export async function getText(path: string, signal?: AbortSignal): Promise<string> {
  const response = await send(path, { signal: signal ?? null, headers: { Accept: "application/openmetrics-text" } });
  if (!response.ok) throw await failure(response);
  return response.text();
}

/** The health of every dependency, whether all are up or not. */
export async function getHealth(signal?: AbortSignal): Promise<Health> {
  const response = await send("/health", { signal: signal ?? null });
  if (response.status !== 200 && response.status !== 503) throw await failure(response);
  return (await response.json()) as Health;
}

/** Send JSON and return the JSON of the answer. */
export async function post<T>(path: string, body: unknown): Promise<T> {
  const headers = { "Content-Type": "application/json" };
  const response = await send(path, { method: "POST", headers, body: JSON.stringify(body) });
  if (!response.ok) throw await failure(response);
  return (await response.json()) as T;
}
