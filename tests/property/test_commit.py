"""The real ingest pipeline on a DynamoDB in memory that fails in every way it may.

Only the cache and the queues are left out: what counts here is what becomes of records, ledger and standings.
"""

import json
import random
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.closing.ranking import FoldedWindow
from shared.domain.calendar import ALL_TIME, ALL_TIME_BUCKET, Day, Window, custom, daily, to_date, weekly
from shared.domain.events import POINTS_MAX
from shared.domain.ranking import Entry, rank
from shared.domain.records import Record, Source
from shared.domain.rules import Aggregation, Leaderboard, Order
from shared.domain.standings import Score, Standing, combine
from shared.domain.tiers import Tier, TierRule
from shared.ingest.committer import Committer
from shared.ingest.outcomes import Candidate, OutcomeKind, read
from shared.retries import Backoff
from shared.streams import in_turn
from shared.truth.commits import Commits, PlayerKey
from shared.truth.reads import Reads
from shared.truth.tables import Tables
from tests.property.memory import Client, Database, Fault, Turns
from tests.support import oracle
from tests.support.folding import by_player

MONDAY = date(2026, 11, 23)
APPENDED_MS = 1_796_100_000_000
NO_WAIT = Backoff(sleep=lambda _: None)
DELIVERIES_MAX = 60

DEFINITION: dict[str, Any] = {
    "name": "Cup",
    "lateness": "P60D",
    "tiers": [{"name": "gold", "topN": 1}, {"name": "silver", "topPercent": 50}, {"name": "bronze", "minScore": 0}],
}
TIERS = (
    Tier("gold", TierRule.TOP_N, 1),
    Tier("silver", TierRule.TOP_PERCENT, 5_000),
    Tier("bronze", TierRule.MIN_SCORE, 0),
)

Shown = dict[PlayerKey, dict[Day, Standing]]

faults = st.lists(st.one_of(st.none(), st.sampled_from(Fault)), max_size=30)
batch_sizes = st.lists(st.integers(1, 12), max_size=20)
boards = st.builds(
    lambda aggregation, order: Leaderboard(
        id="cup",
        name="Cup",
        aggregation=aggregation,
        order=order,
        shards=2,
        tiers=TIERS,
        lateness_ms=60 * 86_400_000,
        filters=("country",),
    ),
    st.sampled_from(Aggregation),
    st.sampled_from(Order),
)
facts = st.tuples(
    st.sampled_from(["ann", "bob", "cat"]), st.integers(-3, 3), st.sampled_from([0, 1, 6, 7, 40]), st.integers(0, 2)
)
"""User, points, day and millisecond: few of each, so that they tie."""


def value(event_id: str, user: str, points: int, day: int, millisecond: int) -> bytes:
    occurred_at = f"{MONDAY + timedelta(days=day - 40)}T10:00:00.{millisecond:03d}Z"
    event = {"eventId": event_id, "leaderboardId": "cup", "userId": user, "points": points, "occurredAt": occurred_at}
    if points % 3:  # some carry the attribute, a few values of it
        event["attributes"] = {"country": f"{points % 3}-{user}"[:3], "guild": "any"}
    return json.dumps(event).encode()


def record(offset: int, content: bytes, partition: int = 0) -> Record:
    return Record(Source("score-events", partition, offset, APPENDED_MS), None, content)


def in_a_row(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    return [call() for call in calls]


def reads_of(client: Any) -> Reads:
    return Reads(client, Tables(), in_turn, NO_WAIT)


def candidates_of(leaderboard: Leaderboard, records: Iterable[Record]) -> list[Candidate]:
    candidates = read(records)
    for candidate in candidates:
        candidate.leaderboard = leaderboard
    return candidates


def commit(client: Any, candidates: Sequence[Candidate]) -> Shown:
    return Committer(Commits(client, Tables()), reads_of(client), in_a_row, NO_WAIT).commit(candidates)


def deliver(
    client: Client, leaderboard: Leaderboard, records: Sequence[Record], sizes: Iterable[int]
) -> dict[int, list[Candidate]]:
    """Hand records over as the trigger does: in batches, from the first that failed once more.

    Returns:
        By offset, what became of the record each time it was settled.
    """
    settled: dict[int, list[Candidate]] = {}
    sizes_left = iter(sizes)
    at = 0
    for _ in range(DELIVERIES_MAX):
        if at == len(records):
            return settled
        batch = candidates_of(leaderboard, records[at : at + next(sizes_left, 50)])
        commit(client, batch)
        assert all(candidate.kind is not None for candidate in batch)
        failed = [number for number, one in enumerate(batch) if one.kind is OutcomeKind.FAILED]
        for number, candidate in enumerate(batch):
            if candidate.kind is not OutcomeKind.FAILED:
                settled.setdefault(records[at + number].source.offset, []).append(candidate)
        at += failed[0] if failed else len(batch)
    raise AssertionError("the faults are used up, and still records fail")


def truth(database: Database, leaderboard: Leaderboard) -> dict[Day, dict[str, Standing]]:
    reads = reads_of(database.client())
    days = [Day((MONDAY - date(1970, 1, 1)).days + offset) for offset in range(-40, 1)]
    found: dict[Day, dict[str, Standing]] = {}
    for bucket in [*days, ALL_TIME_BUCKET]:
        for shard in range(leaderboard.shards):
            found.setdefault(bucket, {}).update(dict(reads.bucket(leaderboard, bucket, shard)))
    return found


def ranking(standings: dict[Day, dict[str, Standing]], leaderboard: Leaderboard, window: Window) -> list[Entry]:
    parts: dict[str, list[Score]] = {}
    for bucket in window.buckets:
        for user, one in standings.get(Day(bucket), {}).items():
            parts.setdefault(user, []).append(Score(one.points, one.reached_at_ms))
    scores = {user: combine(leaderboard.aggregation, leaderboard.order, own) for user, own in parts.items()}
    return list(rank(leaderboard.order, leaderboard.tiers, scores.items()))


def reference_of(leaderboard: Leaderboard, records: Iterable[Record]) -> oracle.Oracle:
    definition = DEFINITION | {"aggregation": str(leaderboard.aggregation), "order": str(leaderboard.order)}
    reference = oracle.Oracle({"cup": definition})
    reference.take(
        oracle.Produced(r.source.partition, r.source.offset, r.source.appended_at_ms, r.value) for r in records
    )
    return reference


def assert_every_window_is_the_oracles(database: Database, leaderboard: Leaderboard, reference: oracle.Oracle) -> None:
    standings = truth(database, leaderboard)
    days = sorted(bucket for bucket in standings if bucket != ALL_TIME_BUCKET)
    windows = [daily(day) for day in days] + [weekly(day) for day in days] + [custom(days[1], days[-1]), ALL_TIME]
    for window in windows:
        bounds = () if window is ALL_TIME else (to_date(window.first), to_date(window.last))
        assert [
            (one.rank, one.user_id, one.score, one.reached_at_ms, one.percentile_hundredths, one.tier)
            for one in ranking(standings, leaderboard, window)
        ] == [
            (one.rank, one.user_id, one.score, one.reached_at_ms, int(one.percentile * 100), one.tier)
            for one in reference.ranking("cup", *bounds)
        ], window.id
        assert carriers(standings, leaderboard, window) == {
            entry.user_id: carried
            for carried, entries in reference.carriers("cup", "country", *bounds).items()
            for entry in entries
            if leaderboard.filters
        }, window.id


def carriers(standings: dict[Day, dict[str, Standing]], leaderboard: Leaderboard, window: Window) -> dict[str, str]:
    """Who carries which country in a window, by the label set that the cache is compared with at closing."""
    lines = [
        (Day(bucket), user, one) for bucket in window.buckets for user, one in standings.get(Day(bucket), {}).items()
    ]
    found = {}
    with TemporaryDirectory() as directory:
        for member in FoldedWindow(leaderboard, by_player(lines), Path(directory)).label_members():
            assert member[0] == 1
            end = 2 + member[1]
            found[member[end + 14 :].decode()] = member[2:end].decode()
    return found


def assert_ledger_is_standings(database: Database, leaderboard: Leaderboard) -> None:
    """Whatever was accepted: no standing holds more or less than the player's ledger."""
    reads = reads_of(database.client())
    standings = truth(database, leaderboard)
    users = {place[1].partition("#")[2] for place in database.items if place[0] == Tables().ledger}
    assert users == set(standings[ALL_TIME_BUCKET])
    for user in users:
        events = [entry.event for entry in reads.ledger("cup", user)]
        for bucket, by_user in standings.items():
            members = [one for one in events if bucket in (ALL_TIME_BUCKET, one.occurred_at_ms // 86_400_000)]
            if not members:
                assert user not in by_user
                continue
            assert by_user[user].events == len(members)
            assert by_user[user].points == sum(one.points for one in members) or leaderboard.aggregation != "sum"


@settings(max_examples=150)
@given(boards, st.lists(facts, min_size=1, max_size=30), st.data())
def test_any_order_duplication_and_batching_of_events_gives_the_same_rankings(
    leaderboard: Leaderboard, drawn: list[tuple[str, int, int, int]], data: st.DataObject
) -> None:
    values = [value(f"e-{number}", *fact) for number, fact in enumerate(drawn)]
    copies = data.draw(st.lists(st.sampled_from(values), max_size=10))
    shuffled = data.draw(st.permutations(values + copies))
    records = [record(offset, content) for offset, content in enumerate(shuffled)]
    database = Database()

    settled = deliver(database.client(data.draw(faults)), leaderboard, records, data.draw(batch_sizes))

    reference = reference_of(leaderboard, [record(offset, content) for offset, content in enumerate(values)])
    assert_every_window_is_the_oracles(database, leaderboard, reference)
    assert_ledger_is_standings(database, leaderboard)
    assert sorted(settled) == list(range(len(records)))
    endings = {one.kind for candidates in settled.values() for one in candidates}
    assert endings <= {OutcomeKind.APPLIED, OutcomeKind.DUPLICATE}


@settings(max_examples=150)
@given(boards, st.lists(facts, min_size=1, max_size=30), st.data())
def test_of_events_with_one_id_the_first_of_the_partition_wins_whatever_fails(
    leaderboard: Leaderboard, drawn: list[tuple[str, int, int, int]], data: st.DataObject
) -> None:
    ids = data.draw(st.lists(st.integers(0, 6), min_size=len(drawn), max_size=len(drawn)))
    records = [
        record(offset, value(f"e-{number}", *fact))
        for offset, (number, fact) in enumerate(zip(ids, drawn, strict=True))
    ]
    database = Database()

    settled = deliver(database.client(data.draw(faults)), leaderboard, records, data.draw(batch_sizes))

    reference = reference_of(leaderboard, records)
    assert_every_window_is_the_oracles(database, leaderboard, reference)
    assert_settled_as_judged(settled, reference)


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ann", "bob"]),
            st.sampled_from([1, 2, POINTS_MAX - 2, POINTS_MAX - 1, POINTS_MAX]),
            st.sampled_from([0, 1, 40]),
            st.integers(0, 2),
        ),
        min_size=1,
        max_size=12,
    ),
    st.data(),
)
def test_an_overflow_is_rejected_and_a_redelivery_of_what_counted_is_a_duplicate(
    drawn: list[tuple[str, int, int, int]], data: st.DataObject
) -> None:
    leaderboard = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, shards=2, tiers=TIERS)
    values = [value(f"e-{number}", *fact) for number, fact in enumerate(drawn)]
    again = data.draw(st.lists(st.sampled_from(values), max_size=6))
    records = [record(offset, content) for offset, content in enumerate(values + again)]
    database = Database()

    settled = deliver(database.client(data.draw(faults)), leaderboard, records, data.draw(batch_sizes))

    reference = reference_of(leaderboard, records)
    assert_every_window_is_the_oracles(database, leaderboard, reference)
    assert_settled_as_judged(settled, reference)


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.just("ann"),
            st.sampled_from([1, -1, POINTS_MAX - 1, 1 - POINTS_MAX, POINTS_MAX, -POINTS_MAX]),
            st.sampled_from([0, 1, 2, 40]),
            st.just(0),
        ),
        min_size=1,
        max_size=12,
    ),
    batch_sizes,
)
def test_sums_that_cancel_out_are_rejected_once_any_range_of_days_would_overflow(
    drawn: list[tuple[str, int, int, int]], sizes: list[int]
) -> None:
    leaderboard = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, shards=2, tiers=TIERS)
    records = [record(number, value(f"e-{number}", *fact)) for number, fact in enumerate(drawn)]
    database = Database()

    settled = deliver(database.client(), leaderboard, records, sizes)

    reference = reference_of(leaderboard, records)
    assert_settled_as_judged(settled, reference)
    assert_every_window_is_the_oracles(database, leaderboard, reference)


@settings(max_examples=100)
@given(
    boards,
    st.lists(facts, min_size=1, max_size=20),
    st.data(),
    st.lists(st.integers(0, 1), max_size=60),
)
def test_two_committers_in_turn_count_every_event_once(
    leaderboard: Leaderboard, drawn: list[tuple[str, int, int, int]], data: st.DataObject, schedule: list[int]
) -> None:
    values = [value(f"e-{number}", *fact) for number, fact in enumerate(drawn)]
    shares = [data.draw(st.lists(st.sampled_from(values), max_size=20)) for _ in range(2)]
    shares[0] += [content for content in values if content not in shares[0] + shares[1]]
    errors = [data.draw(faults) for _ in range(2)]
    settled: list[dict[int, list[Candidate]]] = [{}, {}]
    database, turns = Database(), Turns(2, schedule)

    def run(number: int) -> None:
        client = database.client(errors[number], lambda: turns.wait(number))
        records = [record(offset, content, number) for offset, content in enumerate(shares[number])]
        settled[number] = deliver(client, leaderboard, records, [7, 3, 50])

    turns.run([lambda: run(0), lambda: run(1)])

    reference = reference_of(leaderboard, [record(offset, content) for offset, content in enumerate(values)])
    assert_every_window_is_the_oracles(database, leaderboard, reference)
    assert_ledger_is_standings(database, leaderboard)
    applied = [
        candidate.event.event_id
        for share in settled
        for candidates in share.values()
        for candidate in candidates
        if candidate.kind is OutcomeKind.APPLIED
    ]
    assert len(applied) == len(set(applied))
    assert all(one.rejection is None for share in settled for candidates in share.values() for one in candidates)


@settings(max_examples=60)
@given(boards, st.lists(facts, min_size=1, max_size=15), st.data())
def test_what_is_to_be_shown_is_at_least_as_new_as_what_was_settled(
    leaderboard: Leaderboard, drawn: list[tuple[str, int, int, int]], data: st.DataObject
) -> None:
    values = [value(f"e-{number}", *fact) for number, fact in enumerate(drawn)]
    database = Database()
    client = database.client(data.draw(faults))
    batches = [values, data.draw(st.permutations(values))]
    for batch in batches:
        candidates = candidates_of(leaderboard, [record(offset, content) for offset, content in enumerate(batch)])

        shown = commit(client, candidates)

        stored = truth(database, leaderboard)
        for candidate in candidates:
            if candidate.kind is OutcomeKind.FAILED:
                continue
            event = candidate.event
            standings = shown["cup", event.user_id]
            for bucket in (Day(event.occurred_at_ms // 86_400_000), ALL_TIME_BUCKET):
                assert standings[bucket] == stored[bucket][event.user_id]


def test_many_players_of_many_days_fit_their_transactions() -> None:
    rng = random.Random(11)
    leaderboard = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, shards=2, tiers=TIERS)
    values = [
        value(f"e-{number}", f"u-{rng.randrange(40)}", rng.randrange(-9, 9), rng.randrange(41), number % 3)
        for number in range(1_000)
    ] + [value(f"m-{number}", "u-0", 1, number % 41, 0) for number in range(250)]
    records = [record(offset, content) for offset, content in enumerate(values)]
    database = Database()

    settled = deliver(database.client(), leaderboard, records, [len(records)])

    reference = reference_of(leaderboard, records)
    assert_settled_as_judged(settled, reference)
    assert_every_window_is_the_oracles(database, leaderboard, reference)
    assert database.transactions < 100


def test_a_redelivered_event_that_would_overflow_if_counted_again_is_a_duplicate() -> None:
    leaderboard = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
    client = Database().client()
    outcomes = []
    for _ in range(2):
        candidates = candidates_of(leaderboard, [record(0, value("e-1", "ann", POINTS_MAX, 0, 0))])
        commit(client, candidates)
        outcomes.append((candidates[0].kind, candidates[0].rejection))

    assert outcomes == [(OutcomeKind.APPLIED, None), (OutcomeKind.DUPLICATE, None)]


def test_a_redelivered_event_that_cancels_out_another_is_a_duplicate() -> None:
    leaderboard = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
    client = Database().client()
    values = [value("e-1", "ann", POINTS_MAX, 0, 0), value("e-2", "ann", -POINTS_MAX, 1, 0)]
    commit(client, candidates_of(leaderboard, [record(0, values[0]), record(1, values[1])]))

    again = candidates_of(leaderboard, [record(1, values[1])])
    commit(client, again)

    assert (again[0].kind, again[0].rejection) == (OutcomeKind.DUPLICATE, None)


def test_standings_that_a_read_left_over_are_asked_for_again() -> None:
    leaderboard = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
    database = Database()
    users = [f"u-{number}" for number in range(250)]
    values = [value(f"e-{number}", user, 1, 0, 0) for number, user in enumerate(users)]
    commit(database.client(), candidates_of(leaderboard, [record(number, one) for number, one in enumerate(values)]))
    reads = reads_of(database.client([Fault.UNPROCESSED, Fault.UNPROCESSED, None] * 3))

    found = reads.standings((leaderboard, user, ALL_TIME_BUCKET) for user in users)

    assert set(found) == {("cup", user, ALL_TIME_BUCKET) for user in users}


def test_an_event_behind_a_duplicate_counts_though_the_duplicate_would_not_fit_twice() -> None:
    leaderboard = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
    client = Database().client()
    known = [record(0, value("e-0", "ann", POINTS_MAX - 2, 0, 0)), record(1, value("e-1", "ann", 1, 0, 0))]
    commit(client, candidates_of(leaderboard, known))

    batch = candidates_of(leaderboard, [known[1], record(2, value("e-2", "ann", 1, 0, 0))])
    commit(client, batch)

    assert [one.kind for one in batch] == [OutcomeKind.DUPLICATE, OutcomeKind.APPLIED]


def enormous(events: int, days: int, with_sums: bool = True) -> Database:
    """A player of some events over some days, whose Σ|points| is past 2^53−1."""
    leaderboard = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
    database = Database()
    points = [POINTS_MAX - 1_000, 1_000 - POINTS_MAX, *([1, -1] * (events // 2))]
    values = [value(f"e-{number}", "ann", one, number % days, 0) for number, one in enumerate(points)]
    commit(database.client(), candidates_of(leaderboard, [record(*one) for one in enumerate(values)]))
    if not with_sums:  # as before they were kept
        for item in database.items.values():
            item.pop("sums", None)
    return database


@pytest.mark.parametrize("with_sums", [True, False])
@pytest.mark.parametrize("events", [2, 600])
@pytest.mark.parametrize(
    ("points", "outcome", "requests"), [(5, "applied", 2), (-POINTS_MAX, "applied", 2), (POINTS_MAX, "overflow", 3)]
)
def test_an_event_of_an_enormous_player_costs_the_same_however_many_there_were(
    points: int, outcome: str, requests: int, events: int, with_sums: bool
) -> None:
    leaderboard = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
    asked: list[int] = []
    database = enormous(events, 2, with_sums)
    client = database.client(before=lambda: asked.append(1))
    client.get_paginator = None  # type: ignore[assignment,method-assign]  # the ledger is never read as a whole

    one = candidates_of(leaderboard, [record(events, value("new", "ann", points, 0, 0))])
    commit(client, one)

    assert (one[0].kind is OutcomeKind.APPLIED) == (outcome == "applied")
    noted = 1  # the day, by a process that sees it for the first time
    assert len(asked) == requests + noted * (outcome == "applied") + (0 if with_sums else 2)


def test_sums_that_were_read_while_others_went_on_refuse_nothing() -> None:
    """Of two events that come in between, the day read first lacks one, and the day read last holds the other."""
    leaderboard = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
    database = Database()
    facts = [(-150, -10), (0, POINTS_MAX), (0, -POINTS_MAX), (0, 20 - POINTS_MAX)]
    known = [record(number, value(f"e-{number}", "ann", points, day, 0)) for number, (day, points) in enumerate(facts)]
    commit(database.client(), candidates_of(leaderboard, known))
    for item in database.items.values():
        item.pop("sums", None)
    requests: list[int] = []

    def others() -> None:
        requests.append(1)
        if len(requests) == 3:  # the standings, the last days, and now the days before them
            for number, (day, points) in enumerate([(0, 10), (-150, -10)]):
                between = record(number, value(f"b-{number}", "ann", points, day, 0), 1)
                commit(database.client(), candidates_of(leaderboard, [between]))

    one = candidates_of(leaderboard, [record(9, value("new", "ann", -5, 0, 0))])
    commit(database.client(before=others), one)

    assert one[0].kind is OutcomeKind.APPLIED


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.just("ann"),
            st.sampled_from([1, -1, 2, POINTS_MAX - 1, 1 - POINTS_MAX, POINTS_MAX, -POINTS_MAX]),
            st.sampled_from([0, 1, 2, 40]),
            st.just(0),
        ),
        min_size=1,
        max_size=12,
    ),
    st.data(),
)
def test_kept_sums_decide_as_all_events_do_whatever_fails_or_is_sealed(
    drawn: list[tuple[str, int, int, int]], data: st.DataObject
) -> None:
    """Days are sealed behind the events, older standings lack the sums, and records come again."""
    drawn = sorted(drawn, key=lambda fact: fact[2]) if (is_sealed := data.draw(st.booleans())) else drawn
    leaderboard = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, shards=2, tiers=TIERS)
    values = [value(f"e-{number}", *fact) for number, fact in enumerate(drawn)]
    records: list[Record] = []
    database = Database()
    client = database.client(data.draw(faults))
    settled: dict[int, list[Candidate]] = {}
    for number, content in enumerate(values):
        share = [record(len(records), content)]
        if not is_sealed:
            share += [
                record(len(records) + 1, again)
                for again in data.draw(st.lists(st.sampled_from(values[: number + 1]), max_size=1))
            ]
        else:
            day = Day((MONDAY - date(1970, 1, 1)).days - 40 + drawn[number][2])
            leaderboard = msgspec.structs.replace(leaderboard, sealed_through=Day(day - 1))
        settled |= deliver(client, leaderboard, share, [])
        records += share
        if data.draw(st.integers(0, 3)) == 0:
            for item in database.items.values():
                item.pop("sums", None)

    reference = reference_of(leaderboard, records)
    assert_settled_as_judged(settled, reference)
    assert_every_window_is_the_oracles(database, leaderboard, reference)


def test_a_ledger_out_of_reach_fails_only_what_needs_it_and_for_now() -> None:
    leaderboard = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
    database = Database()
    commit(database.client(), candidates_of(leaderboard, [record(0, value("e-1", "ann", POINTS_MAX, 0, 0))]))
    client = database.client([None, *[Fault.THROTTLED] * 100])

    candidates = candidates_of(leaderboard, [record(1, value("e-2", "ann", -2, 1, 0))])
    commit(client, candidates)

    assert candidates[0].kind is OutcomeKind.FAILED


def assert_settled_as_judged(settled: dict[int, list[Candidate]], reference: oracle.Oracle) -> None:
    """A record that was handed over again is settled once more: a duplicate of itself, or refused for the same."""
    for (_, offset), outcome in reference.outcomes.items():
        for candidate in settled[offset]:
            found = str(candidate.rejection.reason if candidate.rejection else candidate.kind)
            same = {outcome, str(OutcomeKind.DUPLICATE)} if outcome == oracle.APPLIED else {outcome}
            assert found in same, (offset, candidate.event, candidate.rejection)
