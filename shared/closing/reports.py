"""Records what a run of closing found blocked, so that readers can be told without asking the broker themselves."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from shared.closing.runs import Blocked, Cause, ClosingRun
from shared.telemetry import logger
from shared.truth.closing_reports import BlockedWork, BoardReport, ClosingReports, Found, RunReport, Uncommitted
from shared.truth.failures import Unavailable

BOARDS_MAX: Final = 2_000
"""Leaderboards whose blocked work one report names; each that is new or gone costs a write."""
BLOCKED_MAX: Final = 200
"""Blocked pieces of work that are named of one leaderboard."""
CUTOFFS_MAX: Final = 200
"""Cutoffs that one report names: leaderboards with one lateness share them. A later one tells of all before it."""
DETAIL_CHARACTERS_MAX: Final = 300
_OF_THE_TOPIC: Final = (Cause.LAG, Cause.LOST, Cause.TOPIC)
"""Causes that every leaderboard shares: they are told once, by cutoff."""


class ReportRecorder:
    """Replaces the report of the run before. What both have found keeps the time at which it was found first."""

    def __init__(self, reports: ClosingReports, now_ms: Callable[[], int]) -> None:
        self._reports = reports
        self._now_ms = now_ms

    def record(self, run: ClosingRun, started_ms: int) -> None:
        """Record what a run found blocked; if that can't be written, the report before stays, with its time."""
        try:
            before, boards_before = self._reports.run(), self._reports.boards()
            now_ms = self._now_ms()
            boards = _boards(run.blocked, boards_before, now_ms)
            self._reports.replace(_report(run, before, started_ms, now_ms), boards_before, boards)
        except Unavailable as error:
            logger.warning("report of closing not recorded", extra={"error": str(error)})

    def record_off(self, why: str, started_ms: int) -> None:
        """Record that a run did nothing at all, and why."""
        try:
            before = self._reports.run()
            now_ms = self._now_ms()
            off = _found(why, None if before is None else before.off, now_ms)
            self._reports.replace(RunReport(started_ms, now_ms, off=off), self._reports.boards(), {})
        except Unavailable as error:
            logger.warning("report of closing not recorded", extra={"error": str(error)})


def _report(run: ClosingRun, before: RunReport | None, started_ms: int, now_ms: int) -> RunReport:
    last = before or RunReport(0, 0)
    known = {one.moment_ms: one.found for one in last.uncommitted}
    moments = sorted(run.uncommitted)[-CUTOFFS_MAX:]
    return RunReport(
        started_ms,
        now_ms,
        lost=None if run.lost is None else _found(run.lost.detail, last.lost, now_ms),
        topic=None if run.topic_failure is None else _found(run.topic_failure, last.topic, now_ms),
        uncommitted=tuple(
            Uncommitted(one, missing.is_lost, _found(missing.detail, known.get(one), now_ms))
            for one in moments
            for missing in (run.uncommitted[one],)
        ),
        unchecked=run.unchecked,
    )


def _boards(blocked: Iterable[Blocked], before: Mapping[str, BoardReport], now_ms: int) -> dict[str, BoardReport]:
    known = {(board, one.what, one.cause): one.found for board, report in before.items() for one in report}
    boards: dict[str, list[BlockedWork]] = {}
    for one in blocked:
        if one.cause in _OF_THE_TOPIC or (one.leaderboard_id not in boards and len(boards) == BOARDS_MAX):
            continue
        found = _found(one.detail, known.get((one.leaderboard_id, one.what, one.cause)), now_ms)
        named = boards.setdefault(one.leaderboard_id, [])
        if len(named) < BLOCKED_MAX:
            named.append(BlockedWork(one.what, one.cause, found))
    return {board: tuple(named) for board, named in boards.items()}


def _found(detail: str, before: Found | None, now_ms: int) -> Found:
    return Found(detail[:DETAIL_CHARACTERS_MAX], now_ms if before is None else before.since_ms)
