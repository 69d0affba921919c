"""A truth that can't keep up is asked less, then given time; what is not settled goes back, and nothing spins."""

import json
from typing import Any

from botocore.exceptions import ClientError

from shared.domain.calendar import DAY_MS
from shared.domain.records import Record, Source
from shared.domain.rules import Aggregation, Leaderboard
from shared.ingest.backpressure import TRIES_MAX, WIDTH_MAX, Pressure
from shared.ingest.committer import Committer
from shared.ingest.outcomes import Candidate, OutcomeKind, Retry, read
from shared.parallel import read_sequentially
from shared.retries import Backoff
from shared.truth.commits import Commits
from shared.truth.reads import Reads
from shared.truth.tables import Tables
from tests.property.memory import Database

BOARD = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, shards=2)
PLAYERS = 400
"""Three items each: 13 transactions."""


class Scene:
    """A committer over a DynamoDB that takes so many transactions a round, and no more."""

    def __init__(self, capacity: int) -> None:
        self.database = Database()
        self.capacity = capacity
        self.taken = self.asked = 0
        self.waits: list[float] = []
        self.under_way: list[int] = []
        client: Any = self.database.client()
        self._write = client.transact_write_items
        client.transact_write_items = self.transact
        backoff = Backoff(sleep=self.sleep, uniform=lambda _low, high: high)
        self.committer = Committer(
            Commits(client, Tables()), Reads(client, Tables(), read_sequentially, backoff), self.run, backoff
        )

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.taken = 0

    def run(self, calls: Any) -> list[Any]:
        self.under_way.append(len(calls))
        return [call() for call in calls]

    def transact(self, **request: Any) -> None:
        self.asked += 1
        if self.taken >= self.capacity:
            response: Any = {"Error": {"Code": "ThrottlingException"}}
            raise ClientError(response, "TransactWriteItems")
        self.taken += 1
        self._write(**request)


def in_a_row(calls: Any) -> list[Any]:
    return [call() for call in calls]


def candidates() -> list[Candidate]:
    records = []
    for number in range(PLAYERS):
        event = {
            "eventId": "e",
            "leaderboardId": "cup",
            "userId": f"u{number}",
            "points": 1,
            "occurredAt": "2026-11-23T10:00:00Z",
        }
        records.append(Record(Source("score-events", 0, number, 20_780 * DAY_MS), None, json.dumps(event).encode()))
    found = read(records)
    for one in found:
        one.leaderboard = BOARD
    return found


def test_all_goes_at_once_while_all_is_well() -> None:
    scene, batch = Scene(capacity=100), candidates()

    scene.committer.commit(batch)

    assert {one.kind for one in batch} == {OutcomeKind.APPLIED}
    assert (scene.under_way, scene.asked, scene.waits) == ([13], 13, [])


def test_a_truth_that_throttles_gets_fewer_requests_until_every_record_is_done() -> None:
    scene, batch = Scene(capacity=2), candidates()

    scene.committer.commit(batch)

    assert {one.kind for one in batch} == {OutcomeKind.APPLIED}
    assert scene.under_way[:3] == [13, 6, 3]
    assert max(scene.under_way[3:]) <= 4
    assert len(scene.waits) >= 3
    assert scene.asked < 45, "13 had to be written; a round without a limit would have asked for 90"


def test_a_truth_that_takes_nothing_gets_few_requests_and_the_batch_goes_back() -> None:
    scene, batch = Scene(capacity=0), candidates()

    scene.committer.commit(batch)

    assert {one.kind for one in batch} == {OutcomeKind.RETRY}
    assert isinstance(batch[0].outcome, Retry)
    assert "ThrottlingException" in batch[0].outcome.cause
    assert len(scene.under_way) == TRIES_MAX
    assert scene.asked == 13 + 6 + 3 + 1 + 1 + 1 + 1 + 1
    assert scene.waits == sorted(scene.waits)
    assert len(scene.waits) == TRIES_MAX - 1


def test_the_next_batch_begins_with_as_little_as_was_taken_last() -> None:
    scene = Scene(capacity=0)
    scene.committer.commit(candidates())
    scene.under_way.clear()
    scene.capacity = 100

    scene.committer.commit(candidates())

    assert scene.under_way == [1, 2, 4, 6]


def test_when_a_calls_time_is_up_the_rest_goes_back_and_what_is_written_stays() -> None:
    scene, batch = Scene(capacity=3), candidates()

    scene.committer.commit(batch, lambda: False)

    outcomes = [one.kind for one in batch]
    assert outcomes.count(OutcomeKind.APPLIED) == 99
    assert outcomes.count(OutcomeKind.RETRY) == PLAYERS - 99
    assert scene.waits == []

    again = candidates()
    scene.capacity = 1_000
    scene.committer.commit(again)
    assert [one.kind for one in again].count(OutcomeKind.DUPLICATE) == 99


def test_the_width_stays_within_its_limits() -> None:
    pressure = Pressure(Backoff(sleep=lambda _: None))
    waiting = list(range(1_000))
    assert len(pressure.next_wave(waiting)) == WIDTH_MAX

    for _ in range(20):
        pressure.refused(1_000)
    assert len(pressure.next_wave(waiting)) == 1

    for _ in range(20):
        pressure.taken()
    assert len(pressure.next_wave(waiting)) == WIDTH_MAX
