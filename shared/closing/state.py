"""What closing has still to do for a leaderboard, and what it waits for: read from the registry, writing nothing.

Which step a piece of work is in follows from the clock, the definition and the work list; what blocks it is what the
last run of closing has reported. Steps are those of shared/closing/service.py.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from shared.closing.runs import Cause
from shared.closing.schedule import (
    RUN_EVERY_MS,
    checked_from_ms,
    expected_final_ms,
    expected_sealed_ms,
    newest_past_cutoff,
)
from shared.domain.calendar import Day, Window, current_windows, format_day
from shared.domain.periods import Period
from shared.domain.rules import Leaderboard
from shared.lookups.first_days import first_possible_day
from shared.truth.closing_reports import BoardReport, ClosingReports, Found, RunReport
from shared.truth.final_results import FinalResults
from shared.truth.reads import Reads
from shared.truth.registry import Registry
from shared.truth.work import Work, WorkList

NO_RUN_MS: Final = 20 * 60_000
"""Without a report for as long, runs don't end any more: one may take 15 minutes."""
NO_RUN: Final = "no-run"
OFF: Final = "off"
CODES: Final = (*Cause, NO_RUN, OFF)
"""Why something is blocked: a cause that a run has reported, that no run has ended, or that closing is off."""
ALL: Final = "all"
NOTIFICATIONS: Final = "notifications"


class Kind(StrEnum):
    """What there is to be done."""

    DAY = "day"
    WINDOW = "window"
    AUDIT_ENTRY = "auditEntry"
    NOTIFICATION = "notification"


class Step(StrEnum):
    """Where a piece of work is."""

    OPEN = "open"
    """Its time runs."""
    LATE = "late"
    """Its time is over, and records that are appended until the cutoff still count."""
    COMMITTING = "committing"
    """Past the cutoff: what the broker has from before has to be committed, all of it."""
    SEALING = "sealing"
    """It rejects events; ingest calls that began before run to their end."""
    SEALED = "sealed"
    """Of a day: no event can change it."""
    RANKING = "ranking"
    """Of a window: all its days are sealed, and its first result is to be written."""
    CORRECTING = "correcting"
    """Of a window with a result: it is ranked again, since an audit entry may change it."""
    FINAL = "final"
    """Of a window: its result is written."""
    APPLYING = "applying"
    """Of an audit entry: the cache and the results that it touches have to follow."""
    PUBLISHING = "publishing"
    """Of a version of a result: it is written, and its notification is in the outbox."""


_OF_THE_CLOCK: Final = (Step.OPEN, Step.LATE, Step.SEALED, Step.FINAL)
"""Steps in which no run has anything to do."""


class Blocker(Struct, frozen=True):
    """Why a piece of work has to wait."""

    code: str
    """One of CODES."""
    detail: str | None
    """In words, for operators: it may name partitions and servers."""
    since_ms: int | None
    """Since when runs have found it without a break; None if there never was a run."""


class Item(Struct, frozen=True):
    """A piece of work that is not done."""

    kind: Kind
    id: str
    """A day's date, a window's id, or the number of an audit entry."""
    step: Step
    key: str
    """Its place in the list, which no other has."""
    cutoff_ms: int | None = None
    """Of a day or window: the last instant at which records for it may be appended."""
    expected_ms: int | None = None
    """When it is done if nothing blocks; None where the next run does it, whenever that is."""
    version: int | None = None
    """Of a result that is corrected or published."""
    window: Window | None = None
    blockers: tuple[Blocker, ...] = ()


class ClosingState(Struct, frozen=True):
    """A page of what is not done."""

    as_of_ms: int
    checked_ms: int | None
    """When the last run ended that has reported; None before the first one."""
    items: Sequence[Item]
    next_after: str | None
    """The key that the next page starts after; None if there is none."""


class DayRun(Struct, frozen=True):
    """Days of a window in a row that are in one step."""

    first: Day
    last: Day
    step: Step


class ClosingStates:
    """Reads it. Takes no lease and writes nothing.

    Methods raise Unavailable if DynamoDB is out of reach.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        work: WorkList,
        reports: ClosingReports,
        final_results: FinalResults,
        reads: Reads,
        now_ms: Callable[[], int],
    ) -> None:
        self._registry = registry
        self._work = work
        self._reports = reports
        self._final_results = final_results
        self._reads = reads
        self._now_ms = now_ms

    def find(self, leaderboard: Leaderboard, limit: int, after: str | None = None) -> ClosingState:
        """A page of what is not done, what has been over for longest first.

        Args:
            leaderboard: as it is now, archived or not.
            limit: items of the page.
            after: `next_after` of the page before.
        """
        view = self._view(leaderboard)
        items = sorted(self._items(view), key=lambda one: one.key)
        rest = [one for one in items if after is None or one.key > after]
        page = [self._with_version(view, one) for one in rest[:limit]]
        following = page[-1].key if len(rest) > limit else None
        return ClosingState(view.now_ms, view.checked_ms, [view.blocked(one) for one in page], following)

    def of(self, leaderboard: Leaderboard, window: Window) -> tuple[Item, int]:
        """Where a window is that becomes final, and how many audit entries live windows don't show yet."""
        view = self._view(leaderboard)
        due = {one.window for one in view.work.due}
        if window not in due and self._final_results.final(leaderboard.id, window.id) is not None:
            item = _window_item(leaderboard, window, Step.FINAL)
        else:
            item = self._with_version(view, _window_item(leaderboard, window, _window_step(view, window)))
        return view.blocked(item), len(view.work.audit_entries)

    def _view(self, leaderboard: Leaderboard) -> "_View":
        # the report comes after the work: it may explain what is there, not what came since
        work = self._work.of(leaderboard.id)
        report, blocked = self._reports.run(), self._reports.board(leaderboard.id)
        return _View(leaderboard, work, report, blocked, self._now_ms())

    def _items(self, view: "_View") -> Iterator[Item]:
        board, work, today = view.leaderboard, view.work, view.leaderboard.calendar.day_of(view.now_ms)
        for entry in work.audit_entries:
            key, expected_ms = f"0.{entry.number:08d}", entry.at_ms + RUN_EVERY_MS
            yield Item(Kind.AUDIT_ENTRY, str(entry.number), Step.APPLYING, key, expected_ms=expected_ms)
        for window_id, version in work.pending_notifications:
            key = f"1.{window_id}.{version:08d}"
            yield Item(Kind.NOTIFICATION, window_id, Step.PUBLISHING, key, version=version)
        periods = self._registry.periods(board.id)
        days = self._unsealed(view, periods, today)
        for day in days:
            yield _day_item(view, day)
        windows = dict.fromkeys(one.window for one in work.due)
        windows |= dict.fromkeys(_unsealed_windows(days, periods, board, today))
        for window in filter(board.counts_in, windows):
            yield _window_item(board, window, _window_step(view, window))

    def _unsealed(self, view: "_View", periods: Sequence[Period], today: Day) -> Sequence[Day]:
        """Days up to today that are not sealed, from the first one on that has events; of an archived leaderboard none
        past the windows that may have events.
        """
        board = view.leaderboard
        sealed, results_from = board.sealed_through, board.results_from
        if not board.has_events or board.nothing_owed:
            return ()
        owed_through = board.owed_through(periods)
        last = today if owed_through is None else min(today, owed_through)
        start = first_possible_day(self._registry, board) if sealed is None else Day(sealed + 1)
        days = [Day(day) for day in range(start, last + 1)]
        if sealed is not None and (results_from is None or results_from <= sealed):
            return days
        recorded = self._reads.recorded_days(board, days)
        return [day for day in days if recorded and day >= recorded[0]]

    def _with_version(self, view: "_View", item: Item) -> Item:
        """A window whose days are sealed may have a result already, which an audit entry may change."""
        if item.window is None or item.step is not Step.RANKING:
            return item
        before = self._final_results.final(view.leaderboard.id, item.window.id)
        if before is None:
            return item
        return _window_item(view.leaderboard, item.window, Step.CORRECTING, before.version + 1)


class _View:
    """What one answer goes by."""

    def __init__(
        self, leaderboard: Leaderboard, work: Work, report: RunReport | None, blocked: BoardReport, now_ms: int
    ) -> None:
        self.leaderboard, self.work, self.now_ms = leaderboard, work, now_ms
        self._report, self._blocked = report, blocked

    @property
    def checked_ms(self) -> int | None:
        return None if self._report is None else self._report.ended_ms

    def step(self, day: Day) -> Step:
        board = self.leaderboard
        if board.sealed_through is not None and day <= board.sealed_through:
            return Step.SEALED
        if board.rejects(day):
            return Step.SEALING
        if self.now_ms < board.calendar.day_end_ms(day):
            return Step.OPEN
        return Step.COMMITTING if self.now_ms >= checked_from_ms(board, day) else Step.LATE

    def blocked(self, item: Item) -> Item:
        """The item with what blocks it."""
        if item.step in _OF_THE_CLOCK:
            return item
        return replace(item, blockers=tuple(self._blockers(item)))

    def _blockers(self, item: Item) -> Iterator[Blocker]:
        report = self._report
        if report is None or self.now_ms - report.ended_ms > NO_RUN_MS:
            yield Blocker(NO_RUN, None, None if report is None else report.ended_ms)
            if report is None:
                return
        if report.off is not None:
            yield _blocker(OFF, report.off)
            return
        found = list(self._of_the_topic(report, item)) if item.step is Step.COMMITTING else []
        found += self._of_the_board(item)
        was_due = item.expected_ms is not None and item.expected_ms < report.started_ms
        if not found and report.unchecked and was_due:
            found = [Blocker(Cause.TIME, f"{report.unchecked} leaderboards had no turn", report.ended_ms)]
        yield from found

    def _of_the_topic(self, report: RunReport, item: Item) -> Iterator[Blocker]:
        """What keeps every day with the same cutoff, and all after it, from being sealed."""
        if report.lost is not None:
            yield _blocker(Cause.LOST, report.lost)
            return
        if report.topic is not None:
            yield _blocker(Cause.TOPIC, report.topic)
            return
        newest_ms = self.leaderboard.cutoff_ms(newest_past_cutoff(self.leaderboard, self.now_ms))
        found = [one for one in report.uncommitted if one.moment_ms <= newest_ms]
        own = [one for one in found if item.cutoff_ms is not None and one.moment_ms <= item.cutoff_ms]
        for one in own[-1:] or found[:1]:
            yield _blocker(Cause.LOST if one.is_lost else Cause.LAG, one.found)

    def _of_the_board(self, item: Item) -> Iterator[Blocker]:
        """What the last run found of this leaderboard alone."""
        named = {
            Kind.WINDOW: item.id,
            Kind.NOTIFICATION: NOTIFICATIONS,
            Kind.AUDIT_ENTRY: f"audit entry {item.id}",
        }.get(item.kind, item.id)
        for one in self._blocked:
            if one.what in (named, ALL):
                yield _blocker(one.cause, one.found)


def _blocker(code: str, found: Found) -> Blocker:
    return Blocker(code, found.detail, found.since_ms)


def _day_item(view: _View, day: Day) -> Item:
    board = view.leaderboard
    return Item(
        Kind.DAY,
        format_day(day),
        view.step(day),
        f"2.{day:06d}.0",
        cutoff_ms=board.cutoff_ms(day),
        expected_ms=expected_sealed_ms(board, day),
    )


def _window_item(board: Leaderboard, window: Window, step: Step, version: int | None = None) -> Item:
    return Item(
        Kind.WINDOW,
        window.id,
        step,
        f"2.{window.last:06d}.1.{window.id}",
        cutoff_ms=board.window_cutoff_ms(window),
        # a correction has no time of its own: the next run does it
        expected_ms=None if step in (Step.CORRECTING, Step.FINAL) else expected_final_ms(board, window),
        version=version,
        window=window,
    )


def _window_step(view: _View, window: Window) -> Step:
    if view.leaderboard.is_sealed(window):
        return Step.RANKING
    return view.step(window.last)


def _unsealed_windows(
    days: Sequence[Day], periods: Iterable[Period], board: Leaderboard, today: Day
) -> Iterator[Window]:
    """Windows that have begun and will get a result, but have days that are not sealed."""
    if not days:
        return
    windows = [one for day in days for one in board.windows_ending(day)]
    windows += [one for one in current_windows(today) if board.has_results_of(one.kind)]
    windows += [one.window for one in periods if one.first <= today and not board.is_sealed(one.window)]
    yield from (one for one in windows if not board.begins_after_archiving(one))


def day_runs(leaderboard: Leaderboard, window: Window, now_ms: int) -> list[DayRun]:
    """The days of a window by the step that each is in, those in a row together: a handful, however long it is."""
    view = _View(leaderboard, Work(), None, (), now_ms)
    runs: list[DayRun] = []
    for day in window.days:
        step = view.step(day)
        if runs and runs[-1].step is step:
            runs[-1] = DayRun(runs[-1].first, day, step)
        else:
            runs.append(DayRun(day, day, step))
    return runs
