"""What closing says of its own state: steps by the clock, blockers by the report of the last run."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from functions.api.views.closing import REASONS
from shared.closing.coverage import Missing
from shared.closing.reports import BLOCKED_MAX, BOARDS_MAX, CUTOFFS_MAX, ReportRecorder
from shared.closing.runs import Blocked, Cause, ClosingRun
from shared.closing.schedule import CLOCK_SKEW_MS, LAST_CALLS_MS, RUN_EVERY_MS, expected_final_ms, newest_past_cutoff
from shared.closing.state import CODES, NO_RUN, NO_RUN_MS, OFF, ClosingStates, Item, Step, day_runs
from shared.domain.audit import AuditAction, AuditEntry
from shared.domain.calendar import ALL_TIME, DAY_MS, Day, custom, daily, parse_day, weekly
from shared.domain.periods import Period
from shared.domain.rules import Aggregation, Leaderboard
from shared.truth.closing_reports import BlockedWork, BoardReport, Found, RunReport, Uncommitted
from shared.truth.failures import Unavailable
from shared.truth.work import Due, Work

ROOT = Path(__file__).parents[2]

MONDAY = parse_day("2026-11-23")
HOUR_MS = 3_600_000
OVER_MS = (MONDAY + 1) * DAY_MS
PAST_MS = OVER_MS + HOUR_MS + 2 * CLOCK_SKEW_MS + 1
"""The first instant at which Monday may be sealed."""
BOARD = Leaderboard(
    id="cup",
    name="Cup",
    aggregation=Aggregation.SUM,
    has_events=True,
    created_at_ms=(MONDAY - 30) * DAY_MS,
    sealing_through=Day(MONDAY - 1),
    sealed_through=Day(MONDAY - 1),
    results_from=Day(MONDAY - 9),
)
SEALED = replace(BOARD, sealing_through=MONDAY, sealed_through=MONDAY)


class Scene:
    """A registry, a work list and reports as the tests say."""

    def __init__(self) -> None:
        self.now_ms = PAST_MS + 10_000
        self.work = Work()
        self.report: RunReport | None = RunReport(PAST_MS, PAST_MS + 1_000)
        self.blocked: BoardReport = ()
        self.periods: list[Period] = []
        self.results: dict[str, int] = {}
        self.recorded: list[Day] = []

    @property
    def states(self) -> ClosingStates:
        def final(_board: str, window_id: str) -> Any:
            version = self.results.get(window_id)
            return None if version is None else SimpleNamespace(version=version)

        registry: Any = SimpleNamespace(periods=lambda _: self.periods, rules=lambda *_: None)
        work: Any = SimpleNamespace(of=lambda _: self.work)
        reports: Any = SimpleNamespace(run=lambda: self.report, board=lambda _: self.blocked)
        reads: Any = SimpleNamespace(recorded_days=lambda _, days: [one for one in days if one in self.recorded])
        return ClosingStates(
            registry=registry,
            work=work,
            reports=reports,
            final_results=SimpleNamespace(final=final),  # type: ignore[arg-type]
            reads=reads,
            now_ms=lambda: self.now_ms,
        )

    def items(self, board: Leaderboard = BOARD) -> dict[str, Item]:
        return {f"{one.kind} {one.id}": one for one in self.states.find(board, 100).items}

    def codes(self, name: str, board: Leaderboard = BOARD) -> list[str]:
        return [one.code for one in self.items(board)[name].blockers]


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize(
    ("now_ms", "step"),
    [
        (OVER_MS - 1, Step.OPEN),
        (OVER_MS, Step.LATE),
        (PAST_MS - 1, Step.LATE),
        (PAST_MS, Step.COMMITTING),
    ],
)
def test_an_unsealed_days_step_follows_from_the_clock(scene: Scene, now_ms: int, step: Step) -> None:
    scene.now_ms = now_ms
    items = scene.items()
    assert items["day 2026-11-23"].step is items["window 2026-11-23"].step is step
    assert items["window 2026-W48"].step is Step.OPEN
    assert (newest_past_cutoff(BOARD, now_ms) >= MONDAY) == (step is Step.COMMITTING), "as sealing has it"


def test_sealing_ranking_and_correcting_follow_from_what_is_written(scene: Scene) -> None:
    assert scene.items(replace(BOARD, sealing_through=MONDAY))["day 2026-11-23"].step is Step.SEALING
    assert "window 2026-11-23" not in scene.items(SEALED), "it is neither due nor open"

    scene.work = Work(due=[Due(daily(MONDAY), 1)])
    assert scene.items(SEALED)["window 2026-11-23"].step is Step.RANKING
    scene.results["2026-11-23"] = 2
    item = scene.items(SEALED)["window 2026-11-23"]
    assert (item.step, item.version, item.expected_ms) == (Step.CORRECTING, 3, None)


def test_when_a_window_is_due_follows_from_cutoff_last_calls_and_runs() -> None:
    cutoff_ms = OVER_MS + HOUR_MS
    due_ms = cutoff_ms + 2 * CLOCK_SKEW_MS + 1 + LAST_CALLS_MS + 2 * RUN_EVERY_MS
    assert expected_final_ms(BOARD, daily(MONDAY)) == due_ms
    assert expected_final_ms(BOARD, custom(Day(MONDAY - 3), MONDAY)) == due_ms
    assert expected_final_ms(BOARD, weekly(MONDAY)) == due_ms + 6 * DAY_MS
    late = replace(BOARD, created_at_ms=due_ms)
    assert expected_final_ms(late, daily(MONDAY)) == due_ms + LAST_CALLS_MS + 2 * RUN_EVERY_MS


def test_what_never_becomes_final_is_not_expected() -> None:
    assert expected_final_ms(BOARD, ALL_TIME) is None
    assert expected_final_ms(BOARD, daily(Day(MONDAY - 10))) is None, "it was over before the first event"
    fresh = replace(BOARD, sealed_through=None, sealing_through=None, results_from=None)
    assert expected_final_ms(fresh, daily(Day(MONDAY - 39))) is None, "no record can count for it"


def test_a_leaderboard_without_events_has_nothing_due(scene: Scene) -> None:
    assert scene.items(replace(BOARD, has_events=False)) == {}


def test_days_before_the_first_event_are_not_due(scene: Scene) -> None:
    fresh = replace(BOARD, sealing_through=None, sealed_through=None, results_from=None)
    assert scene.items(fresh) == {}
    scene.recorded = [MONDAY]
    assert [name for name in scene.items(fresh) if name.startswith("day")] == ["day 2026-11-23", "day 2026-11-24"]
    assert "window 2026-W47" not in scene.items(fresh)


def test_periods_are_due_once_they_have_begun(scene: Scene) -> None:
    begun = Period(id="cup", name="x", first=Day(MONDAY - 3), last=Day(MONDAY + 9))
    over = Period(id="old", name="x", first=Day(MONDAY - 9), last=Day(MONDAY - 2))
    later = Period(id="new", name="x", first=Day(MONDAY + 5), last=Day(MONDAY + 9))
    scene.periods = [begun, over, later]
    found = [one.window for one in scene.items().values() if one.window is not None and ".." in one.id]
    assert found == [begun.window]


def test_windows_that_were_over_before_a_purge_are_not_due(scene: Scene) -> None:
    scene.work = Work(due=[Due(daily(Day(MONDAY - 1)), 1)])
    purged = replace(BOARD, starts_ms=(OVER_MS,), since_ms=OVER_MS)
    due = [one.id for one in scene.items(purged).values() if one.window is not None]
    assert due == ["2026-11-24", "2026-W48"]


def test_an_archived_leaderboard_owes_the_windows_that_may_have_events(scene: Scene) -> None:
    archived = replace(BOARD, archived=True, updated_at_ms=OVER_MS - HOUR_MS)
    assert list(scene.items(archived)) == [
        "day 2026-11-23",
        "window 2026-11-23",
        "day 2026-11-24",
        "window 2026-W48",
    ]
    assert scene.items(archived)["day 2026-11-23"] == scene.items()["day 2026-11-23"]
    assert expected_final_ms(archived, daily(Day(MONDAY + 1))) is None
    assert scene.items(replace(archived, nothing_owed=True)) == {}


def test_pages_join_to_the_whole_list(scene: Scene) -> None:
    entry = AuditEntry(number=7, kind=AuditAction.DISQUALIFY, actor="a", reason="b", at_ms=5, user_id="u")
    scene.work = Work(due=[Due(daily(Day(MONDAY - 2)), 1)], pending_notifications=[("2026-W47", 2)])
    scene.work.audit_entries.append(entry)
    whole = scene.states.find(BOARD, 100)
    assert [f"{one.kind} {one.id}" for one in whole.items] == [
        "auditEntry 7",
        "notification 2026-W47",
        "window 2026-11-21",
        "day 2026-11-23",
        "window 2026-11-23",
        "day 2026-11-24",
        "window 2026-11-24",
        "window 2026-W48",
    ]
    assert whole.next_after is None
    found: list[Item] = []
    after = None
    for _ in whole.items:
        page = scene.states.find(BOARD, 1, after)
        found += page.items
        after = page.next_after
    assert (found, after) == (list(whole.items), None)


LAG = Uncommitted(OVER_MS + HOUR_MS, is_lost=False, found=Found("partition 3 is at 5 of 9", 11))


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (RunReport(PAST_MS, PAST_MS, lost=Found("lost 3 to 5", 11)), Cause.LOST),
        (RunReport(PAST_MS, PAST_MS, topic=Found("no answer", 11)), Cause.TOPIC),
        (RunReport(PAST_MS, PAST_MS, uncommitted=(LAG,)), Cause.LAG),
        (RunReport(PAST_MS, PAST_MS, uncommitted=(replace(LAG, is_lost=True),)), Cause.LOST),
        (RunReport(PAST_MS, PAST_MS, off=Found("producers' time", 11)), OFF),
    ],
)
def test_what_keeps_a_day_from_being_sealed_blocks_its_windows(scene: Scene, report: RunReport, code: str) -> None:
    scene.report = report
    items = scene.items()
    for name in ("day 2026-11-23", "window 2026-11-23"):
        (blocker,) = items[name].blockers
        assert (blocker.code, blocker.since_ms) == (code, 11)
        assert blocker.detail is not None
    assert items["window 2026-W48"].blockers == items["day 2026-11-24"].blockers == (), "they are open"


def test_a_later_cutoff_is_blocked_by_an_earlier_one_but_not_the_other_way(scene: Scene) -> None:
    scene.report = RunReport(PAST_MS, PAST_MS, uncommitted=(replace(LAG, moment_ms=LAG.moment_ms - DAY_MS),))
    assert scene.codes("day 2026-11-23") == [Cause.LAG]
    scene.report = RunReport(PAST_MS, PAST_MS, uncommitted=(replace(LAG, moment_ms=LAG.moment_ms + 1),))
    assert scene.codes("day 2026-11-23") == []


@pytest.mark.parametrize("cause", [Cause.DRIFT, Cause.CACHE, Cause.TRUTH])
def test_what_a_run_found_of_one_window_blocks_it_alone(scene: Scene, cause: Cause) -> None:
    scene.work = Work(due=[Due(daily(Day(MONDAY - 1)), 1), Due(daily(MONDAY), 2)])
    scene.blocked = (BlockedWork("2026-11-23", cause, Found("3 entries differ", 11)),)
    assert scene.codes("window 2026-11-23", SEALED) == [cause]
    assert scene.codes("window 2026-11-22", SEALED) == []


@pytest.mark.parametrize("cause", [Cause.ERROR, Cause.TRUTH, Cause.TIME])
def test_what_a_run_found_of_a_leaderboard_blocks_all_that_is_due(scene: Scene, cause: Cause) -> None:
    scene.work = Work(due=[Due(daily(Day(MONDAY - 1)), 1)])
    scene.blocked = (BlockedWork("all", cause, Found("its rules are gone", 11)),)
    assert scene.codes("window 2026-11-22") == scene.codes("day 2026-11-23") == [cause]
    assert scene.codes("day 2026-11-24") == []


def test_audit_entries_and_notifications_have_blockers_of_their_own(scene: Scene) -> None:
    entry = AuditEntry(number=7, kind=AuditAction.DISQUALIFY, actor="a", reason="b", at_ms=5, user_id="u")
    scene.work = Work(audit_entries=[entry], pending_notifications=[("2026-W47", 1)])
    scene.blocked = (
        BlockedWork("audit entry 7", Cause.CACHE, Found("away", 11)),
        BlockedWork("notifications", Cause.NOTIFICATION, Found("SNS is away", 12)),
    )
    assert scene.codes("auditEntry 7") == [Cause.CACHE]
    assert scene.codes("notification 2026-W47") == [Cause.NOTIFICATION]


def test_what_the_last_run_had_no_time_for_is_said_to_wait_for_time(scene: Scene) -> None:
    scene.now_ms = PAST_MS + 2 * HOUR_MS
    scene.report = RunReport(scene.now_ms - 2, scene.now_ms - 1, unchecked=5)
    assert scene.codes("day 2026-11-23") == [Cause.TIME]
    scene.report = RunReport(scene.now_ms - 2, scene.now_ms - 1)
    assert scene.codes("day 2026-11-23") == []
    scene.now_ms = PAST_MS + 5
    scene.report = RunReport(PAST_MS + 3, PAST_MS + 4, unchecked=5)
    assert scene.codes("day 2026-11-23") == [], "it is not late yet"


def test_without_a_run_for_20_minutes_that_blocks_what_a_run_would_do(scene: Scene) -> None:
    scene.report = RunReport(PAST_MS, PAST_MS)
    scene.now_ms = PAST_MS + NO_RUN_MS
    assert scene.codes("day 2026-11-23") == []
    scene.now_ms += 1
    (blocker,) = scene.items()["day 2026-11-23"].blockers
    assert (blocker.code, blocker.since_ms) == (NO_RUN, PAST_MS)
    assert scene.codes("day 2026-11-24") == []

    scene.report = None
    (blocker,) = scene.items()["day 2026-11-23"].blockers
    assert (blocker.code, blocker.since_ms) == (NO_RUN, None)
    assert scene.states.find(BOARD, 1).checked_ms is None


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_words_and_a_section_of_the_runbook(code: str) -> None:
    reason, section = REASONS[code]
    assert reason.endswith(".")
    assert f"\n## {section}\n" in (ROOT / "docs" / "runbook.md").read_text()


def test_a_window_is_final_unless_it_is_due_again(scene: Scene) -> None:
    scene.results["2026-11-23"] = 1
    item, pending = scene.states.of(SEALED, daily(MONDAY))
    assert (item.step, item.blockers, pending) == (Step.FINAL, (), 0)
    scene.work = Work(due=[Due(daily(MONDAY), 1)])
    assert scene.states.of(SEALED, daily(MONDAY))[0].step is Step.CORRECTING


def test_days_of_a_window_are_told_in_runs() -> None:
    board = replace(BOARD, sealing_through=MONDAY)
    now_ms = (MONDAY + 2) * DAY_MS + 1
    week = custom(Day(MONDAY - 3), Day(MONDAY + 4))
    assert [(one.first - MONDAY, one.last - MONDAY, one.step) for one in day_runs(board, week, now_ms)] == [
        (-3, -1, Step.SEALED),
        (0, 0, Step.SEALING),
        (1, 1, Step.LATE),
        (2, 4, Step.OPEN),
    ]


class Reports:
    """What is recorded, in memory."""

    def __init__(self) -> None:
        self.last: RunReport | None = None
        self.of_boards: dict[str, BoardReport] = {}
        self.failure: Exception | None = None

    def run(self) -> RunReport | None:
        if self.failure is not None:
            raise self.failure
        return self.last

    def boards(self) -> dict[str, BoardReport]:
        return self.of_boards

    def replace(self, report: RunReport, before: Any, now: Any) -> None:
        assert before == self.of_boards
        self.last, self.of_boards = report, dict(now)


def run_of(*blocked: Blocked, **found: Any) -> ClosingRun:
    run = ClosingRun()
    run.blocked += blocked
    for name, value in found.items():
        setattr(run, name, value)
    return run


def test_a_cause_keeps_the_time_at_which_it_was_found_first() -> None:
    reports, clock = Reports(), [100]
    recorder = ReportRecorder(reports, lambda: clock[0])  # type: ignore[arg-type]
    drift = Blocked("cup", "2026-W48", Cause.DRIFT, "3 entries differ")
    found = run_of(drift, lost=Missing(True, "lost"), topic_failure="away", uncommitted={7: Missing(False, "at 5")})
    recorder.record(found, 90)
    clock[0] = 200
    found = run_of(replace(drift, detail="2 entries differ"), **{name: getattr(found, name) for name in (
        "lost", "topic_failure", "uncommitted")})  # fmt: skip
    recorder.record(found, 190)

    assert reports.last == RunReport(
        190,
        200,
        lost=Found("lost", 100),
        topic=Found("away", 100),
        uncommitted=(Uncommitted(7, False, Found("at 5", 100)),),
    )
    assert reports.of_boards == {"cup": (BlockedWork("2026-W48", "drift", Found("2 entries differ", 100)),)}

    clock[0] = 300
    recorder.record(run_of(), 290)
    recorder.record(run_of(drift), 290)
    assert reports.of_boards["cup"][0].found.since_ms == 300, "it had passed in between"


def test_what_every_leaderboard_shares_is_not_recorded_for_each() -> None:
    reports = Reports()
    shared = [Blocked(f"cup-{n}", "2026-11-23", cause, "") for n in range(3) for cause in (Cause.LAG, Cause.LOST)]
    topic = Blocked("cup", "all", Cause.TOPIC, "")
    ReportRecorder(reports, lambda: 1).record(run_of(*shared, topic, unchecked=4), 0)  # type: ignore[arg-type]
    assert reports.of_boards == {}
    assert reports.last == RunReport(0, 1, unchecked=4)


def test_a_report_is_bounded() -> None:
    reports = Reports()
    many = [Blocked(f"cup-{n}", "2026-W48", Cause.CACHE, "x" * 1_000) for n in range(BOARDS_MAX + 5)]
    more = [Blocked("cup-1", f"audit entry {n}", Cause.CACHE, "") for n in range(BLOCKED_MAX + 5)]
    lags = {n: Missing(False, "") for n in range(CUTOFFS_MAX + 5)}
    ReportRecorder(reports, lambda: 1).record(run_of(*many, *more, uncommitted=lags), 0)  # type: ignore[arg-type]
    assert len(reports.of_boards) == BOARDS_MAX
    assert max(map(len, reports.of_boards.values())) == BLOCKED_MAX
    assert len(reports.of_boards["cup-2"][0].found.detail) == 300
    assert reports.last is not None
    assert [one.moment_ms for one in reports.last.uncommitted] == list(range(5, CUTOFFS_MAX + 5)), "the latest"


def test_a_report_that_can_not_be_written_does_not_fail_the_run() -> None:
    reports = Reports()
    reports.failure = Unavailable("throttled")
    recorder = ReportRecorder(reports, lambda: 1)  # type: ignore[arg-type]
    recorder.record(run_of(), 0)
    recorder.record_off("off", 0)
    assert reports.last is None


def test_a_run_that_does_nothing_is_reported_with_its_reason() -> None:
    reports, clock = Reports(), [100]
    recorder = ReportRecorder(reports, lambda: clock[0])  # type: ignore[arg-type]
    recorder.record_off("producers' time", 90)
    clock[0] = 200
    recorder.record_off("producers' time", 190)
    assert reports.last == RunReport(190, 200, off=Found("producers' time", 100))
