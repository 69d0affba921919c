// Sign-in by OpenID Connect: authorization code with PKCE (RFC 7636). The token is kept in memory only.
import { useEffect, useState } from "preact/hooks";
import { address, useToken } from "./api";

interface Configuration {
  issuer: string | null;
  clientId: string | null;
  scope: string;
}

interface SignIn {
  /** Whether views may ask: it is known whether a token is needed. */
  isReady: boolean;
  isSignedIn: boolean;
  /** Sign in, or out; null where the API takes no token. */
  start: (() => void) | null;
}

const KEPT = "sign-in";

const redirect = (): string => new URL("./", document.baseURI).href;

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

const random = (): string => base64url(crypto.getRandomValues(new Uint8Array(32)));

async function endpoints(issuer: string): Promise<{ authorization_endpoint: string; token_endpoint: string }> {
  const found = await fetch(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`);
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
  if (code === null || kept === null) return null;
  const before = JSON.parse(kept) as { verifier: string; state: string; hash: string };
  history.replaceState(null, "", `./${before.hash}`);
  if (before.state !== state) return null;
  const { token_endpoint } = await endpoints(issuer!);
  const body = new URLSearchParams({
    grant_type: "authorization_code", code, redirect_uri: redirect(), client_id: clientId!, code_verifier: before.verifier,
  });
  const answer = await fetch(token_endpoint, { method: "POST", body });
  if (!answer.ok) return null;
  return ((await answer.json()) as { access_token: string }).access_token;
}

export function useSignIn(): SignIn {
  const [state, setState] = useState<SignIn>({ isReady: false, isSignedIn: false, start: null });
  useEffect(() => {
    void (async () => {
      const found = await fetch(address("/console/configuration.json")).catch(() => null);
      const configuration = found?.ok ? ((await found.json()) as Configuration) : null;
      if (!configuration?.issuer) return setState({ isReady: true, isSignedIn: false, start: null });
      const signIn = () => void begin(configuration);
      const signOut = () => (useToken(null), setState({ isReady: true, isSignedIn: false, start: signIn }));
      const token = await finish(configuration).catch(() => null);
      useToken(token);
      setState({ isReady: true, isSignedIn: token !== null, start: token === null ? signIn : signOut });
    })();
  }, []);
  return state;
}
