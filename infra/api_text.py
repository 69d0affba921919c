"""The words and the requests of docs/api.md. The requests can be sent in their order; a test does."""

from typing import Final

_JSON: Final = "-H 'content-type: application/json'"

HEAD: Final = """\
# The HTTP API

For whoever builds a game, or what pays its winners, on these leaderboards: what can be asked and what comes back.
Scores come in over Kafka ([score events](#score-events)), everything else goes over HTTP. This page is written by
`make openapi` from the contract, [openapi.json](../functions/api/openapi.json), which is also served at
`/openapi.json`. Clients can be generated from it; tests do so with openapi-python-client and openapi-typescript, whose
openapi-fetch takes `querySerializer: {object: {style: "form", explode: true}}` for filters. Messages (score events,
dead letters, notifications of results) are in [asyncapi.json](asyncapi.json).

Clients to copy: in [Python](examples/client.py), with retries, cursors and ETags; in [TypeScript](examples/follow.ts),
for a page that follows a board live; and for [Unity](examples/LeaderboardClient.cs), which polls politely.

`make up` starts a system at `localhost:8080` ([README](../README.md)); on AWS the address is the stack's output
`ApiUrl`. Every command below works as it stands, from top to bottom: a test sends them all. They share two
abbreviations:

```sh
BOARD=localhost:8080/leaderboards/spring-cup
field() { .venv/bin/python -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }  # of JSON
```

In short: create a leaderboard once ([PUT](#put-leaderboardsid)); have game servers send [events](#score-events); show
[rankings](#get-leaderboardsidrankings) and [players](#get-leaderboardsidplayersuserid) while it goes on; when a window
is over, pay from its [result](#get-leaderboardsidresult).

## Words

| | |
|---|---|
| leaderboard | a contest with its rules: how events add up, which score is better, tiers |
| event | one scoring fact about one player, sent once or often: it counts once |
| window | whole days (of UTC or `timeZone`) that are ranked: day, ISO week, month, all time, or `custom`: to 366 days |
| period | dates of a custom window that were given a name |
| series | a period that recurs: each occurrence is a period of its own, registered ahead of time |
| entry | one line of a ranking: a player with rank, score and tier. Two entries never tie, see below |
| reachedAt | when the player's score was reached, by the `occurredAt` of the events behind it in the window |
| tier | a reward with its rule: the top 100, the top 10 %, 500 points or more |
| final | a window that is over, with nothing late to come: it never changes again and has a result |

## Score and tie-break

| aggregation | score of a window | `reachedAt`: the `occurredAt` |
|---|---|---|
| `sum` | the sum of all points | that of the latest event that carried points other than 0 |
| `best` | the most points of one event, with `order: asc` the least | that of the earliest event with these points |
| `latest` | the points of the latest event; in one millisecond that of the greater event id | that of this event |

With `sum`, an event of 0 points never moves `reachedAt`; −5 and +5 carry points and move it, though they cancel out.
While a player has only events of 0 points, `reachedAt` is the time of the earliest of them.

Equal scores are ranked by `reachedAt` to the millisecond, the earlier first; then by user id, compared as UTF-8 bytes,
the lower first. The order of arrival never counts. Equal scores share one `competitionRank`.

## What holds everywhere

- *Tokens*: on AWS a request takes `Authorization: Bearer <JWT>` with the scope of its route, in the claim `scope` or
  `scp`. Locally nobody is asked for one, nor for rankings and players where an operator has opened them
  ([public reads](deployment.md#reads-that-anybody-may-ask)).
- *HEAD* is answered wherever GET is, as GET but without the body.
- *Times* are UTC, RFC 3339, in milliseconds. *Scores* are integers to ±(2^53−1). *User ids* in a path are
  percent-encoded.
- *A cache that can't answer* is said, never hidden: `source` is `snapshot` then, at most a minute old. It has the first
  1,000 entries of a window: a page that goes below them ends there with `truncated`, and its `nextCursor` leads on from
  there once the cache is back. Players who are asked for have their scores of now and `rankApproximate`. What a
  snapshot does not tell is a 503 with `Retry-After`, and never an empty page: a page that begins below the first 1,000,
  a filter by attribute (`attr.*`), a custom range of more than a month that is no registered period, and `userIds` that
  take more than 3,100 daily scores together.
- *Asking again*: rankings and players carry `ETag` and `Cache-Control`. With `If-None-Match` the answer is 304 if
  nothing has changed; with `Prefer: wait=20` beside it, the answer comes once something has, or after 20 s. Nobody
  waits for a window that is final, nor for a snapshot, which says `Retry-After`.
- *Shared caches* may keep an answer that says `public`: a second while a window is open, five while it is closing, five
  minutes once it is final (a window that was asked for by `period`: one). No answer is `immutable`: a final window gets
  another version when somebody is disqualified. `must-revalidate` rules out that a cache shows an old answer because no
  new one can be had. What takes a token, and what is answered to `Prefer: wait`, is `private`; errors are `no-store`.
- *Waits* have a share of their own: 100 at a time over all clients (`WAITS_MAX`). `Preference-Applied: wait=20` says
  that a wait was granted. Beyond the share the answer comes at once, without that header: 304 or 200 with
  `Retry-After: 5`, an export's 202 with `Retry-After: 1`. Ask again after as many seconds, and not in a tight loop.
- *Pages*: `nextCursor` and `prevCursor` are places in the ranking, not numbers: who doesn't move is met exactly once,
  however the others move, and page 10,000 comes as fast as the first.
- *Lists of user ids* (`userIds`) repeat the parameter: `userIds=u-42&userIds=u-9`. A bare comma separates two ids as
  well; a comma that belongs to an id is `%2C`. Query builders that encode every comma (`URLSearchParams`, `requests`)
  must be given the ids one by one, not joined.
- *Unknown parameters and fields* are refused, not ignored.
"""

SECTIONS: Final[dict[str, tuple[str, ...]]] = {
    "Leaderboards": ("putLeaderboard", "getLeaderboard", "listLeaderboards"),
    "Rankings": ("getRankings", "getPlayer", "getPlayerById"),
    "Players": ("getPlayerWindows", "listPlayerEvents", "getPlayerEvent", "explainPlayer"),
    "Profiles": ("putProfile", "getProfile"),
    "Scores": (
        "submitScore",
        "submitScores",
    ),
    "Periods": ("putPeriod", "getPeriod", "listPeriods", "deletePeriod"),
    "Exports": ("startExport", "getExport"),
    "Results": ("getResult", "listResultVersions", "getClosing"),
    "Administration": (
        "disqualifyPlayer",
        "listDisqualified",
        "reinstatePlayer",
        "addCorrection",
        "voidEvent",
        "listAuditLog",
        "startRebuild",
        "getRebuild",
        "listDeadLetters",
        "redriveDeadLetters",
        "pseudonymisePlayer",
        "purgeLeaderboard",
        "deleteLeaderboard",
    ),
    "Health and metrics": ("getHealth", "getLiveness", "getReadiness", "getMetrics"),
}
"""Title → operations, each in one section."""

INTRODUCTIONS: Final[dict[str, str]] = {
    "Score events": """\
## Score events

Scores come in over Kafka, by any client: topic `score-events`, key `<leaderboardId>:<userId>`, value JSON by
[`events/score-event.schema.json`](../events/score-event.schema.json). With another key an event counts,
but the order of its player's events is lost, and an [alarm](runbook.md#key-mismatch) says so. The broker taking the
record is all there is to wait for; it shows within a second or so. Send again whatever you are not sure about, with the
same `eventId`: it counts once. What can't count (malformed, too late, another content under the same id, …) is kept on
a dead-letter queue with its reason ([runbook](runbook.md#dead-letters)).
""",
    "Scores": """\
For games without servers of their own that produce to Kafka, one call per score; whoever has many uses
[Kafka](#score-events). Scope `scores:write`, which a game server should have, never a player's own device.
""",
    "Profiles": """\
What a client paints a player with, so that it need not look every id up elsewhere: a name, the key of a picture, and up
to 512 bytes of JSON of its own. A profile is of one leaderboard. It is no part of scores, ranks, results, exports or
proofs, and setting one is not in the audit log. What comes back is text, never markup: put it on a page as text. Scope
`profiles:write`, which whoever keeps the players should have, never a player's own device: it sets anybody's profile.

[Rankings](#get-leaderboardsidrankings) and players bring profiles with `include=profile`. An answer with profiles has
another `ETag` once one of them changes; who waits (`Prefer: wait`) waits for ranks alone. After an outage of the cache
a profile of before may be shown for ten minutes.
""",
    "Leaderboards": """\
Every change is a version. A window is ranked and paid by the version that was in force when its last day ended (a
change at the instant at which a day begins belongs to the new day), whatever changes before it is final or after. So
new tiers show at once in every window that is open, and never in one that is over: `effectiveFrom` in the answer of
PUT is the first day whose windows follow the change. Rankings say by which version they are (`rulesVersion`); `GET
?version=` shows it, and the [audit log](#get-leaderboardsidaudit-log) says who made it. Windows that had ended when
the leaderboard was created go by its first version. Only the `lateness` is that of now, for every day that still
takes events.
""",
    "Exports": """\
Files of whole rankings, made from the database, not from the cache: [exports](exports.md) has their columns.
""",
    "Results": """\
A window is final once its last day and the leaderboard's `lateness` are over and every record that came in time was
counted. All time never is, nor a month unless the leaderboard's `windows` name `monthly`, nor a custom range, unless it
is a registered period: register one, also over past dates.
What to pay from it, and how to pay once: [exports and results](exports.md#who-pays). What is going to come before that:
its [preview](#get-leaderboardsidresult), and what [closing](#get-leaderboardsidclosing) waits for.
""",
    "Health and metrics": """\
`GET /health` asks every dependency at once, each for 1.5 s at most, and needs no token: it shows numbers and kinds of
errors, never names. One that still hangs is `down` and is not asked again; `latencyMs` is then how long it has been
waited for. `since` is when this process first found the dependency in its present state, without another one in
between: it is kept in the process's memory, because what would store it may be what is down. So a new instance begins
with its first check, and instances may differ; the [metrics](#get-metrics) and alarms are the same from all.

- `cache`, `dynamodb`: `breaker` is that of the API instance that answers this request: `closed` lets calls through,
  `open` keeps them back, `trial` lets the next one find out. Each instance of each function has its own, which nothing
  else shows. The check itself goes past that of the cache, so a server can be `up` while its breaker is still `open`.
- `cache`: `memoryUsedBytes` and `memoryLimitBytes` (null without a limit) of the server that is fullest;
  `completeLeaderboards` of the first 100 `leaderboards` by id, counted every 5 s, the others being read from
  snapshots.
- `queues`: `waiting`, `inFlight` (somebody is at work on them) of each, approximately. SQS doesn't tell how old the
  oldest message is (CloudWatch's `ApproximateAgeOfOldestMessage` does); `notEmptySince` is since when this process
  has never found the queue empty, null if it is. `deadLetters` stay until somebody redrives them.
- `topic`: `lastCommitAt`, `lastCommitAgeMs`: when ingest last recorded how far a partition is settled, as DynamoDB
  has it. It grows while nothing comes in, too. What is wrong with the topic's settings is as of the close function's
  last check.

An orchestrator restarts a process by `/health/live`, which asks nothing: no restart repairs a dependency. It sends
requests by `/health/ready`.
""",
    "Administration": """\
Everything here, and every change of a leaderboard or period, is noted with the `reason` and the `sub` of the token.
What to do about points that should not be, or should be another player's: [corrections](corrections.md).
""",
}
"""Title → what stands before its routes."""

COUNTERS: Final = """\
*Counts* are the same from whichever instance answers: ingest keeps those of a partition in the item that records how
far it is settled, in the same write. They tell how things go; the ledger is the account. Each record counts once, in
the call that records its partition as settled past it, as what it was in that call: an event that a call applied before
it crashed is a duplicate in the next. Records that have to come again are not counted yet. Those of a call that could
not record how far it came, because DynamoDB was out of reach, may never be. Repaired entries may count twice after a
timeout. A key mismatch is counted beside what became of its record. No counter goes back, not even with a new version.

*Lag* is looked at once a minute; `time() - leaderboards_partition_lag_timestamp_seconds` is its age. Not every offset
holds a record (transactions take some), so where producers use them it may stay above 0 on an idle topic. *Ingest
delay* is the commit delay while events come in; on an idle topic it stays as it was, and the lag says if it counts.

*Requests* are added up over all instances in the cache: each adds its own at most every 10 s, with its next answer; an
empty cache starts at 0 again. A `route` is one of this document's, or `other`.

*Bounded*: the first 100 partitions have series of their own; all others together are `partition="others"`, with sums of
counts and lags, the oldest append and the longest delay. *Functions* tell what they did at the end of a call or run, so
a call that was killed or ran out of time tells nothing: its queue grows or its run gets old. *Cache*: a server has its
address as name where there are several; the replica of a single one is not seen.
"""
"""What the counters and gauges of partitions mean, below their table."""

EVENTS: Final = """
DAY=$(date -u -d '2 days ago' +%F)
.venv/bin/python - $DAY <<'END'
import json, sys, uuid, confluent_kafka
producer = confluent_kafka.Producer({"bootstrap.servers": "127.0.0.1:9092"})
for user, points, country in [("u-42", 600, "DE"), ("u-7", 700, "FR"), ("u-9", 40, "DE")]:
    event = {"eventId": str(uuid.uuid4()), "leaderboardId": "spring-cup", "userId": user, "points": points,
             "occurredAt": f"{sys.argv[1]}T12:00:00Z", "attributes": {"country": country}}
    producer.produce("score-events", json.dumps(event), f"spring-cup:{user}")
producer.flush()
END
until curl -s "$BOARD/rankings" | grep '"total":3'; do sleep 0.2; done
"""

REQUESTS: Final[dict[str, str]] = {
    "putLeaderboard": f"""
# 3 days of lateness, so that events of 2 days ago count, too
curl -X PUT $BOARD {_JSON} -d '{{
  "name": "Spring cup", "aggregation": "sum", "lateness": "P3D", "filters": ["country"], "tiers": [
    {{"name": "gold", "topN": 1}}, {{"name": "silver", "topPercent": 10}}, {{"name": "bronze", "minScore": 500}}]}}'
""",
    "getLeaderboard": """
curl $BOARD
curl "$BOARD?version=1"
""",
    "listLeaderboards": "curl 'localhost:8080/leaderboards?limit=100'",
    "getRankings": """
# a page, and the page after it
curl "$BOARD/rankings?window=daily&date=$DAY&limit=2"
CURSOR=$(curl -s "$BOARD/rankings?window=daily&date=$DAY&limit=2" | field nextCursor)
curl "$BOARD/rankings?window=daily&date=$DAY&limit=2&cursor=$CURSOR"

# a part of it; a player and friends
curl "$BOARD/rankings?window=weekly&minScore=100"
curl "$BOARD/rankings?tier=bronze"
curl "$BOARD/rankings?attr.country=DE&limit=10"
curl "$BOARD/rankings?userIds=u-42,u-9,nobody"
curl "$BOARD/rankings?userIds=u-42&userIds=smith%2C%20j"

# again, only if something has changed
TAG=$(curl -s -D - -o /dev/null "$BOARD/rankings" | tr -d '\\r' | sed -n 's/^etag: //ip')
curl -i -H "If-None-Match: $TAG" "$BOARD/rankings"
""",
    "getPlayer": 'curl "$BOARD/players/u-42?window=daily&date=$DAY&context=1"',
    "getPlayerById": 'curl -G "$BOARD/players" --data-urlencode "userId=u-42" -d window=all-time',
    "getPlayerWindows": 'curl "$BOARD/players/u-42/windows"',
    "listPlayerEvents": 'curl "$BOARD/players/u-42/events?limit=50"',
    "getPlayerEvent": 'curl "$BOARD/players/u-42/events/run-77"',
    "getProfile": "curl $BOARD/players/u-42/profile",
    "putProfile": f"""
curl -X PUT $BOARD/players/u-42/profile {_JSON} \\
  -d '{{"name": "Ada", "avatar": "fox-3", "metadata": {{"level": 12}}}}'
""",
    "explainPlayer": 'curl "$BOARD/players/u-42/explain?window=all-time"',
    "submitScore": f"""
curl -X POST $BOARD/players/u-42/scores {_JSON} -d '{{"eventId": "run-77", "points": 25}}'
""",
    "submitScores": f"""
curl -X POST $BOARD/scores {_JSON} -d '{{"scores": [
  {{"userId": "u-42", "eventId": "run-78", "points": 5}}, {{"userId": "u-9", "eventId": "run-79", "points": 7}}]}}'
""",
    "putPeriod": f"""
curl -X PUT $BOARD/periods/launch {_JSON} \\
  -d "{{\\"name\\": \\"Launch\\", \\"from\\": \\"$DAY\\", \\"to\\": \\"$DAY\\"}}"
curl "$BOARD/rankings?window=custom&period=launch"
curl "$BOARD/rankings?window=custom&from=$DAY&to=$(date -u -d tomorrow +%F)"

# every two weeks, from a Monday on
curl -X PUT $BOARD/periods/fortnight {_JSON} \\
  -d '{{"name": "Fortnight", "from": "2026-11-02", "every": "P14D"}}'
""",
    "getPeriod": "curl $BOARD/periods/launch",
    "listPeriods": "curl $BOARD/periods",
    "deletePeriod": 'curl -X DELETE "$BOARD/periods/launch?reason=entered%20twice"',
    "startExport": "curl -L -H 'Prefer: wait=20' \"$BOARD/export?window=all-time&format=csv\"",
    "getExport": """
JOB=$(curl -s "$BOARD/export?window=all-time&format=ndjson&topN=2" | field id)
curl $BOARD/exports/$JOB
""",
    "getResult": f"""
# before it is over: who would get what
curl "$BOARD/result?window=daily&date=$DAY&preview=true"

# without lateness that day is over for good; what is over is closed once a minute, in two steps: it takes up to three
curl -X PUT $BOARD {_JSON} -d '{{
  "name": "Spring cup", "aggregation": "sum", "lateness": "PT0S", "filters": ["country"],
  "tiers": [{{"name": "gold", "topN": 1}}]}}'
until curl -s --fail "$BOARD/result?window=daily&date=$DAY"; do sleep 1; done
""",
    "listResultVersions": 'curl "$BOARD/result/versions?window=daily&date=$DAY"',
    "getClosing": 'curl "$BOARD/closing?limit=10"',
    "disqualifyPlayer": f"""
curl -X POST $BOARD/players/u-7/disqualify {_JSON} -d '{{"reason": "bought points, case 1234", "strict": true}}'
""",
    "listDisqualified": "curl $BOARD/disqualified",
    "reinstatePlayer": f"""
curl -X POST $BOARD/players/u-7/reinstate {_JSON} -d '{{"reason": "case 1234 was another player"}}'
""",
    "addCorrection": f"""
curl -X POST $BOARD/players/u-42/corrections {_JSON} -d "{{
  \\"eventId\\": \\"case-1236\\", \\"points\\": -50, \\"occurredAt\\": \\"${{DAY}}T12:00:01Z\\",
  \\"reason\\": \\"a foul, case 1236\\"}}"
""",
    "voidEvent": f"""
curl -X POST $BOARD/players/u-42/events/case-1236/void {_JSON} -d '{{"reason": "case 1236 was another player"}}'
""",
    "listAuditLog": 'curl "$BOARD/audit-log?limit=10"',
    "startRebuild": f'curl -X POST $BOARD/rebuild {_JSON} -d \'{{"reason": "to be sure, case 1235"}}\'',
    "getRebuild": "curl $BOARD/rebuild",
    "listDeadLetters": 'curl "localhost:8080/dead-letters?leaderboardId=autumn-cup&limit=10"',
    "redriveDeadLetters": f"""
curl -X POST $BOARD/redrive {_JSON} \\
  -d '{{"reason": "the leaderboard was missing", "rejectedAs": "unknown_leaderboard"}}'
""",
    "purgeLeaderboard": f"""
curl -X PUT localhost:8080/leaderboards/rehearsal {_JSON} -d '{{"name": "Rehearsal", "aggregation": "sum"}}'
curl -X POST localhost:8080/leaderboards/rehearsal/purge {_JSON} -d '{{"reason": "the rehearsal is over"}}'
""",
    "pseudonymisePlayer": f"""
curl -X POST $BOARD/players/u-42/pseudonymise {_JSON} -d '{{"reason": "asked to be forgotten, case 1237"}}'
""",
    "deleteLeaderboard": "curl -X DELETE $BOARD",
    "getHealth": "curl localhost:8080/health",
    "getLiveness": "curl localhost:8080/health/live",
    "getReadiness": "curl localhost:8080/health/ready",
    "getMetrics": "curl localhost:8080/metrics",
}
"""Operation → commands that succeed once those before them have."""

BODIES: Final = (
    "LeaderboardBody",
    "TierBody",
    "QualifyBody",
    "PeriodBody",
    "ProfileBody",
    "ScoreBody",
    "ScoresBody",
    "BatchedScoreBody",
    "ReasonBody",
    "DisqualifyBody",
    "PseudonymiseBody",
    "ReinstateBody",
    "CorrectionBody",
    "RebuildBody",
    "RedriveBody",
)
