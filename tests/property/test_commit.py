"""The real ingest pipeline on a DynamoDB in memory that fails in every way it may.

Only the cache and the queues are left out: what counts here is what becomes of records, ledger and standings.
"""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.calendar import ALL_TIME_DAY, Day
from shared.domain.rules import Aggregation, Leaderboard
from shared.ingest.outcomes import Candidate, OutcomeKind
from tests.property.committing import (
    TIERS,
    assert_every_window_is_the_oracles,
    assert_ledger_is_standings,
    assert_settled_as_expected,
    batch_sizes,
    boards,
    candidates_of,
    commit,
    deliver,
    facts,
    faults,
    reads_of,
    record,
    reference_of,
    truth,
    value,
)
from tests.property.memory import Database, Fault, Turns


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
    assert_settled_as_expected(settled, reference)


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
            if candidate.kind is OutcomeKind.RETRY:
                continue
            event = candidate.event
            standings = shown["cup", event.user_id]
            for day in (Day(event.occurred_at_ms // 86_400_000), ALL_TIME_DAY):
                assert standings[day] == stored[day][event.user_id]


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
    assert_settled_as_expected(settled, reference)
    assert_every_window_is_the_oracles(database, leaderboard, reference)
    assert database.transactions < 100


def test_standings_that_a_read_left_over_are_asked_for_again() -> None:
    leaderboard = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
    database = Database()
    users = [f"u-{number}" for number in range(250)]
    values = [value(f"e-{number}", user, 1, 0, 0) for number, user in enumerate(users)]
    commit(database.client(), candidates_of(leaderboard, [record(number, one) for number, one in enumerate(values)]))
    reads = reads_of(database.client([Fault.UNPROCESSED, Fault.UNPROCESSED, None] * 3))

    found = reads.standings((leaderboard, user, ALL_TIME_DAY) for user in users)

    assert set(found) == {("cup", user, ALL_TIME_DAY) for user in users}
