// Sign-in by OpenID Connect: authorization code with PKCE (RFC 7636). The token is kept in memory only.
import { useEffect, useState } from "preact/hooks";
import { texts } from "./texts";
import { address, noteScopes, useToken, whenRefused } from "./api";

interface Configuration {
  issuer: string | null;
  clientId: string | null;
  scope: string;
  broker: string | null;
}

let known: string | null = null;

/** `host:port` of the Kafka broker of a whole system on one machine; null of any other. */
export function broker(): string | null {
  return known;
}

interface SignIn {
  /** Whether views may ask: it is known whether a token is needed. */
  isReady: boolean;
  isSignedIn: boolean;
  /** Another number once somebody has signed out: what was read until then goes from the page. */
  session: number;
  /** Sign in, or out; null where the API takes no token. */
  start: (() => void) | null;
  /** Why it did not work, as a sentence. */
  problem: string | null;
}

const KEPT = "sign-in";

const redirect = (): string => new URL("./", document.baseURI).href;

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

const random = (): string => base64url(crypto.getRandomValues(new Uint8Array(32)));

async function endpoints(issuer: string): Promise<{ authorization_endpoint: string; token_endpoint: string }> {
  const found = await fetch(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`);
  if (!found.ok) throw new Error(`HTTP ${found.status}`);
  return (await found.json()) as { authorization_endpoint: string; token_endpoint: string };
}

async function begin({ issuer, clientId, scope }: Configuration): Promise<void> {
  const [verifier, state] = [random(), random()];
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
  sessionStorage.setItem(KEPT, JSON.stringify({ verifier, state, hash: location.hash }));
  const { authorization_endpoint } = await endpoints(issuer!);
  const query = new URLSearchParams({
    response_type: "code", client_id: clientId!, redirect_uri: redirect(), scope, state,
    code_challenge: base64url(new Uint8Array(digest)), code_challenge_method: "S256",
  });
  location.assign(`${authorization_endpoint}?${query.toString()}`);
}

/** The token for the code that the issuer has sent the browser back with; null if there is none. */
async function finish({ issuer, clientId }: Configuration): Promise<string | null> {
  const query = new URLSearchParams(location.search);
  const [code, state, kept] = [query.get("code"), query.get("state"), sessionStorage.getItem(KEPT)];
  sessionStorage.removeItem(KEPT);
  if (kept === null || (code === null && !query.has("error"))) return null;
  const before = JSON.parse(kept) as { verifier: string; state: string; hash: string };
  history.replaceState(null, "", `./${before.hash}`);
  dispatchEvent(new HashChangeEvent("hashchange")); // which the line above does not
  if (code === null || before.state !== state) throw new Error(query.get("error") ?? "another sign-in's answer");
  const { token_endpoint } = await endpoints(issuer!);
  const body = new URLSearchParams({
    grant_type: "authorization_code", code, redirect_uri: redirect(), client_id: clientId!, code_verifier: before.verifier,
  });
  const answer = await fetch(token_endpoint, { method: "POST", body });
  const { access_token } = (await answer.json()) as { access_token?: unknown };
  if (!answer.ok || typeof access_token !== "string") throw new Error(`HTTP ${answer.status}`);
  return access_token;
}

const RETRY_MS = 3_000;

/** How to sign in; null while the API can't say: nobody may take that for "no sign-in". */
async function ask(): Promise<Configuration | null> {
  const found = await fetch(address("/console/configuration.json")).catch(() => null);
  if (!found?.ok) return null;
  return (await found.json().catch(() => null)) as Configuration | null;
}

export function useSignIn(): SignIn {
  const [state, setState] = useState<SignIn>({ isReady: false, isSignedIn: false, session: 0, start: null, problem: null });
  useEffect(() => {
    void (async () => {
      let configuration: Configuration | null;
      while ((configuration = await ask()) === null) {
        setState((before) => ({ ...before, problem: texts.notConfigured }));
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
      known = configuration.broker;
      if (!configuration.issuer) return setState({ isReady: true, isSignedIn: false, session: 0, start: null, problem: null });
      const at = configuration;
      const failed = (isReady: boolean) => (error: unknown) => {
        console.warn(error);
        const problem = isSecureContext ? texts.signInFailed : texts.signInNeedsHttps;
        setState((before) => ({ ...before, isReady: before.isReady || isReady, problem }));
        return null;
      };
      const signIn = () => void begin(at).catch(failed(true));
      const out = () => {
        useToken(null);
        noteScopes(null);
        setState(({ session }) => ({ isReady: true, isSignedIn: false, session: session + 1, start: signIn, problem: null }));
      };
      const token = await finish(at).catch(failed(true));
      useToken(token);
      noteScopes(token);
      whenRefused(() => (useToken(null), setState((before) => ({ ...before, isSignedIn: false, start: signIn }))));
      const start = token === null ? signIn : out;
      const old = (problem: string | null) => problem === texts.notConfigured;
      setState((now) => ({ ...now, isReady: true, isSignedIn: token !== null, start, problem: old(now.problem) ? null : now.problem }));
    })();
  }, []);
  return state;
}
