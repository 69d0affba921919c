// Every English text of the console, so that it can be read, corrected and translated in one place.

import type { Reason } from "./api";

const number = new Intl.NumberFormat("en");
const fine = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });

export const count = (value: number): string => number.format(value);
export const decimal = (value: number): string => fine.format(value);

function spell(value: number, one: string, many: string): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

const mebibytes = (bytes: number): string => decimal(bytes / 2 ** 20);
const perSecond = (rate: number): string => `${rate < 10 ? decimal(rate) : count(Math.round(rate))}/s`;

/** An id in a sentence: one that is written from right to left may not turn the words around it. */
function isolated(id: string): string {
  return /^[\x20-\x7e]*$/.test(id) ? id : `\u2068${id}\u2069`;
}

/** A duration in words of at most two units, e.g. `2 h 5 min`. */
export function duration(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return ms < 1000 ? `${Math.max(0, Math.round(ms))} ms` : `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

/** How many of the letters that a redrive would take are on the page. */
function redriveShown(all: number, here: number, isMore: boolean): string {
  if (!isMore && all === here) return all === 0 ? "so nothing would be sent" : "all of them shown above";
  return `of which ${count(here)} ${here === 1 ? "is" : "are"} shown above and ${isMore ? "all others" : count(all - here)} not`;
}

/** For this machine's Kafka; README has it, too. */
const badEvent = (broker: string): string => `.venv/bin/python -c '
import json, confluent_kafka
event = {"eventId": "bad-1", "leaderboardId": "demo", "userId": "ann", "points": "many"}
producer = confluent_kafka.Producer({"bootstrap.servers": "${broker}"})
producer.produce("score-events", json.dumps(event), "demo:ann")
exit("Kafka did not answer" if producer.flush(10) else 0)'`;

export const texts = {
  title: "Leaderboards",
  boards: "Leaderboards",
  pipeline: "Pipeline",
  results: "Results",
  ranking: "Ranking",
  auditLog: "Audit log",
  signIn: "Sign in",
  signInNow: "Go to the sign-in",
  signOut: "Sign out",
  unreachable: "The API can't be reached. The page tries again by itself; nothing that you typed is lost.",
  signInFirst: "You see this once you have signed in.",
  signInAgain: "Your sign-in is over. Sign in again; nothing that you typed is lost.",
  oddAnswer: (status: number) => `The API gave an answer that this page can't read (HTTP ${status}).`,
  failed: (status: number) => `The API failed (HTTP ${status}). The page tries again by itself; nothing that you typed is lost.`,
  notSent: "The API can't be reached. Nothing that you typed is lost; whether it arrived, the audit log says.",
  sendFailed: (status: number) => `The API failed (HTTP ${status}). Nothing that you typed is lost; whether it was done, the audit log says.`,
  tooSlow: "The API takes too long to answer. The page tries again by itself; nothing that you typed is lost.",
  noAddress: (id: string) => `No browser can ask for "${id}": it would read the dots as steps in the address.`,
  oddLink: "This address is not one of this page's: a % in it is not followed by two digits. Choose a leaderboard.",
  broken: "The page could not show this. Reload it, or choose another view.",
  signInFailed: "The sign-in did not work. Try again, or ask whoever runs the issuer.",
  notConfigured: "The API does not say yet how to sign in. The page tries again by itself.",
  signInNeedsHttps: "Browsers sign in only on pages served by https.",
  building: (read: number, days: number) => `The window is being read from the database: ${count(read)} of ${spell(days, "day", "days")}.`,
  loading: "Loading …",
  retry: "Try again",
  noBoards: "There are no leaderboards yet. Create one with PUT /leaderboards/{id}; `make run` makes the leaderboard demo.",
  boardsCut: (shown: number) => `Only the first ${count(shown)} are listed. Others open by their id: /console/#/leaderboards/ID.`,
  nobody: "Nobody has scored in this window yet.",
  more: "Show more",
  open: "Open",
  none: "none",

  kind: { daily: "Day", weekly: "Week", monthly: "Month", "all-time": "All time", custom: "Period" } as Record<string, string>,
  window: "Window",
  day: "Date",
  today: "today",
  clocks: (zone: string, from: string) => `${zone}${from === "00:00" ? "" : `, from ${from}`}`,
  period: "Period",
  players: (total: number) => spell(total, "player", "players"),
  revision: (revision: number) => `Revision ${revision}.`,
  asOf: "as of",
  ago: "ago",
  old: "not up to date",
  oldTitle: "The API has not answered since. This is what it said last.",
  source: {
    live: "live",
    snapshot: "snapshot",
    final: "final result",
  } as Record<string, string>,
  sourceTitle: {
    live: "Read from the cache, which holds every event that is in the database.",
    snapshot: "The cache may lack something now. These are the ranks of the last snapshot of the database.",
    final: "The window is over. This is its result, which never changes without a new version.",
  } as Record<string, string>,
  approximate: "approximate rank",
  resultVersion: (version: number) => `result version ${version}`,
  pendingVersion: (version: number) => `version ${version} is being made`,
  jump: "Go to rank or player",
  jumpHint: "rank or player id",
  go: "Go",
  goPlayer: "Open player",
  backToStart: "Back to the start",
  noSuchRank: (rank: number, total: number) => `There is no rank ${count(rank)}: the window has ${spell(total, "player", "players")}.`,
  filter: (name: string) => `Only ${name}`,
  anyValue: "any",
  columns: { rank: "Rank", moved: "Moved", player: "Player", score: "Score", reached: "Reached", top: "Top", tier: "Tier" },
  movedUp: (places: number) => `up ${count(places)} since you opened this page`,
  movedDown: (places: number) => `down ${count(places)} since you opened this page`,
  movedNew: "new since you opened this page",
  tiers: "Tiers",
  scoreByRank: "Score by rank, with the place that each tier ends at",
  cutoff: "Last place",
  cutoffScore: "Score there",
  rule: {
    topN: (n: number) => `first ${count(n)}`,
    topPercent: (p: number) => `best ${decimal(p)} %`,
    minScore: (s: number) => `${count(s)} points or more`,
    maxScore: (s: number) => `${count(s)} points or fewer`,
  },
  shared: "with all who share the last place's score",
  onlyFor: (kinds: string) => `only for ${kinds}`,
  noTiers: "This leaderboard has no tiers.",
  definition: "Rules",
  aggregation: {
    sum: "Points add up",
    best: "The best event counts",
    latest: "The latest event counts",
  } as Record<string, string>,
  order: { desc: "the highest score ranks first", asc: "the lowest score ranks first" } as Record<string, string>,
  version: (version: number) => `version ${version} of the rules`,

  allWindows: "Where the player stands",
  notRanked: "not ranked",
  aroundPlayer: "Neighbours",
  toNextRank: (points: number) => `${spell(points, "point", "points")} to the next rank`,
  toNextTier: (points: number) => `${spell(points, "point", "points")} to the next tier`,
  first: "nobody is ahead",
  history: "Rank by day",
  historyEmpty: "The player has no rank on any of these days.",
  why: "Why this rank",
  days: "Days",
  dayOut: "out",
  dayDecides: "decides",
  eventsNot: "Events that are not in the score",
  eventsIn: "Events in the score",
  eventsLeft: (shown: number) => `The latest ${count(shown)}; all of them are listed below.`,
  eventsSome: "The ledger is long: the score is of more events than were looked at here.",
  dayIsOut: "its day is out",
  moves: "What would move it",
  rises: {
    sum: (points: number, rank: number) => `${spell(points, "point", "points")} more: rank ${count(rank)} or better.`,
    sumLess: (points: number, rank: number) => `${spell(points, "point", "points")} fewer: rank ${count(rank)} or better.`,
    score: (score: number, rank: number) => `A score of ${count(score)}: rank ${count(rank)} or better.`,
  },
  falls: {
    sum: (user: string, points: number) => `${isolated(user)} is ahead with ${spell(points, "point", "points")} more.`,
    sumLess: (user: string, points: number) => `${isolated(user)} is ahead with ${spell(points, "point", "points")} fewer.`,
    score: (user: string, score: number) => `${isolated(user)} is ahead with a score of ${count(score)}.`,
  },
  dayPart: (day: string, events: number) => `${day}: ${spell(events, "event", "events")}`,
  scoreIs: "Score",
  whenReached: "reached",
  tie: {
    score: "the score decides",
    reachedAt: "same score: who reached it first is ahead",
    userId: "same score at the same millisecond: the id decides",
  } as Record<string, string>,
  ahead: (user: string) => `Behind ${isolated(user)}`,
  behind: (user: string) => `Ahead of ${isolated(user)}`,
  tierMet: "in it",
  tierMissed: (points: number | null) => (points === null ? "not reached" : `${spell(points, "point", "points")} short`),
  agrees: "The events add up to this score.",
  agreesNot: "The events add up to another score: the cache is being repaired, or events came meanwhile.",
  qualifiesNot: "The score does not qualify for tiers.",
  daysOut: (from: string, to: string) => `Disqualified from ${from} to ${to}: these days don't count.`,
  events: "Events in the ledger",
  eventColumns: { event: "Event", points: "Points", occurred: "Occurred", appended: "At the broker", place: "Kafka record", mark: "" },
  counts: "counts",
  countsNot: "does not decide",
  voided: (entry: number) => `void by audit entry ${entry}`,
  added: (entry: number) => `added by audit entry ${entry}`,
  noEvents: "The ledger has no events of this player.",

  isOut: "Disqualified: the player is in no ranking of this leaderboard; the ledger keeps their events.",
  isOutFor: (from: string, to: string) => `Disqualified for the days from ${from} to ${to}.`,
  outWhy: "Who did it, and why",

  administration: "Administration",
  administrationHint: "All of it is in the audit log, with your name and the reason.",
  administrationNot: "Taking players out and correcting scores needs a sign-in with the scope leaderboards:admin.",
  reason: "Reason",
  fromDay: "From (empty: all days)",
  toDay: "To",
  disqualify: "Disqualify",
  reinstate: "Reinstate",
  void: "Void this event",
  correct: "Add a correction",
  points: "Points",
  occurredAt: "Occurred at",
  eventId: "Event id",
  willDisqualify: (user: string, from: string, to: string) =>
    from ? `${isolated(user)} leaves every ranking for the days from ${from} to ${to || from}. Final results of windows with these days get another version.`
      : `${isolated(user)} leaves every ranking of this leaderboard. Final results that name the player get another version. The ledger keeps all events.`,
  willReinstate: (user: string, from: string, to: string) =>
    from ? `${isolated(user)} comes back for the days from ${from} to ${to || from}. Final results of windows with these days get another version.`
      : `${isolated(user)} comes back with every event since. Final results get another version.`,
  fromMissing: "From must be given where To is: without it, all days are meant.",
  pointsInexact: "Points must be a whole number of at most 2^53 - 1: browsers send no larger one exactly.",
  willVoid: (event: string) => `Event ${isolated(event)} counts no longer. It stays in the ledger, marked; final results with its day get another version.`,
  willCorrect: (points: number) => `${spell(points, "point", "points")} are added as an event of their own.`,
  done: (number: number) => `Done: audit entry ${number}.`,
  unknownPlayer: "The player has no events here: check the id.",

  closing: "What is not done yet",
  closingNothing: "Nothing is due.",
  step: {
    open: "open", late: "over, late records count", committing: "records are being processed", sealing: "being sealed",
    ranking: "being ranked", correcting: "being corrected", applying: "being applied", publishing: "being announced",
  } as Record<string, string>,
  since: (ago: string) => `for ${ago}`,
  expected: (in_: string) => `expected in ${in_}`,
  overdue: (ago: string) => `was expected ${ago} ago`,
  sealedThrough: (day: string) => `No event can change ${day} or any day before.`,
  preview: "If it closed now",
  previewNote: "A preview: events and corrections may still change it.",
  versions: "Results",
  noVersions: "The window has no result yet.",
  announced: "announced",
  announcementPending: "not announced yet",
  announcedUnknown: "not known to be announced",
  announcedTitle: "When the notification topic had taken the notification of this version",
  announcedUnknownTitle: "There is no notification topic, or the version was announced before the service noted when.",
  verify: "Check the file",
  verifying: "Reading …",
  verified: (rows: number) => `The file is what the manifest says: SHA-256 and ${spell(rows, "row", "rows")}.`,
  verifiedNot: "The file is not what the manifest says. Don't pay by it.",
  verifyFailed: (status: number) => `The file could not be read (HTTP ${status}), so nothing is known of it. Try again.`,
  verifyBlocked: "The file's server does not let pages read it. Download it and compare: sha256sum FILE.",
  files: { ranking: "Ranking", awards: "Awards", difference: "Difference", awardChanges: "Changed awards", manifest: "Manifest" },
  awards: (n: number) => spell(n, "award", "awards"),

  flow: { kafka: "Kafka", ingest: "Ingest", truth: "DynamoDB", cache: "Cache", api: "API" },
  applied: "applied",
  duplicate: "duplicates",
  rejected: "rejected",
  perSecond,
  lag: (records: number) => `${spell(records, "record", "records")} behind`,
  delay: (ms: number) => `${duration(ms)} from the broker to the database`,
  partitions: "Partitions",
  partition: "Partition",
  committed: "Settled up to offset",
  behindBy: "Behind",
  lastDelay: "Delay of the last record",
  rejectedBy: "Rejected, by reason",
  noneRejected: "No record was rejected.",
  deadLetters: (n: number) => spell(n, "record waits", "records wait") + " on the dead-letter queue",
  lettersOpen: "Look at them one by one",
  letters: "Dead letters",
  lettersNot: "Seeing dead letters and sending them again needs a sign-in with the scope leaderboards:admin.",
  noLetters: "No record was rejected in the last 14 days.",
  lettersNone: "No dead letter matches.",
  lettersFurther: "None on this page matches; older ones may.",
  onlyInQueue: (n: number) => `${spell(n, "more was", "more were")} rejected in the last 14 days that only the dead-letter queue has.`,
  badEventHint: "Send a bad event, to see what becomes of it",
  badEventHow: "From the project's folder; it appears here some seconds later:",
  badEvent,
  copy: "Copy",
  copied: "Copied",
  search: "Search",
  rejectedBecause: "Rejected as",
  anyReason: "any reason",
  leaderboardId: "Leaderboard",
  rejectedAs: {
    malformed: "The value is not a JSON object.",
    invalid: "A field is missing, or is not what it must be.",
    unknown_leaderboard: "There is no such leaderboard.",
    leaderboard_archived: "The leaderboard was deleted before.",
    too_late: "It came after the end of its day and the leaderboard's lateness.",
    from_the_future: "It claims to have occurred after it came.",
    conflicting_duplicate: "Another event of the player has this id.",
    untrusted_timestamp: "It carries its producer's time, so nobody knows when it came.",
    score_overflow: "The player's score would grow beyond ±(2^53 - 1).",
  } satisfies Record<Reason, string>,
  appended: "at the broker",
  rejectedAt: "rejected",
  key: "Key",
  value: "Value",
  excerpt: (bytes: number, isTruncated: boolean, isBase64: boolean) =>
    [spell(bytes, "byte", "bytes"), isTruncated && "of which this is the beginning", isBase64 && "no UTF-8: shown in base64"].filter(Boolean).join(", "),
  redrive: "Send them again",
  redriveSend: "Send to Kafka again",
  sending: "Sending …",
  willRedrive: (board: string, reason: string) =>
    `Every dead letter of ${isolated(board)} on the queue${reason ? ` that was rejected as ${reason}` : ""} goes to Kafka again, also what is not shown above.`,
  redriveCounting: "Counting them …",
  redriveCount: (all: number, here: number, isMore: boolean) =>
    `Rejected so in the last 14 days: ${isMore ? "more than " : ""}${spell(all, "record", "records")}, ${redriveShown(all, here, isMore)}. What was sent again since is not on the queue any more.`,
  redriveWhole: "The event id of the search does not narrow it: all others go, too.",
  willRedriveUnread: "Those that name no leaderboard go too, unless their key names another one.",
  willRedriveOnce: "What has counted already is recognised and counts no second time. What is still wrong is rejected again.",
  willRedriveNot: "Events of a day that is sealed, or being sealed, can't count any more: they stay on the queue.",
  redriven: (entry: number, done: { sent: number; failed: number; left: number; tooLate: number; complete: boolean }) =>
    [
      `Audit entry ${entry}: ${spell(done.sent, "record", "records")} sent again.`,
      done.failed > 0 && `The broker did not take ${count(done.failed)}: they stay on the queue.`,
      done.left > 0 && `${count(done.left)} had been rejected once more: they stay on the queue.`,
      done.tooLate > 0 && `${count(done.tooLate)} can't count any more: they stay on the queue.`,
      !done.complete && "There are more than one request reads: send again.",
    ].filter(Boolean).join(" "),
  rebuilding: (read: number, days: number, standings: number) =>
    `rebuilt from the database: ${count(read)} of ${spell(days, "day", "days")}, ${spell(standings, "standing", "standings")} read`,
  rebuildWaits: "about to be rebuilt from the database",
  completeBoards: (complete: number, all: number) => `${count(complete)} of ${spell(all, "leaderboard", "leaderboards")} complete in the cache`,
  repaired: (n: number) => `${spell(n, "entry was", "entries were")} repaired since the cache was checked first`,
  memory: (used: number, limit: number | null) =>
    `Memory: ${mebibytes(used)} MiB${limit === null ? ", without a limit" : ` of ${mebibytes(limit)} (${decimal((100 * used) / limit)} %)`}.`,
  requests: (rate: number) => `${perSecond(rate)} requests`,
  fromSnapshots: (rate: number) => `${perSecond(rate)} rankings from snapshots`,
  waiting: (queue: string, n: number) => `${queue}: ${count(n)} waiting`,
  statusSince: (since: string) => `so since ${since}`,
  dependencies: "Dependencies",
  breaker: { closed: "breaker closed", trial: "breaker lets one try", open: "breaker open" } as Record<string, string>,
  breakerWhose: "A breaker keeps calls from a store that leaves them without an answer. Each instance has its own: these are of the API instance that answered last.",
  up: "up",
  down: "down",
  windowsDue: "Windows without a result",

  auditColumns: { number: "No.", what: "What", who: "Who", when: "When", about: "About", reason: "Reason" },
  noAudit: "Nobody has administered this leaderboard yet.",
  theme: "Dark or light",
};
