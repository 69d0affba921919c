"""Breaks the core in many ways, one at a time, and shows that the tests catch each: `make mutate`.

A mutation that survives is a rule that no test holds.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import track

ROOT = Path(__file__).parents[2]
LEFT_BEHIND = (".git", ".local", ".venv", ".*_cache", ".hypothesis", "__pycache__")
PROPERTY, SIMULATION = ("tests/property", "tests/unit"), ("tests/simulation",)
CLOSING = ("tests/integration/test_closing.py",)
REDRIVE = ("tests/integration/test_redrive.py",)
ROTATION = ("tests/unit/test_rotation.py",)
DISQUALIFICATION = ("tests/integration/test_disqualification.py",)
EXPORTS = ("tests/integration/test_exports.py",)
BUILDS = ("tests/integration/test_window_builds.py",)
PURGE = ("tests/integration/test_purge.py",)
BUDGET = ("tests/integration/test_range_budget.py",)
FALLBACK = ("tests/integration/test_fallback.py",)
FILTERS = ("tests/integration/test_filters.py",)
GUARD = ("tests/unit/truth/test_guard.py",)
WAITS = ("tests/integration/test_waits.py",)
STRICT = ("tests/unit/api/test_strictness.py",)
PAGE_SIZES = ("tests/integration/test_page_sizes.py",)
REFUSED, LATE = ("tests/integration/test_refused_writes.py",), ("tests/integration/test_late_answers.py",)
PERIODS, API_PERIODS = ("tests/integration/test_periods.py",), ("tests/unit/api/test_periods.py",)
LIVE, COMMIT = ("tests/integration/test_live_windows.py",), ("tests/integration/test_commit.py",)


@dataclass(frozen=True)
class Mutation:
    """One way to break one file, and the tests that should notice."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTATIONS = (
    Mutation(
        "a period is moved after its result",
        "shared/truth/registry.py",
        "if before is not None and (after is None or after.window != before.window):",
        "if before is not None and after is None:",
        PERIODS,
    ),
    Mutation(
        "a period is deleted after its result",
        "shared/truth/registry.py",
        "if before is not None and (after is None or after.window != before.window):",
        "if before is not None and after is not None and after.window != before.window:",
        PERIODS,
    ),
    Mutation(
        "a period is written over another change of it",
        "shared/truth/registry.py",
        "unchanged = cls.pk.does_not_exist() if before is None else cls.body == period_text(before)",
        "unchanged = cls.pk.exists() | cls.pk.does_not_exist()",
        PERIODS,
    ),
    Mutation(
        "a range is final though its period was moved meanwhile",
        "shared/truth/final_results.py",
        "registered = [] if period is None else",
        "registered = [] if True else",
        PERIODS,
    ),
    Mutation(
        "a period is moved though it is known to be final",
        "functions/api/periods.py",
        "if self._use_cases.final_results.final(leaderboard.id, window.id) is not None:",
        "if False:",
        API_PERIODS,
    ),
    Mutation(
        "a period that is over is moved for no reason",
        "functions/api/periods.py",
        "if reason is None and window.status",
        "if False and window.status",
        API_PERIODS,
    ),
    Mutation(
        "the audit log says nothing of what a period was before",
        "functions/api/periods.py",
        "periods=(before, after)",
        "periods=(None, after)",
        API_PERIODS,
    ),
    Mutation(
        "who does not qualify is in a tier all the same",
        "shared/domain/tiers.py",
        "        if rank > qualified:\n            return False\n",
        "",
        PROPERTY,
    ),
    Mutation(
        "a percentage counts who does not qualify",
        "shared/exports/table.py",
        "(qualified * {tier.value:d} + 9999)",
        "(total * {tier.value:d} + 9999)",
        PROPERTY,
    ),
    Mutation(
        "the way into a tier does not count that one more qualifies",
        "shared/cache/scripts/player.lua",
        "targets = last_scores(qualified + 1)",
        "targets = cutoffs",
        ("tests/integration/test_queries.py",),
    ),
    Mutation(
        "the best who does not qualify is paid live",
        "shared/cache/scripts/players.lua",
        "local qualified = ARGV[1] == '' and total or redis.call('ZCOUNT', KEYS[3], '-inf', ARGV[1])",
        "local qualified = total",
        ("tests/integration/test_queries.py",),
    ),
    Mutation(
        "of a player's windows everybody qualifies",
        "shared/cache/scripts/player_windows.lua",
        "local qualified = ARGV[2] == '' and total or redis.call('ZCOUNT', KEYS[i + 1], '-inf', ARGV[2])",
        "local qualified = total",
        ("tests/integration/test_queries.py",),
    ),
    Mutation(
        "a snapshot of the cache counts who does not qualify",
        "shared/cache/scripts/snapshot.lua",
        "ARGV[3] == '' and total or redis.call('ZCOUNT', KEYS[3], '-inf', ARGV[3]),",
        "total,",
        FALLBACK,
    ),
    Mutation(
        "who qualifies does not go by the order",
        "shared/domain/rules.py",
        "return points >= self.qualify if self.order is Order.DESC else points <= self.qualify",
        "return points >= self.qualify",
        PROPERTY,
    ),
    Mutation(
        "a result pays who does not qualify",
        "shared/closing/ranking.py",
        "self._qualified += window.leaderboard.qualifies(score.points)",
        "self._qualified += 1",
        PROPERTY,
    ),
    Mutation(
        "a snapshot forgets who qualified",
        "shared/domain/snapshots.py",
        "if leaderboard.qualify == self.qualify and self.qualified is not None:",
        "if self.qualified is None:",
        PROPERTY,
    ),
    Mutation(
        "a page of a tier counts who does not qualify",
        "shared/cache/scripts/select.lua",
        "local qualified = ARGV[8] == '' and total or up_to(ARGV[8])",
        "local qualified = total",
        ("tests/integration/test_queries.py",),
    ),
    Mutation(
        "an event sent again after a purge counts again",
        "shared/domain/rules.py",
        "self.at(min(event.occurred_at_ms, appended_at_ms))",
        "self.at(appended_at_ms)",
        (*PURGE, *SIMULATION),
    ),
    Mutation(
        "an event of the future counts for what a purge begins",
        "shared/domain/rules.py",
        "self.at(min(event.occurred_at_ms, appended_at_ms))",
        "self.at(event.occurred_at_ms)",
        PROPERTY,
    ),
    Mutation(
        "a purge changes nothing of what counts",
        "shared/ingest/service.py",
        "    if leaderboard.starts_ms:\n",
        "    if False:\n",
        SIMULATION,
    ),
    Mutation(
        "a refused event is looked up among the scores before a purge",
        "shared/ingest/committer.py",
        "held = self._reads.held(event_key(one.scores_id, one.event) for one in refused)",
        "held = self._reads.held(event_key(one.event.leaderboard_id, one.event) for one in refused)",
        (*PURGE, *SIMULATION),
    ),
    Mutation(
        "what a purge has ended is shown again",
        "shared/ingest/projector.py",
        "            if scores_id in shown:\n",
        "            if scores_id:\n",
        PURGE,
    ),
    Mutation(
        "what a purge has ended is repaired",
        "shared/rebuild/anti_entropy.py",
        "if is_shown else 0",
        "if True else 0",
        PURGE,
    ),
    Mutation(
        "the cache keeps what a purge has ended",
        "shared/rebuild/anti_entropy.py",
        "            self._forget_purged(leaderboard)\n",
        "",
        PURGE,
    ),
    Mutation(
        "players are repaired among the scores of the moment",
        "shared/rebuild/anti_entropy.py",
        "                leaderboard = replace(leaderboard, since_ms=request.since_ms)\n",
        "",
        PURGE,
    ),
    Mutation(
        "a purge gives its day away that was over",
        "shared/closing/steps.py",
        "if not leaderboard.counts_in(due.window) or not self._is_wanted(leaderboard, due.window, period):",
        "if not self._is_wanted(leaderboard, due.window, period):",
        (*PURGE, *SIMULATION),
    ),
    Mutation(
        "a window becomes final while a purge is to come",
        "shared/closing/steps.py",
        "if leaderboard.is_sealed(one.window) and not leaderboard.is_purging:",
        "if leaderboard.is_sealed(one.window):",
        PURGE,
    ),
    Mutation(
        "a result is written whatever was purged meanwhile",
        "shared/closing/finalizer.py",
        "            self._final_results.write(final, first_of, leaderboard.last_start_ms)  # step 5\n",
        "            current = self._registry.leaderboard(leaderboard.id) or leaderboard\n"
        "            self._final_results.write(final, first_of, current.last_start_ms)\n",
        PURGE,
    ),
    Mutation(
        "a leaderboard with a result can be purged",
        "shared/truth/registry.py",
        "condition = (self._record.version == leaderboard.version - 1) & self._record.has_results.does_not_exist()",
        "condition = self._record.version == leaderboard.version - 1",
        PURGE,
    ),
    Mutation(
        "results are owed from the first event before a purge on",
        "shared/closing/sealing.py",
        "<= sealed) and not is_outdated:",
        "<= sealed):",
        (*PURGE, *SIMULATION),
    ),
    Mutation(
        "every window has every tier",
        "shared/domain/tiers.py",
        "return not self.windows or kind in self.windows",
        "return True",
        PROPERTY,
    ),
    Mutation(
        "a result is written with the tiers of other windows",
        "shared/closing/finalizer.py",
        "self._rank(rules.for_window(window), window",
        "self._rank(rules, window",
        SIMULATION,
    ),
    Mutation(
        "no tier shares its last place",
        "shared/domain/tiers.py",
        "counted = competition_rank if self.ties is Ties.SHARED else rank",
        "counted = rank",
        PROPERTY,
    ),
    Mutation(
        "a tie is never enough for a tier",
        "shared/domain/tiers.py",
        "ahead = 0 if tier.ties is Ties.SHARED else 1",
        "ahead = 1",
        PROPERTY,
    ),
    Mutation(
        "a page of a tier leaves out who shares its last place",
        "shared/cache/scripts/select.lua",
        "if ties == 'first' or rank == 0 then return rank end",
        "do return rank end",
        ("tests/integration/test_queries.py",),
    ),
    Mutation(
        "a page of a tier from a snapshot leaves out who shares its last place",
        "shared/reads/fallback.py",
        "return snapshot.with_ties(leaderboard.order, rank) if tier.ties is Ties.SHARED else (rank, rank)",
        "return rank, rank",
        PROPERTY,
    ),
    Mutation(
        "an export shares no last place",
        "shared/exports/table.py",
        'counted = "competition_rank" if tier.ties is Ties.SHARED else "rank"',
        'counted = "rank"',
        PROPERTY,
    ),
    Mutation(
        "an award id says nothing of the tier",
        "shared/closing/result_files.py",
        "msgspec.json.encode([leaderboard_id, window_id, user_id, tier])",
        "msgspec.json.encode([leaderboard_id, window_id, user_id])",
        CLOSING,
    ),
    Mutation(
        "a later version names award ids that its first did not have",
        "shared/closing/finalizer.py",
        "award_ids_stay=before.award_ids_stay",
        "award_ids_stay=True",
        DISQUALIFICATION,
    ),
    Mutation(
        "an event may be put into the ledger twice",
        "shared/truth/commits.py",
        'player.leaderboard.scores_id),\n                "ConditionExpression": _ABSENT,',
        'player.leaderboard.scores_id),\n                "ConditionExpression": "attribute_not_exists(nothing)",',
        COMMIT,
    ),
    Mutation(
        "a standing is written whatever its version",
        "shared/truth/commits.py",
        '_VERSION = "version = :read"',
        '_VERSION = "version <> :read OR version = :read"',
        COMMIT,
    ),
    Mutation(
        "the content of a duplicate is not compared",
        "shared/ingest/outcomes.py",
        "if event.same_content(existing):",
        "if True:",
        PROPERTY,
    ),
    Mutation(
        "an event id repeated within a batch is planned twice",
        "shared/ingest/planner.py",
        "        if event.event_id in ids:\n            continue\n",
        "",
        PROPERTY,
    ),
    Mutation(
        "a producer's time is taken for the broker's",
        "shared/ingest/outcomes.py",
        "            if not record.is_stamped:\n",
        "            if False:\n",
        PROPERTY,
    ),
    Mutation(
        "a compacted topic is as good as any",
        "shared/messaging/topic.py",
        'if policy != "delete":',
        "if False:",
        PROPERTY,
    ),
    Mutation(
        "the all-time standing is forgotten",
        "shared/ingest/planner.py",
        "        added = _add(leaderboard, event, touched)\n",
        "        added = _add(leaderboard, event, touched)\n"
        "        added[ALL_TIME_DAY] = current.get(ALL_TIME_DAY) or Standing(0, 0, 0)\n",
        PROPERTY,
    ),
    Mutation(
        "an enormous event is not looked for in the ledger",
        "shared/ingest/planner.py",
        "return Rejected(rejection) if existing is None else",
        "return Rejected(rejection) if True else",
        PROPERTY,
    ),
    Mutation(
        "an enormous event is refused for what is planned, though that may be a duplicate",
        "shared/ingest/planner.py",
        "None if planned else self._outcome(candidate, rejection)",
        "self._outcome(candidate, rejection)",
        PROPERTY,
    ),
    Mutation(
        "sums of days count that were read while others went on",
        "shared/ingest/committer.py",
        "if now is None or now.version != all_time.version:",
        "if False:",
        PROPERTY,
    ),
    Mutation(
        "days that are sealed are left out of the sums",
        "shared/domain/standings.py",
        "total, lowest, highest = sealed._running_totals()",
        "total, lowest, highest = self.total, self.lowest, self.highest",
        PROPERTY,
    ),
    Mutation(
        "a name that is twice among fields that are not read goes unnoticed",
        "shared/domain/events.py",
        """text.count('"') == msgspec.json.encode(fields).count(b'"')""",
        "True",
        PROPERTY,
    ),
    Mutation(
        "an attribute that is there twice goes unnoticed",
        "shared/domain/events.py",
        """(own is None or bytes(own).count(b'"') == 4 * attributes)""",
        "True",
        PROPERTY,
    ),
    Mutation(
        "what was accepted is refused by the rules of today",
        "shared/ingest/committer.py",
        "    if existing is not None:\n"
        "        candidate.outcome = outcome_of_known(candidate.event, existing)\n"
        "    elif event_key",
        "    if False:\n        pass\n    elif event_key",
        SIMULATION,
    ),
    Mutation(
        "a late record is refused though the one before it has to come again",
        "shared/ingest/committer.py",
        "elif event_key(candidate.scores_id, candidate.event) in unsettled:",
        "elif False:",
        PROPERTY,
    ),
    Mutation(
        "what redrive sends again is late",
        "shared/ingest/service.py",
        "            first_ms = appended_at_ms.get(value)\n",
        "            first_ms = None\n",
        SIMULATION,
    ),
    Mutation(
        "a receipt counts whatever its time",
        "shared/ingest/service.py",
        "if first_ms is not None and _refusal(leaderboard, candidates[number], first_ms) is None:",
        "if first_ms is not None:",
        PROPERTY,
    ),
    Mutation(
        "of several receipts the latest stays",
        "shared/truth/receipts.py",
        "appended_at > :appended",
        "appended_at < :appended",
        REDRIVE,
    ),
    Mutation(
        "a producer's time gets a receipt",
        "shared/admin/redrive.py",
        "one.event is not None and one.dead_letter.reason not in NOT_IN_TIME",
        "one.event is not None",
        REDRIVE,
    ),
    Mutation(
        "redrive proves a record's time after it has sent it",
        "shared/admin/redrive.py",
        "        self._write_receipts(sendable.values())\n"
        "        outcomes = self._topic.send([one.record for one in sendable.values()])\n",
        "        outcomes = self._topic.send([one.record for one in sendable.values()])\n"
        "        self._write_receipts(sendable.values())\n",
        REDRIVE,
    ),
    Mutation(
        "redrive sends what no day takes any more",
        "shared/admin/redrive.py",
        "if key not in held}",
        "if False}",
        REDRIVE,
    ),
    Mutation(
        "redrive keeps what has counted",
        "shared/admin/redrive.py",
        "held = self._reads.held(late.values()) if late else {}",
        "held: dict[object, object] = {}",
        REDRIVE,
    ),
    Mutation(
        "an archived leaderboard's live windows are shown duplicates",
        "shared/ingest/service.py",
        "    if not leaderboard.archived:",
        "    if True:",
        PROPERTY,
    ),
    Mutation(
        "duplicates show the standings read before they were found",
        "shared/ingest/committer.py",
        "    if not player.pending:\n        player.standings = dict(",
        "    if True:\n        player.standings = dict(",
        PROPERTY,
    ),
    Mutation(
        "what was committed is shown as it was read",
        "shared/ingest/committer.py",
        "player.touched(current) | player.standings",
        "player.touched(current)",
        COMMIT,
    ),
    Mutation(
        "days of duplicates beside new events are not shown",
        "shared/ingest/committer.py",
        "if len(player.standings) < len(player.days):",
        "if len(player.standings) < 0:",
        COMMIT,
    ),
    Mutation(
        "the keys that BatchGetItem left over are forgotten",
        "shared/truth/queries.py",
        'request = answer["UnprocessedKeys"]',
        "request = {}",
        PROPERTY,
    ),
    Mutation(
        "only duplicates that are new are shown to the cache",
        "shared/ingest/committer.py",
        "        if not player.pending:\n            player.standings = standings\n",
        "        if not player.pending:\n            player.standings = {}\n",
        COMMIT,
    ),
    Mutation(
        "the cache is not told when its write failed",
        "shared/ingest/projector.py",
        "            self._repairs.send(repair_messages(leaderboard, days))\n",
        "            return True\n",
        PROPERTY,
    ),
    Mutation(
        "a failed repair message counts as sent",
        "shared/ingest/projector.py",
        "        except QueueUnavailable:\n            return False",
        "        except QueueUnavailable:\n            return True",
        PROPERTY,
    ),
    Mutation(
        "a record whose dead letter was not kept counts as rejected",
        "shared/ingest/service.py",
        "            for candidate in rejected:\n                candidate.outcome = Retry(str(unavailable))",
        "            return",
        SIMULATION,
    ),
    Mutation(
        "what was committed but could not be shown counts as done",
        "shared/ingest/committer.py",
        "            if candidate.kind is not OutcomeKind.REJECTED:",
        "            if candidate.kind is None:",
        COMMIT,
    ),
    Mutation(
        "a rebuild is marked as complete though the cache was flushed meanwhile",
        "shared/cache/scripts/mark_complete.lua",
        "if known[1] ~= ARGV[1] or known[2] ~= ARGV[2] then return 0 end",
        "",
        LIVE,
    ),
    Mutation(
        "a window is marked as complete though a failover took back what it was filled with",
        "shared/cache/scripts/mark_complete.lua",
        "known[1] ~= ARGV[1] or known[2] ~= ARGV[2]",
        "known[1] ~= ARGV[1]",
        BUILDS,
    ),
    Mutation(
        "how far a build is gets noted though a failover took it back",
        "shared/cache/scripts/renew_build.lua",
        "known[1] ~= ARGV[1] or known[2] ~= ARGV[2]",
        "known[1] ~= ARGV[1]",
        BUILDS,
    ),
    Mutation(
        "a rebuild starts while another is under way",
        "shared/cache/scripts/begin_build.lua",
        "if known[2] and known[2] ~= token and tonumber(known[3]) > now_ms then",
        "if false then",
        BUILDS,
    ),
    Mutation(
        "a marker stands for windows that a shorter lateness has let go",
        "shared/cache/pages.py",
        "return marker is not None and is_kept(window, int(marker), now_ms)",
        "return marker is not None",
        LIVE,
    ),
    Mutation(
        "a window that is not complete is shown",
        "shared/cache/pages.py",
        "return Page(complete,",
        "return Page(True,",
        LIVE,
    ),
    Mutation(
        "the cache ignores versions",
        "shared/cache/scripts/apply.lua",
        "if v >= version then return nil end",
        "",
        LIVE,
    ),
    Mutation(
        "the cache adds instead of setting",
        "shared/cache/scripts/apply.lua",
        "redis.call('ZADD', set, unpack(added))",
        "redis.call('ZADD', set, 'INCR', added[1], added[2])",
        LIVE,
    ),
    Mutation(
        "a player's old place stays in the ranking",
        "shared/cache/scripts/apply.lua",
        "if #removed > 0 then redis.call('ZREM', set, unpack(removed)) end",
        "",
        LIVE,
    ),
    Mutation(
        "later times rank first among equals",
        "shared/cache/scripts/apply.lua",
        "head = struct.pack('>I6', reached_at %",
        "head = struct.pack('<I6', reached_at %",
        LIVE,
    ),
    Mutation(
        "custom ranges are fed only their first day",
        "shared/cache/scripts/apply.lua",
        "if range[2] <= day and day <= range[3]",
        "if range[2] == day",
        LIVE,
    ),
    Mutation(
        "a late standing revives a window past its use",
        "shared/cache/scripts/apply.lua",
        "if expires_ms > 0 and expires_ms <= now_ms then\n    -- past use",
        "if false then\n    -- past use",
        LIVE,
    ),
    Mutation(
        "an event of no points moves when a sum was reached",
        "shared/domain/standings.py",
        "    if points:\n        return at_ms if",
        "    if True:\n        return at_ms if",
        PROPERTY,
    ),
    Mutation(
        "of events of no points alone the latest counts",
        "shared/domain/standings.py",
        "return at_ms if at_ms < reached_at_ms and standing.only_zeros",
        "return at_ms if at_ms > reached_at_ms and standing.only_zeros",
        PROPERTY,
    ),
    Mutation(
        "the first points count as reached with the events of no points before them",
        "shared/domain/standings.py",
        "if at_ms > reached_at_ms or standing.only_zeros else",
        "if at_ms > reached_at_ms else",
        PROPERTY,
    ),
    Mutation(
        "points that cancel out were never reached",
        "shared/domain/standings.py",
        "return not (self.points or self.absolute_sum)",
        "return not self.points",
        PROPERTY,
    ),
    Mutation(
        "a day of no points moves when a window was reached",
        "shared/domain/standings.py",
        "for one in standings if not one.only_zeros]",
        "for one in standings]",
        PROPERTY,
    ),
    Mutation(
        "the cache isn't told of sums of events of no points alone",
        "shared/cache/payloads.py",
        "if sums and standing.points == 0 and standing.only_zeros:",
        "if False:",
        LIVE,
    ),
    Mutation(
        "a day of no points moves when a cached window was reached",
        "shared/cache/scripts/apply.lua",
        "if r < ONLY_ZEROS and reached_at < ONLY_ZEROS then",
        "if true then",
        LIVE,
    ),
    Mutation(
        "the cache shows the mark of a sum of no points as its time",
        "shared/cache/scripts/apply.lua",
        "struct.pack('>I6', reached_at % ONLY_ZEROS)",
        "struct.pack('>I6', reached_at)",
        LIVE,
    ),
    Mutation(
        "a day of no points moves when an exported window was reached",
        "shared/exports/table.py",
        "coalesce(max(reached_at) FILTER (NOT only_zeros),",
        "coalesce(max(reached_at),",
        PROPERTY,
    ),
    Mutation(
        "the prover takes an event of no points for one that moves a sum",
        "infra/prove.py",
        "for at, _, points in events if points != 0]",
        "for at, _, points in events]",
        ("tests/integration/test_prove.py",),
    ),
    Mutation(
        "first to reach it loses",
        "shared/domain/standings.py",
        "if one.reached_at_ms <= other.reached_at_ms else other",
        "if one.reached_at_ms >= other.reached_at_ms else other",
        PROPERTY,
    ),
    Mutation(
        "`latest` ignores the event id within a millisecond",
        "shared/domain/standings.py",
        "if (at, event.event_id) > (standing.reached_at_ms, standing.last_event_id):",
        "if at > standing.reached_at_ms:",
        PROPERTY,
    ),
    Mutation(
        "a record appended at the cutoff is late",
        "shared/domain/rules.py",
        "if appended_at_ms > cutoff_ms:",
        "if appended_at_ms >= cutoff_ms:",
        PROPERTY,
    ),
    Mutation(
        "top percent rounds down",
        "shared/domain/tiers.py",
        "return -(-qualified * self.value // 10_000)",
        "return qualified * self.value // 10_000",
        PROPERTY,
    ),
    Mutation(
        "offsets are committed past a failed record",
        "infra/local/mapping.py",
        "rest = [message for message in chunk.messages if message.offset >= failed]",
        "rest = [message for message in chunk.messages if message.offset > failed]",
        PROPERTY,
    ),
    Mutation(
        "offsets are committed before the function is invoked",
        "infra/local/trigger.py",
        "        self._fetched = []\n        self._done |= self._mapping.run(now_ms)\n",
        "        self._done |= {(one.topic, one.partition): one.offset + 1 for one in self._fetched}\n"
        "        self._commit()\n        self._fetched = []\n        self._done |= self._mapping.run(now_ms)\n",
        PROPERTY,
    ),
    Mutation(
        "a place is recorded before its records are committed",
        "shared/ingest/service.py",
        "        self._admit(candidates)  # 2",
        "        self._record_progress(candidates)\n        self._admit(candidates)",
        SIMULATION,
    ),
    Mutation(
        "a place is recorded past a record that failed",
        "shared/ingest/service.py",
        "            if candidate.kind is OutcomeKind.RETRY:\n                stopped.add(partition)\n",
        "            if False:\n                pass\n",
        SIMULATION,
    ),
    Mutation(
        "days close though a partition lags behind the cutoff",
        "shared/closing/coverage.py",
        "if self._topic.holds_records(reach.partition, at, reach.end):",
        "if False:",
        SIMULATION,
    ),
    Mutation(
        "an offset that the retention has removed is taken for the end of its partition",
        "shared/messaging/topic.py",
        '"auto.offset.reset": "error",',
        "",
        PROPERTY,
    ),
    Mutation(
        "nobody asks whether records were removed while they were looked for",
        "shared/messaging/topic.py",
        "        if oldest > first:\n",
        "        if False:\n",
        ("tests/integration/test_topic.py",),
    ),
    Mutation(
        "a producer's time says where a day ends",
        "shared/messaging/topic.py",
        "if message.timestamp()[0] == TIMESTAMP_LOG_APPEND_TIME:",
        "if True:",
        SIMULATION,
    ),
    Mutation(
        "what a partition lost before it was first read is forgotten once it is",
        "shared/truth/progress.py",
        "condition = _FROM_THERE if start else _AT_THE_START",
        "condition = _AT_THE_START",
        CLOSING,
    ),
    Mutation(
        "a new topic name passes over what the former one lost",
        "shared/closing/coverage.py",
        "            if former != name:\n",
        "            if False:\n",
        CLOSING,
    ),
    Mutation(
        "what the topic lost is not noted",
        "shared/closing/coverage.py",
        "                self._losses.record(name, loss)\n",
        "                pass\n",
        SIMULATION,
    ),
    Mutation(
        "what ingest was never handed is passed without a word",
        "shared/truth/progress.py",
        "                self._note(position.topic, Gap(position.partition, recorded, handed))\n",
        "                pass\n",
        PROPERTY,
    ),
    Mutation(
        "what ingest was never handed does not keep days from closing",
        "shared/closing/coverage.py",
        "            self._losses.record(self._topic.name, Loss(*offsets))\n",
        "            pass\n",
        CLOSING,
    ),
    Mutation(
        "a call that can't record its progress has only its last record come again",
        "shared/ingest/service.py",
        "settled[0].outcome =",
        "settled[-1].outcome =",
        SIMULATION,
    ),
    Mutation(
        "records behind one that failed are not asked for again",
        "functions/ingest/handler.py",
        "record.offset >= offset",
        "record.offset == offset",
        PROPERTY,
    ),
    Mutation(
        "losses are looked for only while a day is due",
        "shared/closing/service.py",
        "            run.lost = self._coverage.check()\n",
        "            pass\n",
        CLOSING,
    ),
    Mutation(
        "a run begins with the first leaderboard again though the last one had no time for all",
        "shared/rotation.py",
        "self._rounds.record(self._name, after if left else None, ended=True)",
        "self._rounds.record(self._name, None, ended=True)",
        ROTATION,
    ),
    Mutation(
        "every run is killed at the same leaderboard",
        "shared/rotation.py",
        "            if not last.ended:  #",
        "            if False:  #",
        ROTATION,
    ),
    Mutation(
        "leaderboards past the first page are never looked after",
        "shared/rotation.py",
        "        if len(page) < PAGE_LEADERBOARDS:",
        "        if True:",
        ROTATION,
    ),
    Mutation(
        "a leaderboard has all its windows finished before the next one has its turn",
        "shared/rotation.py",
        "                if _done(name, step, failed):\n                    queue.append(name)",
        "                if _done(name, step, failed):\n                    queue.appendleft(name)",
        ROTATION,
    ),
    Mutation(
        "a leaderboard that takes a whole run has its turn with the others in the next",
        "shared/rotation.py",
        "            if name == last and queue:",
        "            if False:",
        ROTATION,
    ),
    Mutation(
        "a period that is registered while its last day closes is never due",
        "shared/truth/registry.py",
        "        going_on &= cls.sealed_through",
        "        going_on |= cls.sealed_through",
        CLOSING,
    ),
    Mutation(
        "no period is noted as due when its last day is closed",
        "shared/closing/sealing.py",
        "        self._final_results.mark_due(leaderboard.id, dict.fromkeys(over))\n",
        "",
        CLOSING,
    ),
    Mutation(
        "a period that was deleted before it was final gets a result",
        "shared/closing/steps.py",
        "or not self._is_wanted(leaderboard, due.window, period):",
        "or False:",
        CLOSING,
    ),
    Mutation(
        "a period that is registered again meanwhile is struck",
        "shared/truth/work.py",
        '"stamp = :stamp"',
        '"stamp = :stamp OR stamp <> :stamp"',
        CLOSING,
    ),
    Mutation(
        "the broker is asked again for every leaderboard",
        "shared/closing/coverage.py",
        "        if moment_ms not in self._known:",
        "        if True:",
        CLOSING,
    ),
    Mutation(
        "results are owed for days before the first event",
        "shared/closing/sealing.py",
        "range(max(start, results_from or start), last + 1)",
        "range(start, last + 1)",
        CLOSING,
    ),
    Mutation(
        "nothing is owed for days without events after the first one",
        "shared/closing/sealing.py",
        "        if sealed is not None and (known is None or known <= sealed) and not is_outdated:",
        "        if sealed is not None and known is None:",
        CLOSING,
    ),
    Mutation(
        "a day closes while ingest calls may go on that began before it refused events",
        "shared/closing/sealing.py",
        "if now_ms < leaderboard.seals_at_ms:",
        "if False:",
        CLOSING,
    ),
    Mutation(
        "a day closes by the time of the one before",
        "shared/truth/final_results.py",
        " REMOVE seals_at",
        "",
        CLOSING,
    ),
    Mutation(
        "days that took events by more lateness than there is now never close",
        "shared/closing/first_days.py",
        "max([leaderboard.lateness_ms, *earlier_ms])",
        "leaderboard.lateness_ms",
        CLOSING,
    ),
    Mutation(
        "a day refuses events by rules that were changed since they were read",
        "shared/truth/final_results.py",
        '_STARTABLE = "version = :version AND (attribute_not_exists',
        '_STARTABLE = "(version = :version OR version <> :version) AND (attribute_not_exists',
        CLOSING,
    ),
    Mutation(
        "days that are closed are opened again",
        "shared/truth/final_results.py",
        "OR sealed_through < :through",
        "OR sealed_through <> :through",
        CLOSING,
    ),
    Mutation(
        "days that refuse events admit some again",
        "shared/truth/final_results.py",
        "OR sealing_through < :through)",
        "OR sealing_through <> :through)",
        CLOSING,
    ),
    Mutation(
        "a result is written though somebody was disqualified since it was ranked",
        "shared/truth/final_results.py",
        '{"Delete": {"TableName": self._table, "Key": due}}, {"ConditionCheck": check}]',
        '{"Delete": {"TableName": self._table, "Key": due}}, *[{"ConditionCheck": check}][:0]]',
        DISQUALIFICATION,
    ),
    Mutation(
        "throttling passes for a result that is there, or for a rival",
        "shared/truth/failures.py",
        "kind = ConditionFailed if any(one.cause is Cause.CONDITION for one in causes) else Cancelled",
        "kind = ConditionFailed",
        PROPERTY,
    ),
    Mutation(
        "a transaction that can never be written counts as throttled",
        "shared/truth/failures.py",
        "return Cause.THROTTLED if code in _PASSING else None",
        "return Cause.THROTTLED",
        PROPERTY,
    ),
    Mutation(
        "the notice of a version strikes that of every other",
        "shared/truth/keys.py",
        'return work_sort(leaderboard_id, f"notification#{window_id}#{version:08d}")',
        'return work_sort(leaderboard_id, f"notification#{window_id}#{min(version, 1):08d}")',
        DISQUALIFICATION,
    ),
    Mutation(
        "the clocks of brokers are taken to be one",
        "shared/closing/coverage.py",
        "CLOCK_SKEW_MS: Final = 60_000",
        "CLOCK_SKEW_MS: Final = 0",
        CLOSING,
    ),
    Mutation(
        "windows become final without a look at the cache",
        "shared/closing/finalizer.py",
        "        self._compare(rules, window, ranking)\n",
        "",
        CLOSING,
    ),
    Mutation(
        "a closed day takes an event whose rules were changed",
        "shared/domain/rules.py",
        "if self.rejects(day):",
        "if False:",
        CLOSING,
    ),
    Mutation(
        "a result can be written twice",
        "shared/truth/final_results.py",
        '_NOT_YET = "attribute_not_exists(pk)"',
        '_NOT_YET = "attribute_not_exists(nothing)"',
        CLOSING,
    ),
    Mutation(
        "what another owner has counted is counted again",
        "shared/truth/progress.py",
        "for offset, outcome in outcomes.items() if offset >= recorded}",
        "for offset, outcome in outcomes.items()}",
        PROPERTY,
    ),
    Mutation(
        "a batch that another owner has settled in part counts nothing",
        "shared/truth/progress.py",
        "while recorded < position.next_offset:",
        "while False:",
        PROPERTY,
    ),
    Mutation(
        "a record that was applied is counted as a duplicate",
        "shared/ingest/service.py",
        "return APPLIED if settled.kind is OutcomeKind.APPLIED else DUPLICATE",
        "return DUPLICATE",
        SIMULATION,
    ),
    Mutation(
        "a batch is done though its place was not recorded",
        "shared/ingest/service.py",
        "            settled[0].outcome = Retry(str(unavailable))",
        "            return",
        SIMULATION,
    ),
    Mutation(
        "a disqualified player is shown again with his next event",
        "shared/cache/scripts/apply.lua",
        "      if not is_out then",
        "      if true then",
        SIMULATION,
    ),
    Mutation(
        "a reinstated player stays out of the live windows until his next event",
        "shared/cache/scripts/apply.lua",
        "elseif not value and is_out ~= (old_head == OUT) then",
        "elseif not value and is_out and old_head ~= OUT then",
        SIMULATION,
    ),
    Mutation(
        "a strict disqualification takes any name",
        "functions/api/routes/administration.py",
        "if body.strict and not known:",
        "if False:",
        ("tests/integration/test_administration.py",),
    ),
    Mutation(
        "results hold the disqualified",
        "shared/closing/finalizer.py",
        "ranking = WindowRanking(folded, out)",
        "ranking = WindowRanking(folded, replace(out, user_ids=frozenset()))",
        SIMULATION,
    ),
    Mutation(
        "exports hold the disqualified",
        "shared/exports/runner.py",
        "lines = heartbeat.while_owned(eligible(standings, out))",
        "lines = heartbeat.while_owned(standings)",
        EXPORTS,
    ),
    Mutation(
        "an act that the live windows missed is not carried out later",
        "shared/closing/steps.py",
        "                self._disqualifications.apply(leaderboard, entry.user_id)\n",
        "",
        DISQUALIFICATION,
    ),
    Mutation(
        "no result is revised after a disqualification",
        "shared/closing/steps.py",
        "if not days.isdisjoint(one.days)]",
        "if False]",
        SIMULATION,
    ),
    Mutation(
        "a range that can't be read stops its leaderboard",
        "shared/cache/scripts/apply.lua",
        "    if first == nil then\n",
        "    if false then\n",
        REFUSED,
    ),
    Mutation(
        "a range that can't be read stays complete though nothing feeds it",
        "shared/cache/scripts/apply.lua",
        "      redis.call('UNLINK', prefix .. 'h:' .. window_id, prefix .. 'z:' .. window_id, label_set(window_id))\n",
        "",
        REFUSED,
    ),
    Mutation(
        "a refused write leaves the leaderboard complete",
        "shared/cache/windows.py",
        "                self.mark_incomplete(scores_id)\n",
        "",
        (*REFUSED, *SIMULATION),
    ),
    Mutation(
        "a refused write leaves ranges complete",
        "shared/cache/scripts/withdraw.lua",
        "if not stored.err then",
        "if false then",
        REFUSED,
    ),
    Mutation(
        "an error of one leaderboard's script ends the run for all",
        "shared/rebuild/anti_entropy.py",
        "            except CacheRefused as refused:",
        "            except ZeroDivisionError as refused:",
        REFUSED,
    ),
    Mutation(
        "standings that the cache refuses hand events back",
        "shared/ingest/projector.py",
        "            if refused.withdrawn:\n",
        "            if False:\n",
        PROPERTY,
    ),
    Mutation(
        "a Redis that takes no write at all is live",
        "shared/cache/connection.py",
        "        self._check_writable()\n        return self.call",
        "        return self.call",
        REFUSED,
    ),
    Mutation(
        "a full Redis is healthy",
        "shared/cache/connection.py",
        'self._redis.set(PROBE_KEY, b"", px=PROBE_MS)',
        "self._redis.ping()",
        REFUSED,
    ),
    Mutation(
        "an ordered rebuild goes by what the cache has seen",
        "shared/rebuild/requests.py",
        "            self._cache.forget(leaderboard, self._now_ms())",
        "            pass",
        REFUSED,
    ),
    Mutation(
        "a cache that is ahead of tables that were set back stays as it is",
        "shared/rebuild/anti_entropy.py",
        "            self._cache.forget(leaderboard, self._now_ms())",
        "            pass",
        SIMULATION,
    ),
    Mutation(
        "a Redis that is late is asked again",
        "shared/clients.py",
        "retry=Retry(NoBackoff(), 1, REDIS_RETRIED)",
        "retry=Retry(NoBackoff(), 1)",
        LATE,
    ),
    Mutation(
        "a fill that is asked twice counts twice",
        "shared/cache/scripts/apply.lua",
        "  if redis.call('HGET', KEYS[3], '\\0fill') == ARGV[4] then",
        "  if false then",
        LATE,
    ),
    Mutation(
        "revisions after a failover are those of what it lost",
        "shared/cache/scripts/apply.lua",
        "'\\0revision', 1) < clock_us then",
        "'\\0revision', 1) == 1 then",
        LIVE,
    ),
    Mutation(
        "a build begins that is done",
        "shared/cache/scripts/begin_build.lua",
        "if known[1] then",
        "if false then",
        BUILDS,
    ),
    Mutation(
        "a build passes its last days over",
        "shared/rebuild/builder.py",
        "for start in range(0, len(days), at_once):",
        "for start in range(0, len(days) - at_once, at_once):",
        BUILDS,
    ),
    Mutation(
        "a build that takes long keeps its reader waiting",
        "shared/rebuild/on_demand.py",
        "if self._now_ms() >= deadline_ms and",
        "if False and",
        BUILDS,
    ),
    Mutation(
        "an attribute of an older event replaces that of a newer one",
        "shared/domain/labels.py",
        "if known is None or _later(label) > _later(known):",
        "if True:",
        PROPERTY,
    ),
    Mutation(
        "of events of the same millisecond the first that came gives the label",
        "shared/domain/labels.py",
        "return label.occurred_at_ms, label.event_id",
        "return label.occurred_at_ms, ''",
        PROPERTY,
    ),
    Mutation(
        "an older day's value replaces that of a newer day",
        "shared/cache/scripts/apply.lua",
        "if token and (not label or day >= label[1]) then",
        "if token then",
        FILTERS,
    ),
    Mutation(
        "who has moved to another value stays with the old one",
        "shared/cache/scripts/apply.lua",
        "if #left > 0 then redis.call('ZREM', label_set(window_id), unpack(left)) end",
        "",
        FILTERS,
    ),
    Mutation(
        "a disqualified player goes on carrying his values",
        "shared/cache/scripts/apply.lua",
        "local after = is_out and {} or label_members",
        "local after = is_out and before or label_members",
        FILTERS,
    ),
    Mutation(
        "labels are not compared before a window becomes final",
        "shared/closing/finalizer.py",
        "        if leaderboard.filters:\n            drift",
        "        if False:\n            drift",
        FILTERS,
    ),
    Mutation(
        "long values share a token",
        "shared/cache/labels.py",
        "hashlib.sha256(encoded)",
        "hashlib.sha256(encoded[:TOKEN_BYTES])",
        FILTERS,
    ),
    Mutation(
        "a window that is kept longer loses its labels earlier",
        "shared/cache/keys.py",
        "return [*names, labels(leaderboard.scores_id, window.id)] if leaderboard.filters else names",
        "return names",
        FILTERS,
    ),
    Mutation(
        "an answer claims the instant at which it is put together",
        "shared/reads/rankings.py",
        "page.total, as_of_ms, entries, source, qualified",
        "page.total, self._now_ms(), entries, source, qualified",
        ("tests/unit/test_rankings.py",),
    ),
    Mutation(
        "routes without parameters pass over those that are sent",
        "functions/api/edge.py",
        "            self._check_parameters(scope)\n",
        "",
        STRICT,
    ),
    Mutation(
        "a comma within an id parts two",
        "functions/api/query.py",
        'return [value_of(part) for part in sent.split(",")]',
        'return value_of(sent).split(",")',
        ("tests/unit/api/test_selections.py",),
    ),
    Mutation(
        "a number may be written in whatever way Python reads",
        "functions/api/models.py",
        "if isinstance(value, str) and not _INTEGER.fullmatch(value):",
        "if False:",
        STRICT,
    ),
    Mutation(
        "a path that is no UTF-8 reads whoever has the replacement's name",
        "functions/api/query.py",
        "if REPLACED in path:",
        "if False:",
        STRICT,
    ),
    Mutation(
        "any number of clients may wait",
        "shared/cache/scripts/grant_wait.lua",
        "if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then",
        "if false then",
        WAITS,
    ),
    Mutation(
        "a wait is never given back",
        "shared/cache/waits.py",
        "            if is_granted:\n                with",
        "            if False:\n                with",
        WAITS,
    ),
    Mutation(
        "the wait of an instance that crashed never ends",
        "shared/cache/scripts/grant_wait.lua",
        "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms)\n",
        "",
        WAITS,
    ),
    Mutation(
        "a page of events reads a megabyte of them",
        "shared/truth/reads.py",
        "partition, after, page_size=limit)",
        "partition, after)",
        PAGE_SIZES,
    ),
    Mutation(
        "a page of acts reads a megabyte of them",
        "shared/truth/queries.py",
        'PaginationConfig={"PageSize": limit}',
        'PaginationConfig={"PageSize": None}',
        PAGE_SIZES,
    ),
    Mutation(
        "a page of leaderboards reads a megabyte of them",
        "shared/truth/registry.py",
        ", page_size=limit)",
        ")",
        PAGE_SIZES,
    ),
    Mutation(
        "a cursor goes on with whatever filters",
        "functions/api/params.py",
        "if cursor.filters != filters_of(selection):",
        "if False:",
        ("tests/unit/api/test_selections.py",),
    ),
    Mutation(
        "a page below the snapshot is empty",
        "shared/reads/fallback.py",
        "        if truncated and not shown:\n            return None\n",
        "",
        PROPERTY,
    ),
    Mutation(
        "a snapshot is as of when it was taken, however often it is confirmed",
        "shared/rebuild/snapshots.py",
        "        if revisions:\n",
        "        if taken:\n",
        FALLBACK,
    ),
    Mutation(
        "a snapshot is confirmed by another revision",
        "shared/truth/snapshots.py",
        "confirmed.revisions.get(window_id) != snapshot.revision or ",
        "",
        FALLBACK,
    ),
    Mutation(
        "a window that is being built hides the others",
        "shared/reads/players.py",
        "except (Rebuilding, Building, CacheUnavailable, QueueUnavailable) as error:",
        "except (Rebuilding, CacheUnavailable, QueueUnavailable) as error:",
        ("tests/integration/test_api.py",),
    ),
    Mutation(
        "a truth that keeps silent is asked again and again",
        "shared/truth/guard.py",
        "if self._breaker.opened:",
        "if False:",
        GUARD,
    ),
    Mutation(
        "a request to the API waits for the truth without end",
        "shared/truth/guard.py",
        "if self._until_s is not None and self._monotonic_s() > self._until_s:",
        "if False:",
        GUARD,
    ),
    Mutation(
        "who remembers something waits for the truth all the same",
        "shared/lookups/remembered.py",
        "return future.result(self._patience_s)",
        "return future.result()",
        ("tests/unit/test_kept.py",),
    ),
    Mutation(
        "a truth that hangs is asked anew by every read",
        "shared/lookups/remembered.py",
        "        if key in self._running:\n            raise",
        "        if False:\n            raise",
        ("tests/unit/test_kept.py",),
    ),
    Mutation(
        "a day is noted after its first event is written",
        "shared/truth/commits.py",
        "        self._note_days(players)\n",
        "",
        BUILDS,
    ),
    Mutation(
        "a build reads days that have no events",
        "shared/rebuild/builder.py",
        "left = self._reads.recorded_days(rules, days[build.progress.position :])",
        "left = days[build.progress.position :]",
        BUILDS,
    ),
    Mutation(
        "a build goes on though nobody asks",
        "shared/rebuild/on_demand.py",
        "build.ends_unasked = not registered",
        "build.ends_unasked = False",
        BUILDS,
    ),
    Mutation(
        "only the reader who began a build keeps it going",
        "shared/cache/scripts/begin_build.lua",
        "if ARGV[8] == '1' then redis.call('HSET', KEYS[1], '\\0asked', ARGV[2]) end\n",
        "",
        BUILDS,
    ),
    Mutation(
        "a registered period is not built unless somebody asks",
        "shared/rebuild/on_demand.py",
        "build.ends_unasked = not registered",
        "build.ends_unasked = True",
        BUILDS,
    ),
    Mutation(
        "ranges take all the memory of Redis",
        "shared/cache/scripts/admit_range.lua",
        "if bytes > 0 and over > 0 then",
        "if false then",
        BUDGET,
    ),
    Mutation(
        "the range that was read last goes first",
        "shared/cache/scripts/admit_range.lua",
        "'-inf', '(' .. ARGV[4], 'BYSCORE')",
        "'(' .. ARGV[4], '-inf', 'BYSCORE', 'REV')",
        BUDGET,
    ),
    Mutation(
        "a range that was just read is evicted",
        "shared/cache/range_budget.py",
        "            now_ms - PROTECTED_MS,",
        "            now_ms + 1,",
        BUDGET,
    ),
    Mutation(
        "a range that was registered since is evicted",
        "shared/rebuild/on_demand.py",
        "        if kept:\n",
        "        if False:\n",
        BUDGET,
    ),
    Mutation(
        "a registered period counts as a range",
        "shared/rebuild/on_demand.py",
        "if built and on_demand:",
        "if built:",
        BUDGET,
    ),
    Mutation(
        "ranges are added to a Redis that is nearly full",
        "shared/cache/scripts/admit_range.lua",
        "if most > 0 and used",
        "if false and used",
        BUDGET,
    ),
    Mutation(
        "a caller has as many ranges built as they like",
        "shared/cache/scripts/admit_range.lua",
        "if short_ms > 0",
        "if false",
        BUDGET,
    ),
    Mutation(
        "one caller spends the budget of all",
        "shared/cache/range_budget.py",
        "sha256(caller.encode())",
        "sha256(''.encode())",
        BUDGET,
    ),
    Mutation(
        "the API does not say who asks for a range",
        "functions/api/edge.py",
        "CALLER.set(found.subject if found is not None else NOBODY)",
        "CALLER.set(NOBODY)",
        BUDGET,
    ),
    Mutation(
        "a range costs the same whatever is read for it",
        "shared/rebuild/on_demand.py",
        "RANGE_READS + len(days) * leaderboard.shards",
        "RANGE_READS",
        BUDGET,
    ),
    Mutation(
        "a range that is read goes as one that is not",
        "shared/rebuild/on_demand.py",
        "            self._budget.touch(leaderboard.scores_id, window.id, now_ms)\n",
        "            pass\n",
        BUDGET,
    ),
    Mutation(
        "a range counts for ever though its build ended unasked",
        "shared/rebuild/on_demand.py",
        "                self._budget.release(leaderboard.scores_id, window.id)\n",
        "                pass\n",
        BUDGET,
    ),
    Mutation(
        "a range counts for ever though it expired",
        "shared/cache/scripts/admit_range.lua",
        "  redis.call('HDEL', KEYS[2], gone)\n",
        "",
        BUDGET,
    ),
    Mutation(
        "nothing is made room for before it is built",
        "shared/cache/range_budget.py",
        "            expected,\n            limits",
        "            0,\n            limits",
        BUDGET,
    ),
    Mutation(
        "a final window is shown as its result while a correction is pending",
        "shared/reads/corrections.py",
        "is_pending = bool(work.audit_entries) or any(due.window == window for due in work.due)",
        "is_pending = False",
        DISQUALIFICATION,
    ),
    Mutation(
        "a final window that was read before another version counts as that one",
        "shared/reads/rankings.py",
        "            if state.version == result.final.version:\n",
        "            if True:\n",
        ("tests/unit/test_rankings.py",),
    ),
)


def catcher(tests: Sequence[str], mutation: Mutation | None, directory: Path) -> str | None:
    """The test that fails on a copy of the project that is broken this way, or not at all; None if all pass."""
    copy = directory / "project"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_BEHIND))
    if mutation is not None:
        file = copy / mutation.file
        text = file.read_text()
        if text.count(mutation.old) != 1:
            sys.exit(f"{mutation.name}: {mutation.file} holds {text.count(mutation.old)} times: {mutation.old!r}")
        file.write_text(text.replace(mutation.old, mutation.new))
    environment = os.environ | {
        "PYTHONPATH": str(copy),
        "LOCAL_PACKAGES_DIR": str(ROOT / ".local" / "packages"),
        "SEEDS": "200",
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        sys.exit(f"the tests did not run:\n{done.stdout[-2_000:]}{done.stderr[-2_000:]}")
    failed = re.search(r"^(?:FAILED|ERROR) \S+?([^/\s]+::\S+)", done.stdout, re.MULTILINE)
    return None if done.returncode == 0 else failed[1] if failed else "nobody knows which"


def main() -> int:
    """Try all mutations, or those whose names contain an argument, after a look whether the tests pass without."""
    wanted = [one for one in MUTATIONS if not sys.argv[1:] or any(part in one.name for part in sys.argv[1:])]
    console = Console()
    for tests in sorted({one.tests for one in wanted}):
        with tempfile.TemporaryDirectory() as directory:
            if caught := catcher(tests, None, Path(directory)):
                sys.exit(f"{caught} fails on the project as it is: nothing can be said of what it catches")
    survivors = []
    for mutation in track(wanted, description="mutations", console=console):
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as directory:
            caught = catcher(mutation.tests, mutation, Path(directory))
        outcome = f"caught by {escape(caught)}" if caught else "[bold red]SURVIVED[/]"
        console.print(
            f"{mutation.name}: {outcome} in {time.monotonic() - start:.0f} s", highlight=False, soft_wrap=True
        )
        if caught is None:
            survivors.append(mutation)
    console.print(f"{len(wanted) - len(survivors)} of {len(wanted)} mutations were caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
