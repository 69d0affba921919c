"""What closing tells of itself after real runs, on real DynamoDB, Redis and S3; the broker's answers are given."""

from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from shared.cache import keys as cache_keys
from shared.closing.coverage import Missing
from shared.closing.reports import ReportRecorder
from shared.closing.runs import Blocked, Cause, ClosingRun
from shared.closing.state import ClosingStates, Item, Step
from shared.domain.audit import AuditAction
from shared.domain.calendar import DAY_MS, daily
from shared.messaging.notifications import NotificationUnavailable
from shared.messaging.topic import Reach, TopicUnavailable
from shared.truth import keys
from shared.truth.closing_reports import BlockedWork, ClosingReports, Found, RunReport
from shared.truth.tables import Tables
from tests.integration.test_closing_work import counted
from tests.support.closing import MONDAY, Scene

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DAY = "day 2099-01-05"
WINDOW = "window 2099-01-05"


class Watched:
    """A scene whose runs are recorded, and what is told after each."""

    def __init__(self, scene: Scene, dynamodb: "DynamoDBClient") -> None:
        self.scene = scene
        self.reports = ClosingReports(dynamodb, Tables().registry)
        self.recorder = ReportRecorder(self.reports, scene.clock)
        self.states = ClosingStates(
            registry=scene.registry,
            work=scene.work,
            reports=self.reports,
            final_results=scene.final_results,
            reads=scene.reads,
            now_ms=scene.clock,
        )

    def run(self, **more: Any) -> dict[str, Item]:
        """Run once, and return what is due then."""
        started_ms = self.scene.now_ms
        self.recorder.record(self.scene.closing().run(**more), started_ms)
        return self.items()

    def items(self) -> dict[str, Item]:
        found = self.states.find(self.scene.leaderboard, 100).items
        return {f"{one.kind} {one.id}": one for one in found}

    def seal(self) -> dict[str, Item]:
        """Run until Monday is sealed."""
        self.run()
        self.scene.now_ms = self.scene.leaderboard.seals_at_ms or 0
        return self.run()


@pytest.fixture
def watched(scene: Scene, dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch, leaderboard_id: str) -> Watched:
    assert daily(MONDAY).id == "2099-01-05"
    monkeypatch.setattr(keys, "CLOSING", f"closing-{leaderboard_id}")  # tests that run beside have their own reports
    return Watched(scene, dynamodb)


def told(item: Item) -> list[tuple[str, str | None]]:
    return [(one.code, one.detail) for one in item.blockers]


def test_a_day_goes_through_its_steps_until_it_is_due_no_more(watched: Watched) -> None:
    assert watched.items()[DAY].step is watched.items()[WINDOW].step is Step.COMMITTING
    assert watched.run()[DAY].step is Step.SEALING
    watched.scene.now_ms = watched.scene.leaderboard.seals_at_ms or 0
    items = watched.run()
    assert DAY not in items
    assert WINDOW not in items
    assert watched.states.of(watched.scene.leaderboard, daily(MONDAY))[0].step is Step.FINAL
    expected_ms = watched.states.of(watched.scene.leaderboard, daily(MONDAY + 1))[0].expected_ms  # type: ignore[arg-type]
    assert expected_ms is not None
    assert expected_ms > watched.scene.now_ms


def test_a_lagging_partition_is_named_with_when_it_was_found_first(watched: Watched) -> None:
    watched.scene.broker.reached = Reach(0, 0, 11, 12)
    first_ms = watched.scene.now_ms
    watched.run()
    watched.scene.now_ms += 60_000
    items = watched.run()
    detail = f"partition 0 of {watched.scene.broker.name} is committed to 10 of 11"
    for name in (DAY, WINDOW):
        assert told(items[name]) == [(Cause.LAG, detail)]
        assert items[name].blockers[0].since_ms == first_ms

    watched.scene.pass_partition(11)
    assert told(watched.run()[DAY]) == []


def test_lost_records_are_named_until_they_are_acknowledged(watched: Watched) -> None:
    watched.scene.broker.reached = Reach(0, 11, 11, 11)
    detail = f"partition 0 of {watched.scene.broker.name} lost the records from 10 to 11"
    assert told(watched.run()[DAY]) == [(Cause.LOST, detail)]
    watched.scene.coverage.acknowledge(0, 11)
    assert told(watched.run()[DAY]) == []


def test_a_broker_that_is_away_is_named(watched: Watched) -> None:
    watched.scene.broker.failure = TopicUnavailable("nobody answers")
    assert told(watched.run()[DAY]) == [(Cause.TOPIC, "nobody answers")]
    watched.scene.broker.failure = None
    assert watched.run()[DAY].step is Step.SEALING


def test_a_flushed_cache_is_named_of_the_window_that_waits_for_it(watched: Watched) -> None:
    watched.run()
    watched.scene.cache.mark_incomplete(watched.scene.id)
    watched.scene.now_ms = watched.scene.leaderboard.seals_at_ms or 0
    item = watched.run()[WINDOW]
    assert (item.step, [code for code, _ in told(item)]) == (Step.RANKING, [Cause.CACHE])


def test_a_cache_that_differs_is_named(watched: Watched) -> None:
    watched.run()
    ghost = (1).to_bytes(6, "big") + b"ghost"
    watched.scene.redis.zadd(cache_keys.ranking(watched.scene.id, daily(MONDAY).id), {ghost: -9})
    watched.scene.now_ms = watched.scene.leaderboard.seals_at_ms or 0
    item = watched.run()[WINDOW]
    assert (item.step, [code for code, _ in told(item)]) == (Step.RANKING, [Cause.DRIFT])


def test_a_notification_that_nobody_takes_is_named(watched: Watched) -> None:
    def fail(_: object) -> None:
        raise NotificationUnavailable("SNS is away")

    watched.scene.notifications = SimpleNamespace(send=fail)
    item = watched.seal()["notification 2099-01-05"]
    assert (item.step, item.version, told(item)) == (Step.PUBLISHING, 1, [(Cause.NOTIFICATION, "SNS is away")])


def test_a_correction_is_due_until_its_version_is_written(watched: Watched) -> None:
    watched.seal()
    scene = watched.scene
    scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "bought points")
    items = watched.items()
    pending = [name for name in items if name.startswith(("auditEntry", "window 2099-01-05"))]
    assert pending
    item, _ = watched.states.of(scene.leaderboard, daily(MONDAY))
    assert (item.step, item.version) in ((Step.CORRECTING, 2), (Step.FINAL, None))
    watched.run()
    assert [name for name in watched.items() if name in pending] == []
    assert scene.final_results.final(scene.id, "2099-01-05").version == 2  # type: ignore[union-attr]


def test_a_leaderboard_that_fails_as_nobody_expected_says_so(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("its rules are gone")

    with monkeypatch.context() as patch:
        patch.setattr("shared.closing.sealing.DaySealing.seal", fail)
        assert told(watched.run()[DAY]) == [(Cause.ERROR, "RuntimeError('its rules are gone')")]
    assert told(watched.run()[DAY]) == []


def test_a_run_without_time_leaves_what_is_due_waiting_for_time(watched: Watched) -> None:
    watched.scene.now_ms += DAY_MS // 2
    assert [code for code, _ in told(watched.run(has_time=lambda: False)[DAY])] == [Cause.TIME]


def test_reading_it_writes_nothing_and_takes_no_lease(watched: Watched) -> None:
    watched.scene.broker.reached = Reach(0, 0, 11, 12)
    watched.run()
    before = set(watched.scene.redis.scan_iter(count=1_000))
    with counted() as asked:
        watched.items()
        watched.states.of(watched.scene.leaderboard, daily(MONDAY))
    assert asked.keys() <= {"GetItem", "Query"}
    assert sum(asked.values()) < 20
    assert set(watched.scene.redis.scan_iter(count=1_000)) == before


def test_a_report_that_says_the_same_costs_its_own_item_alone(watched: Watched) -> None:
    run = ClosingRun()
    run.blocked += [Blocked(f"cup-{number}", "2026-W48", Cause.CACHE, "away") for number in range(5)]
    run.lost = Missing(True, "lost")

    def cost() -> Counter[str]:
        with counted() as asked:
            watched.recorder.record(run, 1)
        return asked

    assert cost() == {"GetItem": 1, "Query": 1, "PutItem": 6}
    watched.scene.now_ms += 1
    assert cost() == {"GetItem": 1, "Query": 1, "PutItem": 1}
    run.blocked[:3] = []
    assert cost() == {"GetItem": 1, "Query": 1, "PutItem": 1, "DeleteItem": 3}
    found = (BlockedWork("2026-W48", "cache", Found("away", watched.scene.now_ms - 1)),)
    assert watched.reports.boards() == {"cup-3": found, "cup-4": found}
    assert (watched.reports.board("cup-3"), watched.reports.board("cup-0")) == (found, ())
    now_ms = watched.scene.now_ms
    assert watched.reports.run() == RunReport(1, now_ms, lost=Found("lost", now_ms - 1))


def test_audit_entries_of_no_player_are_nothing_to_wait_for(watched: Watched) -> None:
    watched.scene.disqualifications.record(watched.scene.id, AuditAction.REBUILD, "admin", reason="to be sure")
    assert not [name for name in watched.items() if name.startswith("auditEntry")]
