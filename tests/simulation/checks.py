"""Section 9 of the design, checked after a course, and the courses that a seed or its replay stands for."""

import csv
import hashlib
import io
import traceback
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import date
from itertools import pairwise
from typing import Any, Final

import msgspec
from redis import Redis

from shared.cache.windows import WindowCache
from shared.domain.audit import AuditAction, AuditEntry
from shared.domain.calendar import (
    ALL_TIME,
    DAY_MAX,
    DAY_MS,
    Day,
    Window,
    WindowKind,
    daily,
    monthly,
    parse_day,
    parse_id,
    to_date,
    weekly,
)
from shared.domain.periods import Period
from shared.domain.rules import Order
from shared.domain.tiers import Tier, TierRule
from shared.truth.final_results import FinalResult, FinalResults
from shared.truth.items import to_standing
from shared.truth.keys import WORK
from shared.truth.progress import KEY_MISMATCH, Progress
from tests.simulation.accounts import assert_accounts, board_of, dead_letters, ledger
from tests.simulation.accounts import read as read_record
from tests.simulation.administrators import attributes_of
from tests.simulation.boards import ARCHIVED
from tests.simulation.course import Course, shrink
from tests.simulation.outside import TOPIC
from tests.simulation.readers import Carriers, carriers, has_gone
from tests.simulation.recurring import assert_series
from tests.simulation.world import World
from tests.support.oracle import APPLIED, DUPLICATE, Entry, Fact, Oracle, in_force, instant, qualifies, score, tier
from tests.support.oracle_days import clocks_of, day_of, end_ms, start_ms

Change = tuple[Period | None, Period | None]
"""A period before and after it."""
START_MS: Final = parse_day("2099-03-28") * DAY_MS + 20 * 3_600_000
"""A Saturday evening of a year in which Redis, by its own clock, lets no window go: some hours before Europe's clocks
are put forward, and a week before those of Lord Howe Island are put back."""


def take(course: Course, redis: Redis) -> World:
    """Take a course to its end and check what has become of everything."""
    world = World(course, redis, START_MS)
    world.run()
    check(world)
    return world


def failure(course: Course, redis: Redis) -> str | None:
    """How a course fails, with the commands that take it, and the smallest one that still fails, again; None if not."""
    try:
        take(course, redis)
    except Exception:  # noqa: BLE001 - in whichever way
        error = traceback.format_exc()
        return f"{error}\nfailed: {course}\nshrunk: {shrink(course, lambda one: fails(one, redis))}"
    return None


def fails(course: Course, redis: Redis) -> bool:
    """Whether a course fails, in whichever way."""
    try:
        take(course, redis)
    except Exception:  # noqa: BLE001
        return True
    return False


def check(world: World) -> None:
    """Section 9 of the design, against the oracle."""
    oracle = Oracle(world.boards, archived=[ARCHIVED])
    oracle.audit_log = audit_logs(world)
    oracle.starts_ms = {name: world.registry.starts_ms(name) for name in world.boards}
    oracle.voids, oracle.corrections = amendments(world)
    oracle.pseudonyms = pseudonyms(world)
    assert not world.dynamo.changed_after_close
    assert not [of for of, _ in world.dynamo.tables["registry"] if of.startswith(("gaps#", "losses#"))]
    assert not world.accounts.missing
    assert not world.refused_though_held
    assert not world.refused_though_proven
    assert_accounts(world, oracle)
    assert_profiles(world, oracle)
    assert_standings(world, oracle)
    assert_windows(world, oracle)
    assert_finals(world, oracle)
    assert_periods(world)
    assert_series(world, audit_entries(world))
    assert_range(world, oracle)
    assert_counters(world, dead_letters(world))


def assert_profiles(world: World, oracle: Oracle) -> None:
    """Each player has the newest profile of their events that count, and nobody with a pseudonym has one.

    Of a record that the retention took, or that a redelivery judged otherwise, the ledger says whether it counts. What
    was refused at first and counts since brings its profile when redrive sends it again, if not before.
    """
    expected: dict[tuple[str, str], str] = {}
    allowed: dict[tuple[str, str], set[str]] = {}
    held, letters, lost = ledger(world), dead_letters(world), world.lost()
    for record in (record for log in world.topic for record in log):
        profile = oracle.profile_of(record)
        if profile is None:
            continue
        if msgspec.json.decode(record.value or b"")["leaderboardId"] not in world.boards:
            continue
        at_ms, text = profile
        player, fact = read_record(world, record)
        value = f"{at_ms:016d}{text}"
        allowed.setdefault(player, set()).add(value)
        place = record.partition, record.offset
        counts = fact in held.get(player, []) and oracle.outcomes[place] in (APPLIED, DUPLICATE)
        if counts and place not in lost and place not in letters:
            expected[player] = max(expected.get(player, ""), value)
    stored = {}
    for (partition, _), item in world.dynamo.tables["registry"].items():
        if partition.startswith("profile#"):
            _, scores_id, user = partition.split("#", 2)
            stored[scores_id, user] = item["kept"]["S"]
    forgotten = {(name, one) for name in world.boards for pair in world.pseudonyms(name).items() for one in pair}
    assert not [player for player in stored if (board_of(player), player[1]) in forgotten]
    for player, value in expected.items():
        if (board_of(player), player[1]) not in forgotten:
            assert stored.get(player, "") >= value, (player, stored.get(player), value)
    for player, value in stored.items():
        assert value in allowed.get(player, ()), (player, value)


def audit_logs(world: World) -> dict[str, list[tuple[Any, ...]]]:
    """Leaderboard id → what was done to whom, in the order of the log, which has no gaps."""
    return {
        name: [(entry.kind, entry.user_id or "", *(entry.run or ())) for entry in log]
        for name, log in audit_entries(world).items()
    }


def pseudonyms(world: World) -> dict[str, dict[str, tuple[int, str]]]:
    """Leaderboard id → pseudonym → number of its entry, and the id that it stands for, which nothing has any more."""
    found: dict[str, dict[str, tuple[int, str]]] = {}
    for name, log in audit_entries(world).items():
        users = world.pseudonyms(name)
        numbers = {one.user_id: one.number for one in log if one.kind is AuditAction.PSEUDONYMISE}
        assert numbers.keys() == users.keys(), "each has one entry"
        found[name] = {pseudonym: (numbers[pseudonym], user) for pseudonym, user in users.items()}
        for table in world.dynamo.tables.values():
            for (partition, sort), item in table.items():
                if board_of((partition.removeprefix("leaderboard#").partition("#")[0], "")) != name:
                    continue
                texts = [partition.partition("#")[2], sort, *(str(part) for part in item.get("body", {}).values())]
                left = [user for user in users.values() if any(user == one or f'"{user}"' in one for one in texts)]
                assert not left or sort.startswith("period#"), (partition, sort, "names who is forgotten")
    return found


def amendments(world: World) -> tuple[dict[str, list[tuple[int, str, str]]], dict[str, list[tuple[int, str, Fact]]]]:
    """Id of scores → voids and corrections by the audit log, which the ledger agrees with; it says of which scores."""
    voids: dict[str, list[tuple[int, str, str]]] = {}
    corrections: dict[str, list[tuple[int, str, Fact]]] = {}
    held: dict[tuple[str, AuditAction, int], tuple[str, str, str]] = {}
    for (partition, event_id), item in world.dynamo.tables["leaderboard-ledger"].items():
        scores_id, _, user_id = partition.partition("#")
        for mark, kind in (("voided_by", AuditAction.VOID), ("added_by", AuditAction.CORRECT)):
            if mark in item:
                place = board_of((scores_id, user_id)), kind, int(item[mark]["N"])
                assert place not in held
                held[place] = scores_id, user_id, event_id
    for name, log in audit_entries(world).items():
        for entry in log:
            if entry.kind not in (AuditAction.VOID, AuditAction.CORRECT):
                continue
            scores_id, user_id, event_id = held.pop((name, entry.kind, entry.number))
            assert (entry.user_id, entry.subject) == (user_id, event_id)
            assert entry.points is not None
            assert entry.occurred_at_ms is not None
            if entry.kind is AuditAction.VOID:
                voids.setdefault(scores_id, []).append((entry.number, user_id, event_id))
            else:
                clocks = clocks_of(world.boards[name])
                fact = Fact(event_id, entry.points, entry.occurred_at_ms, attributes_of(event_id), clocks)
                corrections.setdefault(scores_id, []).append((entry.number, user_id, fact))
    assert not held
    return voids, corrections


def audit_entries(world: World) -> dict[str, list[AuditEntry]]:
    """Leaderboard id → its audit log."""
    found: dict[str, list[AuditEntry]] = {}
    for (partition, sort), item in world.dynamo.tables["registry"].items():
        if sort.startswith("audit#"):
            found.setdefault(partition.removeprefix("leaderboard#"), []).append(
                msgspec.json.decode(item["body"]["S"], type=AuditEntry)
            )
    logs = {name: sorted(log, key=lambda entry: entry.number) for name, log in found.items()}
    for log in logs.values():
        assert [entry.number for entry in log] == list(range(1, len(log) + 1))
        runs = [entry.run or (0, DAY_MAX) for entry in log]
        starts = {day for first, last in runs for day in (first, last + 1)}  # between two of them all days are alike
        out: dict[str | None, set[int]] = {}
        for entry, (first, last) in zip(log, runs, strict=True):
            days, named = out.get(entry.user_id, set()), {day for day in starts if first <= day <= last}
            if entry.kind is AuditAction.REINSTATE:
                assert not days.isdisjoint(named), "nothing is done twice"
                out[entry.user_id] = days - named
            elif entry.kind is AuditAction.DISQUALIFY:
                assert not days.issuperset(named), "nothing is done twice"
                out[entry.user_id] = days | named
    return logs


def assert_periods(world: World) -> None:
    """A period that was paid for stays as it was then, and every change of one is in the audit log."""
    for (name, window_id), paid_for in world.dynamo.paid_for.items():
        assert paid_for, f"{window_id} of {name} has a result though no period has these days"
        for period_id in paid_for:
            period = world.registry.registered_as(name, period_id)
            assert period is not None, f"{period_id} of {name} was deleted after its result"
            assert period.window.id == window_id, f"{period_id} of {name} was moved after its result"
    for name, log in audit_entries(world).items():
        noted = changes_by_id((one.period_before, one.period_after) for one in log)
        changed = world.registry.period_changes
        made = changes_by_id((before, after) for of, before, after in changed if of == name)
        for period_id, changes in made.items():
            left = iter(noted[period_id])
            assert all(one in left for one in changes), f"{period_id}: in their order, with others that failed between"


def changes_by_id(changes: Iterable[Change]) -> dict[str, list[Change]]:
    """What was done to each period, in order; administrators may do things to two of them at the same time."""
    found: dict[str, list[Change]] = {}
    for before, after in changes:
        period = before or after
        if period is not None:
            found.setdefault(period.id, []).append((before, after))
    return found


def assert_standings(world: World, oracle: Oracle) -> None:
    stored = {}
    for (partition, user), item in world.dynamo.tables["leaderboard-standings"].items():
        board, date, *shard = partition.split("#")
        if not shard:  # which days have standings
            continue
        standing = to_standing(item)
        if standing.is_empty:
            assert (standing.points, standing.reached_at_ms, standing.labels) == (0, 0, ())
            continue
        labels = {label.filter: label.value for label in standing.labels}
        stored[board, date, user] = (standing.points, standing.reached_at_ms, standing.events, labels)
    expected = {}
    for board, user in {*oracle.facts, *corrected(oracle)}:
        facts = oracle.counting(board, user)
        rules = world.boards[board_of((board, user))]
        clocks = clocks_of(rules)
        for day in {day_of(clocks, fact.at_ms) for fact in facts}:
            members = [fact for fact in facts if day_of(clocks, fact.at_ms) == day]
            expected[board, to_date(Day(day)).isoformat(), user] = summed_up(rules, members)
        if facts:
            expected[board, "all-time", user] = summed_up(rules, facts)
    assert stored == expected


def corrected(oracle: Oracle) -> set[tuple[str, str]]:
    """Leaderboard and user of those to whom events were added."""
    return {(board, user) for board, added in oracle.corrections.items() for _, user, _ in added}


def summed_up(board: Mapping[str, Any], facts: list[Fact]) -> tuple[int, int, int, dict[str, str]]:
    """What a standing is to hold of events."""
    in_time = sorted(facts, key=lambda fact: (fact.at_ms, fact.event_id))
    filters = board.get("filters", ())
    labels = {name: value for fact in in_time for name, value in fact.attributes if name in filters}
    return (*score(board, facts), len(facts), labels)


def assert_windows(world: World, oracle: Oracle) -> None:
    live = WindowCache(world.redis)
    for name in world.shown_boards():
        board, days = world.registry.history[name][-1].at(world.scheduler.now_ms), oracle.days(name)
        windows: list[Window] = [ALL_TIME]
        windows += [daily(parse_day(day.isoformat())) for day in days]
        windows += {make(parse_day(day.isoformat())) for make in (weekly, monthly) for day in days}
        for window in windows:
            page = live.page(board, window, 0, 1_000, world.scheduler.now_ms)
            is_there = page.complete and not has_gone(world, board.scores_id, window)
            if not board.keeps(window, world.scheduler.now_ms) and not is_there:
                continue  # nobody has read it lately, of a kind that isn't kept or of a course of so many days
            assert page.complete
            shown = [(user, one.points, one.reached_at_ms) for user, one in page.lines]
            first, last = (None, None) if window is ALL_TIME else (to_date(window.first), to_date(window.last))
            ranking = oracle.ranking(name, first, last)
            assert shown == [(one.user_id, one.score, one.reached_at_ms) for one in ranking], window.id
            expected = expected_carriers(oracle, name, first, last)
            found = carriers(world.redis, board, window, world.scheduler.now_ms, expected)
            assert found == expected, window.id
            members = live.labels(board, window, 0, 1_000, world.scheduler.now_ms)
            assert members.total == sum(map(len, found.values())), "and nobody else"


def expected_carriers(
    oracle: Oracle, name: str, first: date | None, last: date | None, audit_sequence: int | None = None
) -> Carriers:
    return {
        (filter_name, value): [(one.rank, one.user_id, one.score, one.reached_at_ms) for one in entries]
        for filter_name in oracle.leaderboards[name].get("filters", ())
        for value, entries in oracle.carriers(
            name, filter_name, first, last, audit_sequence, named_as_of=audit_sequence
        ).items()
    }


def assert_range(world: World, oracle: Oracle) -> None:
    """The range that a reader had built holds what came meanwhile, if it is marked as complete at all."""
    if world.range_healed.complete and world.ranged.id in world.shown_boards():
        shown = [(user, one.points, one.reached_at_ms) for user, one in world.range_healed.lines]
        days = to_date(world.range.first), to_date(world.range.last)
        by_then = world.audit_sequence_by_then
        ranking = oracle.ranking(world.ranged.id, *days, by_then, named_as_of=by_then)
        assert shown == [(one.user_id, one.score, one.reached_at_ms) for one in ranking]
        assert world.range_carriers == expected_carriers(oracle, world.ranged.id, *days, world.audit_sequence_by_then)


def assert_finals(world: World, oracle: Oracle) -> None:
    """Every day, week, period, and month where they are named, in which somebody played is final, and as the oracle
    ranks it; so is each version.
    """
    client: Any = world.dynamo
    world.scheduler.calm = True
    final_results = FinalResults(client, "registry")
    results: dict[str, set[str]] = {}
    told: set[tuple[str, str, int]] = set()
    noted: set[tuple[str, str, int]] = set()
    for partition, sort in list(world.dynamo.tables["registry"]):
        if not sort.startswith("final#"):
            continue
        name, window_id = partition.removeprefix("leaderboard#"), sort.removeprefix("final#")
        results.setdefault(name, set()).add(window_id)
        versions = final_results.versions(name, window_id)
        announcements = final_results.announcements(name, window_id)
        assert not announcements.waiting
        noted |= {(name, window_id, version) for version in announcements.at_ms}
        for number, final in enumerate(versions, start=1):
            assert final.version == number
            told.add((name, window_id, number))
            assert_version(world, oracle, final)
        window = parse_id(window_id)
        days = to_date(window.first), to_date(window.last)
        for before, after in pairwise(versions):
            assert before.audit_sequence < after.audit_sequence
            assert before.rules_version == after.rules_version
            rankings = [
                oracle.ranking(name, *days, audit_sequence=one.audit_sequence, named_as_of=after.audit_sequence)
                for one in (before, after)
            ]
            assert_difference(world, after, *rankings)
        assert oracle.ranking(name, *days) == oracle.ranking(name, *days, audit_sequence=versions[-1].audit_sequence), (
            "is up to date"
        )
        assert final_results.final(name, window_id) == versions[-1]
    for name in world.open:
        days_played = [parse_day(day.isoformat()) for day in oracle.days(name)]
        played = {daily(day).id for day in days_played} | {weekly(day).id for day in days_played}
        if WindowKind.MONTHLY in world.boards[name]["windows"]:  # the month may go on when all else is over
            sealed = world.registry.current(name).sealed_through
            played |= {monthly(day).id for day in days_played if sealed is not None and monthly(day).last <= sealed}
        last_start_ms = max(world.registry.starts_ms(name), default=0)
        periods = [period.window for period in world.registry.registered(name)]
        played |= {
            window.id for window in periods if end_ms(clocks_of(world.boards[name]), window.last) > last_start_ms
        }
        played -= still_open(world, name)
        owed = {window_id for window_id in played if not passed_while_archived(world, name, parse_id(window_id))}
        assert owed <= results.get(name, set())
        board = world.registry.current(name)
        assert board.nothing_owed is board.archived, "closing passes over it, and over no other"
        for window in map(parse_id, results.get(name, set())):
            if window.kind is WindowKind.CUSTOM:
                asked_for = world.periods.get(name, set()) | world.dynamo.recurring.windows.get(name, set())
                assert window in asked_for, "nobody has asked for it"
                assert not board.begins_after_archiving(window)
            else:
                assert window.kind in (WindowKind.DAILY, WindowKind.WEEKLY, *world.boards[name]["windows"])
                assert window.last >= min(days_played), "nothing is owed before the first event"
                assert not board.begins_after_archiving(window), "nor after the last"
    assert set(world.told) == told, "of each version"
    assert noted == told, "and noted so"
    assert not [sort for of, sort in world.dynamo.tables["registry"] if of == WORK]


def still_open(world: World, name: str) -> set[str]:
    """Ids of the windows of occurrences that are registered ahead and go on after the end of the simulation."""
    clocks, periods = clocks_of(world.boards[name]), world.registry.registered(name)
    ahead = [one.window for one in periods if "~" in one.id]
    margin_ms = max(world.registry.lateness_ms[name]) + DAY_MS
    return {window.id for window in ahead if end_ms(clocks, window.last) > world.scheduler.now_ms - margin_ms}


def passed_while_archived(world: World, name: str, window: Window) -> bool:
    """Whether a window began after its leaderboard was deleted, and was over before it was put again, if ever.

    No result is owed for it. Only corrections are in it, and what is admitted while the deletion is being written: here
    days may pass between the moment that a call decides by and its write.
    """
    since_ms: int | None = None
    clocks = clocks_of(world.boards[name])
    starts_ms = start_ms(clocks, window.first)
    for one in world.registry.history[name]:
        if one.archived:
            since_ms = one.updated_at_ms if since_ms is None else since_ms
        elif since_ms is not None:
            if since_ms <= starts_ms and end_ms(clocks, window.last) <= one.updated_at_ms:
                return True
            since_ms = None
    return since_ms is not None and since_ms <= starts_ms


def assert_counters(world: World, letters: Mapping[tuple[int, int], Set[str]]) -> None:
    """What is counted of the records: each once at the most, none as applied that is not in the ledger."""
    client: Any = world.dynamo
    counted: Counter[str] = Counter()
    for position in Progress(client, "registry").positions(TOPIC):
        outcomes = sum(count for name, count in position.counts.items() if name != KEY_MISMATCH)
        assert outcomes <= position.next_offset == len(world.topic[position.partition])
        counted.update(position.counts)
    del counted[KEY_MISMATCH]  # a fault beside an outcome
    in_ledger = sum("added_by" not in item for item in world.dynamo.tables["leaderboard-ledger"].values())
    assert counted["applied"] <= in_ledger
    if world.is_faultless:
        rejected = Counter(f"rejected_{reason}" for reasons in letters.values() for reason in reasons)
        duplicates = sum(map(len, world.topic)) - in_ledger - rejected.total()
        assert +counted == +Counter({"applied": in_ledger, "duplicate": duplicates, **rejected})


def assert_version(world: World, oracle: Oracle, final: FinalResult) -> None:
    """A version is what the oracle ranks without those who were disqualified as of its audit sequence."""
    window = parse_id(final.window_id)
    days = to_date(window.first), to_date(window.last)
    sequence = final.audit_sequence
    ranking = oracle.ranking(final.leaderboard_id, *days, audit_sequence=sequence, named_as_of=sequence)
    lines = table(world, final.object_key, final.sha256)
    stored = [(line["user_id"], int(line["score"]), instant(line["reached_at"])) for line in lines]
    assert stored == [(one.user_id, one.score, one.reached_at_ms) for one in ranking], final.window_id
    board = tiers_of(world, final)
    assert final.rules_version == in_force(
        world.boards[final.leaderboard_id], world.registry.written(final.leaderboard_id), days[1]
    ), final.window_id
    assert final.tiers == tuple(one["name"] for one in board["tiers"])
    tiers = tiers_in(board, ranking)
    assert [int(line["competition_rank"]) for line in lines] == [one.competition_rank for one in ranking]
    for filter_name in oracle.leaderboards[final.leaderboard_id].get("filters", ()):
        found = oracle.carriers(final.leaderboard_id, filter_name, *days, audit_sequence=sequence, named_as_of=sequence)
        carried = {one.user_id: value for value, entries in found.items() for one in entries}
        values = [line[f"attr.{filter_name}"] for line in lines]
        assert values == [carried.get(one.user_id, "") for one in ranking], (final.window_id, filter_name)
    assert [line["tier"] for line in lines] == tiers, final.window_id
    assert (final.players, int(final.sum_of_points)) == (len(ranking), sum(one.score for one in ranking))


def tiers_of(world: World, final: FinalResult) -> dict[str, Any]:
    """The tiers that a result was ranked with and who counts for them, as the oracle takes them."""
    kind = parse_id(final.window_id).kind
    rules = world.registry.history[final.leaderboard_id][final.rules_version - 1]
    board: dict[str, Any] = {"tiers": [as_sent(one) for one in rules.tiers if kind in (one.windows or [kind])]}
    if rules.qualify is not None:
        board["qualify"] = {"minScore" if rules.order is Order.DESC else "maxScore": rules.qualify}
    return board


def tiers_in(board: Mapping[str, Any], ranking: Sequence[Entry]) -> list[str]:
    """The tier of each entry, empty if it is in none."""
    fit = sum(qualifies(board, one.score) for one in ranking)
    return [tier(board, one.rank, one.competition_rank, one.score, fit) or "" for one in ranking]


def as_sent(one: Tier) -> dict[str, Any]:
    """A tier as it would be put."""
    value = one.value / 100 if one.rule is TierRule.TOP_PERCENT else one.value
    return {"name": one.name, one.rule.value: value, "ties": one.ties.value}


def assert_difference(world: World, final: FinalResult, before: list[Entry], after: list[Entry]) -> None:
    """The difference between two versions turns the one into the other, and says nothing else."""
    assert final.difference_key is not None
    board, names = tiers_of(world, final), ("rank", "score", "tier")
    old, new = (
        {
            one.user_id: (str(one.rank), str(one.score), name)
            for one, name in zip(ranking, tiers_in(board, ranking), strict=True)
        }
        for ranking in (before, after)
    )
    told = {
        line["user_id"]: tuple(tuple(line[f"{name}_{when}"] for name in names) for when in ("before", "after"))
        for line in table(world, final.difference_key, final.difference_sha256)
    }
    nothing = ("", "", "")
    changed = {user for user in old | new if old.get(user) != new.get(user)}
    assert told == {user: (old.get(user, nothing), new.get(user, nothing)) for user in changed}


def table(world: World, key: str, sha256: str | None) -> list[dict[str, str]]:
    """The lines of a file, which is the one that its result names."""
    content = world.s3.objects[key]
    assert hashlib.sha256(content).hexdigest() == sha256
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))
