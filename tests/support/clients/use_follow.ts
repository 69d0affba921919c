// Follows a board with the example, and prints the first entry of each ranking, until it has changed once.
import { follow } from "./follow.js";

declare const process: { argv: string[] };

const stop = new AbortController();
let shown = 0;
await follow(
  process.argv[2]!,
  (page) => {
    console.log(JSON.stringify([page.entries[0]!.profile!.name, page.entries[0]!.score]));
    if (++shown === 2) stop.abort();
  },
  { signal: stop.signal, limit: 1 },
);
