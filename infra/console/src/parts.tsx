// Small pieces that several views show.
import type { ComponentChildren } from "preact";
import { useClock } from "./hooks";
import { duration, texts } from "./texts";

/** What went wrong; nothing while all is well. */
export function Problem({ error }: { error: string | null }) {
  return (
    <p class="problem" role="status" hidden={error === null}>
      {error}
    </p>
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

/** A titled section; it can have the focus, so that keys scroll what is wider than it. */
export function Card({ title, children, wide = false }: { title: string; children: ComponentChildren; wide?: boolean }) {
  return (
    <section class={wide ? "card wide" : "card"} tabIndex={0} aria-label={title}>
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
