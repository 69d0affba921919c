// Small pieces that several views show.
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useState } from "preact/hooks";
import { useClock } from "./hooks";
import { duration, texts } from "./texts";

const SIGN_IN: readonly string[] = [texts.signInFirst, texts.signInAgain];

/** Sentence → how many parts of the page have it to say. */
const said = new Map<string, number>();
const listeners = new Set<() => void>();

function say(sentence: string, by: 1 | -1): void {
  const now = (said.get(sentence) ?? 0) + by;
  if (now > 0) said.set(sentence, now);
  else said.delete(sentence);
  listeners.forEach((tell) => tell());
}

/** What concerns the whole page: a missing sign-in, and whatever several parts have to say. */
function concernsAll(sentence: string): boolean {
  return SIGN_IN.includes(sentence) || (said.get(sentence) ?? 0) > 1;
}

function useSaid(): void {
  const [, again] = useState({});
  useLayoutEffect(() => {
    const tell = () => again({});
    listeners.add(tell);
    tell();
    return () => void listeners.delete(tell);
  }, []);
}

/** What went wrong; nothing while all is well, or where the top of the page says it for several parts. What was asked for
 * here is answered here (`isHere`), whatever else is wrong. */
export function Problem({ error, isHere = false }: { error: string | null; isHere?: boolean }) {
  useSaid();
  useLayoutEffect(() => {
    if (error === null) return;
    say(error, 1);
    return () => say(error, -1);
  }, [error]);
  return <Sentence text={error !== null && concernsAll(error) && !isHere ? null : error} />;
}

function Sentence({ text }: { text: string | null }) {
  return <p class="problem" role="status" hidden={text === null}>{text}</p>;
}

/** At the top of the page, each sentence that concerns all of it, once. */
export function Notices({ signIn }: { signIn: (() => void) | null }) {
  useSaid();
  return (
    <div class="notices">
      {[...said.keys()].filter(concernsAll).map((sentence) => (
        <div key={sentence} class="bar">
          <Sentence text={sentence} />
          {SIGN_IN.includes(sentence) && signIn !== null && <button onClick={signIn}>{texts.signInNow}</button>}
        </div>
      ))}
    </div>
  );
}

/** How long ago an instant is. */
export function Ago({ at }: { at: string }) {
  const now = useClock();
  return (
    <time dateTime={at} title={at}>
      {duration(now - Date.parse(at))}
    </time>
  );
}

/** An instant, short, with the whole of it as a title. */
export function Instant({ at }: { at: string | null }) {
  if (at === null) return null;
  return (
    <time dateTime={at} title={at}>
      {at.replace("T", " ").replace(/(\.\d+)?Z$/, "")}
    </time>
  );
}

interface Fresh {
  source: string;
  asOf: string;
  revision: number;
  resultVersion?: number | undefined;
  pendingVersion?: number | undefined;
}

/** From where a ranking was read, and as of when; while reading it fails, only that it is old. */
export function Freshness({ of, approximate = false, error }: { of: Fresh; approximate?: boolean; error: string | null }) {
  const isLive = of.source === "live" && error === null;
  return (
    <p class="freshness">
      {error !== null && <span class="badge snapshot" title={texts.oldTitle}>{texts.old}</span>}
      {error === null && <span class={`badge ${of.source}`} title={`${texts.sourceTitle[of.source]} ${texts.revision(of.revision)}`}>
        {texts.source[of.source] ?? of.source}
      </span>}
      {approximate && <span class="badge snapshot">{texts.approximate}</span>}
      {!isLive && <span>{texts.asOf} <Ago at={of.asOf} /> {texts.ago}</span>}
      {of.resultVersion !== undefined && <span>{texts.resultVersion(of.resultVersion)}</span>}
      {of.pendingVersion !== undefined && <span class="badge pending">{texts.pendingVersion(of.pendingVersion)}</span>}
    </p>
  );
}

/** A function that gives an element its height: a style sheet of the page may not, by its content security policy. */
export function tall(px: number): (element: HTMLElement | null) => void {
  return (element) => {
    if (element !== null) element.style.height = `${px}px`;
  };
}

/** A player: the id, which everything goes by, and the name of their profile, as text whatever it holds. */
export function Who({ of, at }: { of: Named; at: string }) {
  const name = of.profile?.name ?? null;
  return (
    <>
      <a href={at}><bdi>{of.userId}</bdi></a>
      {name !== null && <>{" "}<bdi class="quiet" title={name}>{name}</bdi></>}
    </>
  );
}

interface Named {
  userId: string;
  profile?: { name: string | null } | null | undefined;
}

/** A titled section; it can have the focus, so that keys scroll what is wider than it. */
export function Card({ title, children, size = "" }: { title: string; children: ComponentChildren; size?: "" | "wide" | "full" }) {
  return (
    <section class={`card ${size}`} tabIndex={0} aria-label={title}>
      <h2>{title}</h2>
      {children}
    </section>
  );
}

/** A tier's name, coloured by its place among the tiers. */
export function TierTag({ name, names }: { name: string | null; names: readonly string[] }) {
  if (name === null) return null;
  return <span class={`tag tier-${names.includes(name) ? Math.min(5, names.indexOf(name)) : 5}`}>{name}</span>;
}
