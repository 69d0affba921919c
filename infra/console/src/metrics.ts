// Samples of /metrics (OpenMetrics text), and what the pipeline view makes of two scrapes.

export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

const LINE = /^([a-z_:][\w:]*)(?:\{(.*)\})? (\S+)/i;
const LABEL = /([a-z_]\w*)="((?:[^"\\]|\\.)*)"/gi;

/** The samples of a scrape. */
export function parse(text: string): Sample[] {
  return text.split("\n").flatMap((line) => {
    const found = LINE.exec(line);
    if (found === null || line.startsWith("#")) return [];
    const [, name = "", list = "", value = ""] = found;
    const labels = Object.fromEntries([...list.matchAll(LABEL)].map(([, key = "", text = ""]) => [key, text.replace(/\\(.)/g, (_, one: string) => (one === "n" ? "\n" : one))]));
    return [{ name, labels, value: Number(value) }];
  });
}

export interface Scrape {
  atMs: number;
  samples: Sample[];
}

/** The samples of a series. */
export function series(scrape: Scrape, name: string): Sample[] {
  return scrape.samples.filter((one) => one.name === name);
}

/** The sum of a series, of the samples with some labels. */
export function total(scrape: Scrape, name: string, labels: Record<string, string> = {}): number {
  const wanted = Object.entries(labels);
  return series(scrape, name)
    .filter((one) => wanted.every(([label, value]) => one.labels[label] === value))
    .reduce((sum, one) => sum + one.value, 0);
}

/** How fast a counter grows, a second; null before there are two scrapes, and after it started over. */
export function rate(now: Scrape, before: Scrape | null, name: string, labels: Record<string, string> = {}): number | null {
  if (before === null || now.atMs <= before.atMs) return null;
  const grown = total(now, name, labels) - total(before, name, labels);
  return grown < 0 ? null : (grown * 1000) / (now.atMs - before.atMs);
}
