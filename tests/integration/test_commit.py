"""Ledger and standings against a real DynamoDB engine: exactly once, whatever comes twice, late or in between."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from botocore.exceptions import ReadTimeoutError

from shared.domain.calendar import ALL_TIME_DAY, DAY_MS, Day, parse_day
from shared.domain.events import POINTS_MAX, ScoreEvent
from shared.domain.records import Record, Source
from shared.domain.rejections import Reason
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.standings import Standing
from shared.ingest.committer import Committer
from shared.ingest.outcomes import Candidate, OutcomeKind, Retry
from shared.parallel import ParallelReader, ThreadPool
from shared.retries import Backoff
from shared.truth.commits import Commits, PlayerKey, Unavailable
from shared.truth.items import LedgerEntry
from shared.truth.reads import Reads
from shared.truth.tables import Tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MONDAY = parse_day("2026-11-23")
NO_WAIT = Backoff(sleep=lambda _: None)

Committed = dict[PlayerKey, dict[Day, Standing]]


@pytest.fixture
def leaderboard(leaderboard_id: str) -> Leaderboard:
    return Leaderboard(id=leaderboard_id, name="Cup", aggregation=Aggregation.SUM, shards=4, has_events=True)


@pytest.fixture
def reads(dynamodb: "DynamoDBClient", tables: Tables) -> Reads:
    return Reads(dynamodb, tables, ParallelReader(4), NO_WAIT)


class Client:
    """A DynamoDB client that does something else around chosen transactions."""

    def __init__(self, real: "DynamoDBClient", around: Callable[[Callable[[], Any]], Any]) -> None:
        self._real = real
        self._around = around
        self.exceptions = real.exceptions

    def transact_write_items(self, **request: Any) -> Any:
        return self._around(lambda: self._real.transact_write_items(**request))

    def put_item(self, **request: Any) -> Any:
        return self._real.put_item(**request)


def committer(client: Any, tables: Tables, reads: Reads) -> Committer:
    return Committer(Commits(client, tables), reads, ThreadPool(4), NO_WAIT)


def candidate(leaderboard: Leaderboard, event_id: str, user: str = "ann", points: int = 1, day: int = 0) -> Candidate:
    at_ms = (MONDAY + day) * DAY_MS + 1_000
    made = Candidate(Record(Source("score-events", 0, int(event_id[1:]), at_ms), None, b""))
    made.entry = LedgerEntry(ScoreEvent(event_id, leaderboard.id, user, points, at_ms), made.record.source)
    made.leaderboard = leaderboard
    return made


def kinds(candidates: Sequence[Candidate]) -> list[OutcomeKind | None]:
    return [one.kind for one in candidates]


def assert_ledger_is_standings(reads: Reads, leaderboard: Leaderboard, users: Sequence[str]) -> dict[str, int]:
    """Every standing is what the ledger adds up to. Returns the all-time points by user."""
    totals = {}
    for user in users:
        entries = [entry.event for entry in reads.ledger(leaderboard.id, user)]
        days = {Day(event.occurred_at_ms // DAY_MS) for event in entries}
        stored = reads.standings([(leaderboard, user, day) for day in [*days, ALL_TIME_DAY]])
        by_day = {bucket: standing for (_, _, bucket), standing in stored.items()}
        for day in [*days, ALL_TIME_DAY] if entries else []:
            members = [one for one in entries if day in (ALL_TIME_DAY, one.occurred_at_ms // DAY_MS)]
            assert by_day[day].points == sum(one.points for one in members)
            assert by_day[day].events == len(members)
            carrying = [one.occurred_at_ms for one in members if one.points != 0]
            assert by_day[day].reached_at_ms == max(carrying, default=min(one.occurred_at_ms for one in members))
        if entries:
            totals[user] = by_day[ALL_TIME_DAY].points
    return totals


def test_a_redelivered_batch_is_all_duplicates_and_still_says_what_to_show(
    dynamodb: "DynamoDBClient", tables: Tables, reads: Reads, leaderboard: Leaderboard
) -> None:
    def batch() -> list[Candidate]:
        return [candidate(leaderboard, f"e{number}", f"u{number % 40}", number) for number in range(150)]

    first, second = batch(), batch()
    shown = committer(dynamodb, tables, reads).commit(first)
    again = committer(dynamodb, tables, reads).commit(second)

    assert set(kinds(first)) == {OutcomeKind.APPLIED}
    assert set(kinds(second)) == {OutcomeKind.DUPLICATE}
    assert shown == again
    totals = assert_ledger_is_standings(reads, leaderboard, [f"u{number}" for number in range(40)])
    assert sum(totals.values()) == sum(range(150))


def test_new_events_and_duplicates_of_one_player_show_every_day_they_touched(
    dynamodb: "DynamoDBClient", tables: Tables, reads: Reads, leaderboard: Leaderboard
) -> None:
    commit = committer(dynamodb, tables, reads).commit
    commit([candidate(leaderboard, "e1", points=1, day=0), candidate(leaderboard, "e2", points=2, day=1)])

    batch = [candidate(leaderboard, "e1", points=1, day=0), candidate(leaderboard, "e3", points=3, day=2)]
    shown = commit(batch)

    assert kinds(batch) == [OutcomeKind.DUPLICATE, OutcomeKind.APPLIED]
    days = [ALL_TIME_DAY, Day(MONDAY), Day(MONDAY + 2)]
    stored = reads.standings([(leaderboard, "ann", day) for day in days])
    assert shown == {(leaderboard.id, "ann"): {day: stored[leaderboard.id, "ann", day] for day in days}}
    assert [shown[leaderboard.id, "ann"][day].points for day in days] == [6, 1, 3]


def test_the_same_id_with_other_content_is_a_conflict_wherever_the_first_one_is(
    dynamodb: "DynamoDBClient", tables: Tables, reads: Reads, leaderboard: Leaderboard
) -> None:
    commit = committer(dynamodb, tables, reads).commit
    commit([candidate(leaderboard, "e1", points=1)])

    batch = [
        candidate(leaderboard, "e1", points=2),  # against the ledger
        candidate(leaderboard, "e1", points=1),
        candidate(leaderboard, "e2", points=5),
        candidate(leaderboard, "e2", points=6),  # against the batch
        candidate(leaderboard, "e2", points=5),
        candidate(leaderboard, "e1", user="bob", points=3),  # another player's event
    ]
    commit(batch)

    assert kinds(batch) == [
        OutcomeKind.REJECTED,
        OutcomeKind.DUPLICATE,
        OutcomeKind.APPLIED,
        OutcomeKind.REJECTED,
        OutcomeKind.DUPLICATE,
        OutcomeKind.APPLIED,
    ]
    rejections = [one.rejection.reason for one in batch if one.rejection]
    assert rejections == [Reason.CONFLICTING_DUPLICATE] * 2
    assert assert_ledger_is_standings(reads, leaderboard, ["ann", "bob"]) == {"ann": 6, "bob": 3}


def test_a_player_with_more_events_than_a_transaction_takes_is_committed_in_several(
    dynamodb: "DynamoDBClient", tables: Tables, reads: Reads, leaderboard: Leaderboard
) -> None:
    batch = [candidate(leaderboard, f"e{number}", points=1, day=-(number % 30)) for number in range(250)]

    shown = committer(dynamodb, tables, reads).commit(batch)

    assert set(kinds(batch)) == {OutcomeKind.APPLIED}
    assert assert_ledger_is_standings(reads, leaderboard, ["ann"]) == {"ann": 250}
    assert len(shown[leaderboard.id, "ann"]) == 31


def test_a_timeout_after_the_commit_is_a_duplicate_on_the_next_try(
    dynamodb: "DynamoDBClient", tables: Tables, reads: Reads, leaderboard: Leaderboard
) -> None:
    timeouts = iter([True, True])

    def time_out_after(call: Callable[[], Any]) -> Any:
        answer = call()
        if next(timeouts, False):
            raise ReadTimeoutError(endpoint_url="dynamodb")
        return answer

    batch = [candidate(leaderboard, f"e{number}", f"u{number % 60}", number) for number in range(120)]
    shown = committer(Client(dynamodb, time_out_after), tables, reads).commit(batch)

    assert set(kinds(batch)) <= {OutcomeKind.APPLIED, OutcomeKind.DUPLICATE}
    assert OutcomeKind.DUPLICATE in kinds(batch)
    totals = assert_ledger_is_standings(reads, leaderboard, [f"u{number}" for number in range(60)])
    assert {user: standings[ALL_TIME_DAY].points for (_, user), standings in shown.items()} == totals
    assert sum(totals.values()) == sum(range(120))


def test_when_dynamodb_stays_out_of_reach_everything_fails_and_nothing_is_lost(
    dynamodb: "DynamoDBClient", tables: Tables, reads: Reads, leaderboard: Leaderboard
) -> None:
    def refuse(call: Callable[[], Any]) -> Any:
        raise ReadTimeoutError(endpoint_url="dynamodb")

    failed = [candidate(leaderboard, "e1"), candidate(leaderboard, "e2", "bob")]
    shown = committer(Client(dynamodb, refuse), tables, reads).commit(failed)
    assert shown == {}
    assert kinds(failed) == [OutcomeKind.RETRY] * 2
    assert all(isinstance(one.outcome, Retry) and "dynamodb" in one.outcome.cause for one in failed)

    again = [candidate(leaderboard, "e1"), candidate(leaderboard, "e2", "bob")]
    committer(dynamodb, tables, reads).commit(again)
    assert kinds(again) == [OutcomeKind.APPLIED] * 2


def test_a_committed_record_comes_again_if_its_standings_could_not_be_read(
    dynamodb: "DynamoDBClient", tables: Tables, reads: Reads, leaderboard: Leaderboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More events than one transaction takes: the first of them are in, then the truth is out of reach."""
    real, calls = reads.standings, iter([True])

    def read_once(wanted: Any) -> Any:
        if next(calls, False):
            return real(wanted)
        raise Unavailable("throttled")

    monkeypatch.setattr(reads, "standings", read_once)
    batch = [candidate(leaderboard, f"e{number}") for number in range(150)]

    assert committer(dynamodb, tables, reads).commit(batch) == {}

    assert kinds(batch) == [OutcomeKind.RETRY] * 150
    monkeypatch.undo()
    assert 0 < assert_ledger_is_standings(reads, leaderboard, ["ann"])["ann"] < 150


def test_two_owners_of_the_same_players_count_every_event_once(
    dynamodb: "DynamoDBClient", tables: Tables, reads: Reads, leaderboard: Leaderboard
) -> None:
    """As after a rebalance: both owners have the same records under way, in other batches."""
    rng = random.Random(11)
    events = [(f"e{number}", f"u{number % 25}", rng.randint(-5, 9)) for number in range(300)]

    def own(seed: int) -> list[Candidate]:
        done: list[Candidate] = []
        mine = committer(dynamodb, tables, reads)
        pending = random.Random(seed).sample(events, len(events))
        while pending:
            batch, pending = [candidate(leaderboard, *event) for event in pending[:50]], pending[50:]
            mine.commit(batch)
            done += batch
        return done

    with ThreadPoolExecutor(3) as owners:
        outcomes = list(owners.map(own, range(3)))

    by_event = Counter(one.event.event_id for owner in outcomes for one in owner if one.kind is OutcomeKind.APPLIED)
    assert max(by_event.values()) == 1
    failed = [one for owner in outcomes for one in owner if one.kind is OutcomeKind.RETRY]
    committer(dynamodb, tables, reads).commit(
        [candidate(leaderboard, one.event.event_id, one.event.user_id, one.event.points) for one in failed]
    )
    totals = assert_ledger_is_standings(reads, leaderboard, [f"u{number}" for number in range(25)])
    assert sum(totals.values()) == sum(points for _, _, points in events)


def test_what_a_committer_says_to_show_is_never_older_than_the_events_it_was_given(
    dynamodb: "DynamoDBClient", tables: Tables, reads: Reads, leaderboard: Leaderboard
) -> None:
    """Another owner commits between the read and the write: the duplicates found then must not show the old read."""
    event = candidate(leaderboard, "e1", points=7)
    other = committer(dynamodb, tables, reads)
    interruptions = iter([lambda: other.commit([candidate(leaderboard, "e1", points=7)])])

    def overtaken(call: Callable[[], Any]) -> Any:
        interrupt = next(interruptions, None)
        if interrupt is not None:
            interrupt()
        return call()

    shown = committer(Client(dynamodb, overtaken), tables, reads).commit([event])

    assert event.kind is OutcomeKind.DUPLICATE
    assert shown[leaderboard.id, "ann"][ALL_TIME_DAY].points == 7
    assert shown[leaderboard.id, "ann"][MONDAY].points == 7


def test_no_choice_of_days_can_leave_the_exact_integers(
    dynamodb: "DynamoDBClient", tables: Tables, reads: Reads, leaderboard: Leaderboard
) -> None:
    commit = committer(dynamodb, tables, reads).commit
    fine = [
        candidate(leaderboard, "e1", points=POINTS_MAX, day=-9),
        candidate(leaderboard, "e2", points=-POINTS_MAX, day=-8),
    ]
    commit(fine)
    # all-time would stay in range with the first, but without the day -8 the others would sum to 2^53
    batch = [
        candidate(leaderboard, "e3", points=1, day=-7),
        candidate(leaderboard, "e4", points=-1, day=-9),
        candidate(leaderboard, "e5", points=1, day=-6),
    ]
    commit(batch)

    assert set(kinds(fine)) == {OutcomeKind.APPLIED}
    assert kinds(batch) == [OutcomeKind.REJECTED, OutcomeKind.APPLIED, OutcomeKind.APPLIED]
    assert batch[0].rejection is not None
    assert batch[0].rejection.reason is Reason.SCORE_OVERFLOW
    assert_ledger_is_standings(reads, leaderboard, ["ann"])


def test_every_event_of_the_ledger_keeps_the_record_it_came_in(
    dynamodb: "DynamoDBClient", tables: Tables, reads: Reads, leaderboard: Leaderboard
) -> None:
    one = candidate(leaderboard, "e1")
    assert one.entry is not None
    event = msgspec.structs.replace(one.event, attributes={"country": "DE"})
    one.entry = LedgerEntry(event, Source("score-events", 3, 1234, 99))

    committer(dynamodb, tables, reads).commit([one])

    assert list(reads.ledger(leaderboard.id, "ann")) == [one.entry]
