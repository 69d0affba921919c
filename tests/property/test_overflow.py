"""Sums past ±(2^53−1): what overflows, what is a duplicate all the same, and what it costs to know."""

from datetime import date

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.calendar import Day
from shared.domain.events import POINTS_MAX
from shared.domain.records import Record
from shared.domain.rules import Aggregation, Leaderboard
from shared.ingest.outcomes import Candidate, OutcomeKind
from tests.property.committing import (
    MONDAY,
    TIERS,
    assert_every_window_is_the_oracles,
    assert_settled_as_expected,
    batch_sizes,
    candidates_of,
    commit,
    deliver,
    faults,
    record,
    reference_of,
    value,
)
from tests.property.memory import Database, Fault


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
    assert_settled_as_expected(settled, reference)


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
def test_sums_that_cancel_out_are_rejected_once_some_days_would_overflow(
    drawn: list[tuple[str, int, int, int]], sizes: list[int]
) -> None:
    leaderboard = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, shards=2, tiers=TIERS)
    records = [record(number, value(f"e-{number}", *fact)) for number, fact in enumerate(drawn)]
    database = Database()

    settled = deliver(database.client(), leaderboard, records, sizes)

    reference = reference_of(leaderboard, records)
    assert_settled_as_expected(settled, reference)
    assert_every_window_is_the_oracles(database, leaderboard, reference)


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
        forget_sums(database)
    return database


def forget_sums(database: Database) -> None:
    """As they were before they were kept, or were kept of runs of days alone."""
    for item in database.items.values():
        if item.pop("day_sums", None) is not None:
            item["sums"] = {"S": "[0,0,0,[]]"}


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
    forget_sums(database)
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
            forget_sums(database)

    reference = reference_of(leaderboard, records)
    assert_settled_as_expected(settled, reference)
    assert_every_window_is_the_oracles(database, leaderboard, reference)


def test_a_ledger_out_of_reach_fails_only_what_needs_it_and_for_now() -> None:
    leaderboard = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
    database = Database()
    commit(database.client(), candidates_of(leaderboard, [record(0, value("e-1", "ann", POINTS_MAX, 0, 0))]))
    client = database.client([None, *[Fault.THROTTLED] * 100])

    candidates = candidates_of(leaderboard, [record(1, value("e-2", "ann", -2, 1, 0))])
    commit(client, candidates)

    assert candidates[0].kind is OutcomeKind.RETRY
