// What a client of a leaderboard does, by the types that openapi-typescript has made of the contract.
//
//     node use_generated.js URL BOARD
//
// Prints one JSON object of what was answered.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { argv: string[] };

const [, , url, id] = process.argv as [string, string, string, string];
// filters are parameters of their own: attr.country=DE
const client = createClient<paths>({ baseUrl: url, querySerializer: { object: { style: "form", explode: true } } });
type Query = NonNullable<paths["/leaderboards/{id}/rankings"]["get"]["parameters"]["query"]>;

function found<T>(answer: { data?: T; error?: unknown }): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

async function rankings(query: Query): Promise<components["schemas"]["RankingView"]> {
  const page = found(await client.GET("/leaderboards/{id}/rankings", { params: { path: { id }, query } }));
  if (!("entries" in page)) throw new Error("being built");
  return page;
}

const pages: unknown[] = [];
let cursor: string | null | undefined;
do {
  const page = await rankings(cursor ? { limit: 10, cursor } : { limit: 10 });
  pages.push(page.entries.map((one) => [one.rank, one.userId, one.score, one.topPercent]));
  cursor = page.nextCursor;
} while (cursor);

const friends = await rankings({ userIds: ["p1", "p,2"] });
const german = await rankings({ attributes: { "attr.country": "DE" } });
const one = (userId: string) =>
  client.GET("/leaderboards/{id}/players/{userId}", { params: { path: { id, userId }, query: { context: 1 } } });
const player = found(await one("p5"));
if (!("player" in player)) throw new Error("being built");

const started = found(
  await client.GET("/leaderboards/{id}/export", { params: { path: { id }, query: { format: "ndjson" } } }),
);
let job: components["schemas"]["ExportView"] = started;
while (job.state !== "done") {
  if (job.state === "failed") throw new Error(job.error ?? "failed");
  await new Promise((resolve) => setTimeout(resolve, 200));
  const params = { path: { id, exportId: started.id } };
  job = found(await client.GET("/leaderboards/{id}/exports/{exportId}", { params }));
}
const lines = (await (await fetch(job.url!)).text()).trim().split("\n").length;

const missing = await one("nobody");
console.log(
  JSON.stringify({
    pages,
    friends: friends.entries.map((entry) => entry.userId),
    german: german.entries.map((entry) => entry.userId),
    player: [player.player.rank, player.above[0]!.userId, player.below[0]!.userId],
    lines,
    error: [missing.response.status, missing.error?.type, missing.error?.title],
  }),
);
