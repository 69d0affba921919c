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
export type Profile = Schemas["ProfileView"];
export type PlayerWindows = Schemas["PlayerWindowsView"];
export type Explanation = Schemas["ExplanationView"];
export type Events = Schemas["EventsView"];
export type LedgerEvent = Schemas["EventView"];
export type Health = Schemas["HealthView"];
export type Dependency = Schemas["DependencyView"];
export type Disqualified = Schemas["DisqualifiedView"];
export type AuditLog = Schemas["AuditLogView"];
export type Closing = Schemas["ClosingView"];
export type Preview = Schemas["ResultPreviewView"];
export type Versions = Schemas["ResultVersionsView"];
export type Version = Schemas["ResultVersionView"];
export type ResultFile = Schemas["ResultFileView"];
export type DeadLetters = Schemas["DeadLettersView"];
export type DeadLetter = Schemas["DeadLetterView"];
export type Excerpt = Schemas["ExcerptView"];
export type Reason = Schemas["Reason"];
export type Rebuild = Schemas["RebuildView"];
export type Redriven = Schemas["RedrivenView"];
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
    /** How long the API asks to be left alone; null if it doesn't say. */
    readonly waitMs: number | null = null,
  ) {
    super(message);
  }
}

/** The API is reading days of the window from the truth; it says how far it is. */
export class StillBuilding extends ApiError {
  constructor(
    readonly progress: Building,
    retryMs: number,
  ) {
    super(texts.building(progress.daysRead, progress.days), 202, new Map(), retryMs);
  }
}

export interface Answer<T> {
  body: T;
  etag: string | null;
  /** Whether the API held the answer back until something changed. */
  waited: boolean;
}

const TIMEOUT_MS = 30_000; // of a request without a wait
const RETRY_MAX_S = 60;

let token: string | null = null;
let hadToken = false;
let administers = true;
let onRefused: () => void = () => undefined;

/** Send a token with every request; it is kept in memory only. */
export function useToken(value: string | null): void {
  token = value;
  hadToken ||= value !== null;
}

const ADMIN = "leaderboards:admin";

/** Whether forms of administration are worth showing; the API decides all the same. */
export function mayAdminister(): boolean {
  return administers;
}

/** Note who has signed in; a token that only the API can read is not taken for one without the scope. */
export function noteScopes(of: string | null): void {
  try {
    const [, payload] = of?.split(".") ?? [];
    const claims = JSON.parse(atob(payload!.replaceAll("-", "+").replaceAll("_", "/"))) as Record<string, unknown>;
    const scopes = [claims["scope"], claims["scp"]].flat().join(" ").split(" ");
    administers = scopes.some((one) => one.endsWith(ADMIN)); // an issuer may put its prefix before it
  } catch {
    administers = of !== null;
  }
}

/** Call something when the API refuses the token that was sent. */
export function whenRefused(call: () => void): void {
  onRefused = call;
}

const API = new URL("..", document.baseURI);

/** Where a path of the API is. */
export function address(path: string): string {
  return new URL(path.replace(/^\//, ""), API).href;
}

/** The path of a leaderboard, of a player of it, …; each part is encoded.
 *
 * Throws where a part is `.` or `..`: browsers take these for steps in the path, however they are written, and would ask
 * for something else.
 */
export function boardPath(id: string, ...parts: string[]): string {
  const step = [id, ...parts].find((part) => part === "." || part === "..");
  if (step !== undefined) throw new ApiError(texts.noAddress(step), 0);
  return ["/leaderboards", ...[id, ...parts].map(encodeURIComponent)].join("/");
}

interface Received {
  response: Response;
  text: string;
}

/** The answer with all of its content, which may break off or not come either. */
async function send(path: string, init: RequestInit, timeoutMs = TIMEOUT_MS): Promise<Received> {
  const headers = new Headers(init.headers);
  if (token !== null) headers.set("Authorization", `Bearer ${token}`);
  const inTime = AbortSignal.timeout(timeoutMs);
  const signal = init.signal ? AbortSignal.any([init.signal, inTime]) : inTime;
  try {
    const response = await fetch(address(path), { ...init, signal, headers, cache: "no-store" });
    return { response, text: await response.text() };
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(inTime.aborted ? texts.tooSlow : texts.unreachable, 0);
  }
}

/** The JSON of an answer; a proxy or another server may have sent something else. */
function read<T>({ response, text }: Received): T {
  let found: unknown = null;
  try {
    found = JSON.parse(text);
  } catch {
    // Said below, together with JSON that is no object.
  }
  if (typeof found !== "object" || found === null) throw new ApiError(texts.oddAnswer(response.status), response.status);
  return found as T;
}

function retryMs(response: Response): number | null {
  const seconds = Number(response.headers.get("Retry-After") ?? Number.NaN);
  return seconds > 0 ? Math.min(seconds, RETRY_MAX_S) * 1000 : null;
}

function failure(received: Received, unclear = texts.failed): ApiError {
  const { response } = received;
  if (response.status === 401) {
    onRefused();
    return new ApiError(hadToken ? texts.signInAgain : texts.signInFirst, 401);
  }
  const waitMs = retryMs(response);
  let problem: Partial<Problem> = {};
  try {
    problem = read<Partial<Problem>>(received);
  } catch {
    // A proxy's page says no more than its status.
  }
  if (!problem.title) return new ApiError(unclear(response.status), response.status, new Map(), waitMs);
  const fields = new Map((problem.errors ?? []).map((one) => [one.field, one.message]));
  const named = [...fields].map(([field, message]) => `${field} ${message}`).join("; ");
  const message = [problem.title, named || problem.detail].filter(Boolean).join(": ");
  return new ApiError(message, response.status, fields, waitMs);
}

/** The JSON of a GET with its ETag; null if nothing has changed since `etag`. */
export async function getTagged<T>(
  path: string,
  options: { etag?: string | null; waitS?: number; signal?: AbortSignal } = {},
): Promise<Answer<T> | null> {
  const headers = new Headers({ Accept: "application/json" });
  if (options.etag) headers.set("If-None-Match", options.etag);
  if (options.etag && options.waitS) headers.set("Prefer", `wait=${options.waitS}`);
  const timeoutMs = TIMEOUT_MS + (options.waitS ?? 0) * 1000;
  const received = await send(path, { headers, signal: options.signal ?? null }, timeoutMs);
  const { response } = received;
  if (response.status === 304) return null;
  if (response.status === 202) throw new StillBuilding(read<Building>(received), retryMs(response) ?? 1000);
  if (!response.ok) throw failure(received);
  const waited = response.headers.has("Preference-Applied");
  return { body: read<T>(received), etag: response.headers.get("ETag"), waited };
}

/** The JSON of a GET. */
export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const found = await getTagged<T>(path, signal ? { signal } : {});
  if (found === null) throw new ApiError(texts.oddAnswer(304), 304);
  return found.body;
}

/** The text of a GET, such as that of /metrics. */
export async function getText(path: string, signal?: AbortSignal): Promise<string> {
  const received = await send(path, { signal: signal ?? null, headers: { Accept: "application/openmetrics-text" } });
  if (!received.response.ok) throw failure(received);
  return received.text;
}

/** The health of every dependency, whether all are up or not. */
export async function getHealth(signal?: AbortSignal): Promise<Health> {
  const received = await send("/health", { signal: signal ?? null });
  const { status } = received.response;
  if (status !== 200 && status !== 503) throw failure(received);
  return read<Health>(received);
}

/** Send JSON and return the JSON of the answer. */
export async function post<T>(path: string, body: unknown): Promise<T> {
  const headers = { "Content-Type": "application/json" };
  const received = await send(path, { method: "POST", headers, body: JSON.stringify(body) }).catch(() => {
    throw new ApiError(texts.notSent, 0);
  });
  if (!received.response.ok) throw failure(received, texts.sendFailed);
  return read<T>(received);
}
