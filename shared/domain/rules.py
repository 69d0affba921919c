"""A leaderboard: its rules, which of them may change when, and which events it admits."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from shared.domain.calendar import (
    UTC,
    Calendar,
    Day,
    Window,
    WindowKind,
    current_windows,
    format_day,
    is_kept,
    kept_days,
    monthly,
    weekly,
    windows_ending,
)
from shared.domain.events import FUTURE_TOLERANCE_MS, ScoreEvent, format_instant
from shared.domain.labels import FILTERS_MAX, FilterName
from shared.domain.periods import Period
from shared.domain.rejections import Reason, Rejection
from shared.domain.tiers import Qualifying, Tier

LATENESS_MAX_MS: Final = 366 * 86_400_000
"""Longest wait for late records. Longer would keep a year's windows from ever becoming final."""
LATENESS_DEFAULT_MS: Final = 3_600_000
ARCHIVE_MARGIN_MS: Final = 600_000
"""How long after it is archived a leaderboard may still get events of: they may be ahead of their records by
FUTURE_TOLERANCE_MS, and for a minute or two an ingest call may go by the definition of before."""
SHARDS_MAX: Final = 256
"""Write shards of one day: at 1,000 writes a second each, far past what one leaderboard takes."""
SHARDS_DEFAULT: Final = 16

WINDOWS: Final = (WindowKind.DAILY, WindowKind.WEEKLY, WindowKind.MONTHLY, WindowKind.ALL_TIME)
"""The kinds of windows that the cache can keep for everyone."""
DEFAULT_WINDOWS: Final = (WindowKind.DAILY, WindowKind.WEEKLY, WindowKind.ALL_TIME)
"""Those that it keeps of a leaderboard that doesn't say which."""
LOCKED_RULES: Final = ("aggregation", "order", "shards", "filters", "calendar", "windows")
"""Rules that cannot change once there are events: standings, and what the cache holds, were written by them."""
FREE_RULES: Final = ("name", "lateness_ms", "tiers", "qualify")
"""Rules that may change at any time. A window is ranked and paid by those in force when its last day ended; only the
lateness is that of now for every day that still takes events."""
CURRENT: Final = (
    "lateness_ms",
    "has_events",
    "archived",
    "nothing_owed",
    "sealing_through",
    "seals_at_ms",
    "sealed_through",
    "results_from",
    "starts_ms",
    "since_ms",
    "pseudonyms",
    "moving",
    "updated_at_ms",
)
"""What is the same for all windows of a leaderboard, by whichever version of its rules they are ranked. Everything
else is as that version has it."""
PURGES_MAX: Final = 100
"""Purges of one leaderboard; each makes its definition some 15 bytes longer."""


class LockedRule(ValueError):
    """A rule cannot change because the leaderboard has events. `field` names the rule."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


class TooManyPurges(Exception):
    """The leaderboard was purged as often as it may be."""


class Aggregation(StrEnum):
    """How a player's events add up."""

    SUM = "sum"
    BEST = "best"
    LATEST = "latest"


class Order(StrEnum):
    """Which score ranks first: the highest (`desc`) or the lowest (`asc`, a race's time)."""

    DESC = "desc"
    ASC = "asc"


class Leaderboard(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The definition of a leaderboard, as the registry keeps it."""

    id: str
    name: str
    aggregation: Aggregation
    order: Order = Order.DESC
    lateness_ms: Annotated[int, Meta(ge=0, le=LATENESS_MAX_MS)] = LATENESS_DEFAULT_MS
    shards: Annotated[int, Meta(ge=1, le=SHARDS_MAX)] = SHARDS_DEFAULT
    calendar: Calendar = UTC
    """When its days begin; as it was computed when its time zone and start of the day were given."""
    windows: tuple[WindowKind, ...] = DEFAULT_WINDOWS
    """The kinds of windows that the cache keeps, some of WINDOWS in their order. Those of another kind are built from
    the truth when they are read, as a range is. Months have results only if they are kept."""
    tiers: tuple[Tier, ...] = ()
    qualify: int | None = None
    """The score that a player needs to qualify, or a better one; None if everybody does. Who doesn't is ranked, but
    counts for no percentage and stands in no tier."""
    filters: Annotated[tuple[FilterName, ...], Meta(max_length=FILTERS_MAX)] = ()
    """Attributes of events by which its rankings can be filtered; none of them twice."""
    version: int = 1
    """Counts the changes of its rules; a final window keeps the version it was ranked by."""
    effective_from: Day | None = None
    """The day on which this version was written: it ranks windows that end with this day or later. None: also all
    windows before, as the first version does, or one that changed LOCKED_RULES while there were no events."""
    has_events: bool = False
    """Set before its first event is written: from then on aggregation, order, shards and filters cannot change."""
    archived: bool = False
    """Deleted, at `updated_at_ms`: it takes no events that were appended later and is no longer shown. Ledger and
    standings stay, and what it owes is still closed."""
    nothing_owed: bool = False
    """Archived, and every day of a window that may have events is sealed: closing has no days of it to seal."""
    sealing_through: Day | None = None
    """The last day that rejects events, whatever becomes of the rules: it is sealing or sealed."""
    seals_at_ms: int | None = None
    """When the days that are sealing may be sealed: no ingest call that began before they rejected events runs then.
    None until it is known that they reject events."""
    sealed_through: Day | None = None
    """The last day that is sealed: the standings of none up to it ever change again."""
    results_from: Day | None = None
    """The first day that results are owed for: no event is in those before it, and none can come there. Past
    `sealed_through` while no day has had any; None until the first day is sealed."""
    starts_ms: tuple[int, ...] = ()
    """When it starts over, ascending, one for each purge: events of before a start don't count after it."""
    since_ms: int = 0
    """Which of its scores this is about: those since one of `starts_ms`, 0 for those before the first."""
    pseudonyms: int = 0
    """Of how many players the ids were replaced by pseudonyms."""
    moving: str | None = None
    """The pseudonym to which a player is being moved; until that is done, who reads several days may find them there
    and here."""
    created_at_ms: int = 0
    updated_at_ms: int = 0

    @cached_property  # ingest asks for it ten times an event
    def scores_id(self) -> str:
        """Under which truth and cache keep its events and windows, e.g. `autumn-cup`, or `autumn-cup.1795824000000`
        since a purge.
        """
        return f"{self.id}.{self.since_ms}" if self.since_ms else self.id

    @property
    def time_zone(self) -> str:
        """IANA name of the time zone of its days."""
        return self.calendar.zone

    @property
    def day_starts_at(self) -> str:
        """When its days begin by the clocks of its time zone, e.g. `00:00`."""
        return "{:02d}:{:02d}".format(*divmod(self.calendar.starts_at_min, 60))

    @property
    def last_start_ms(self) -> int:
        """When its last purge takes effect, be it to come; 0 if it was never purged."""
        return self.starts_ms[-1] if self.starts_ms else 0

    @property
    def every_scores(self) -> "tuple[Leaderboard, ...]":
        """The same with the scores of before each purge, and since each."""
        return tuple(replace(self, since_ms=since_ms) for since_ms in (0, *self.starts_ms))

    @property
    def is_purging(self) -> bool:
        """Whether a purge has been announced that takes effect after the scores that this is about."""
        return self.since_ms < self.last_start_ms

    def at(self, moment_ms: int) -> "Leaderboard":
        """The same with the scores of a moment: those since the last start by then."""
        since_ms = next((start for start in reversed(self.starts_ms) if start <= moment_ms), 0)
        return self if since_ms == self.since_ms else replace(self, since_ms=since_ms)

    def is_shown(self, now_ms: int) -> bool:
        """Whether readers are shown these scores, now or later: no purge has taken effect after them."""
        return not self.starts_ms or self.since_ms >= self.at(now_ms).since_ms

    def for_event(self, event: ScoreEvent, appended_at_ms: int) -> "Leaderboard":
        """The same with the scores that an event counts for. Since a start, only what has occurred and was appended by
        then does: neither what is delivered again nor what is sent again counts twice.
        """
        return self.at(min(event.occurred_at_ms, appended_at_ms)) if self.starts_ms else self

    def cutoff_ms(self, day: Day) -> int:
        """Last instant at which the broker may append a record for a day."""
        return self.calendar.day_end_ms(day) + self.lateness_ms

    def window_cutoff_ms(self, window: Window) -> int | None:
        """Last instant at which a record for the window may be appended; None for all time."""
        end_ms = self.calendar.end_ms(window)
        return None if end_ms is None else end_ms + self.lateness_ms

    def keeps(self, window: Window, now_ms: int) -> bool:
        """Whether the cache keeps a window for everyone; it builds any other from the truth on demand."""
        return self.keeps_by(self.lateness_ms, window, now_ms)

    def keeps_by(self, lateness_ms: int, window: Window, now_ms: int) -> bool:
        """`keeps`, by a lateness of before."""
        return window.kind in self.windows and is_kept(window, lateness_ms, now_ms)

    def current_windows(self, today: Day) -> list[Window]:
        """The windows of the kinds that the cache keeps which are going on today."""
        return [window for window in current_windows(today) if window.kind in self.windows]

    @property
    def keeps_all_time(self) -> bool:
        """Whether the cache keeps the window of all time for everyone."""
        return WindowKind.ALL_TIME in self.windows

    def kept_days(self, now_ms: int) -> list[Day]:
        """All time if the cache keeps it, then every day that feeds a window which it keeps, oldest first."""
        return kept_days(self.lateness_ms, now_ms, self.windows)

    def has_results_of(self, kind: WindowKind) -> bool:
        """Whether windows of a kind become final by themselves: days and weeks do, months if the leaderboard names
        them. Ranges do if they are registered.
        """
        return kind in (WindowKind.DAILY, WindowKind.WEEKLY) or (kind is WindowKind.MONTHLY and kind in self.windows)

    def windows_ending(self, day: Day) -> list[Window]:
        """The windows that become final by themselves and whose last day this is."""
        return [window for window in windows_ending(day) if self.has_results_of(window.kind)]

    def qualifies(self, points: int) -> bool:
        """Whether a score qualifies for tiers."""
        if self.qualify is None:
            return True
        return points >= self.qualify if self.order is Order.DESC else points <= self.qualify

    def counts_for(self, window: Window) -> bool:
        """Whether this version was in force when the window's last day ended, or is while the window is open. If so,
        it ranks the window, unless a later version does.
        """
        return self.effective_from is None or window.is_all_time or window.last >= self.effective_from

    def ranked_by(self, version: "Leaderboard") -> "Leaderboard":
        """The leaderboard as it is now, with the rules of one of its versions."""
        return replace(version, **{name: getattr(self, name) for name in CURRENT})

    def for_kind(self, kind: WindowKind) -> "Leaderboard":
        """The leaderboard only with the tiers that are for windows of a kind."""
        if all(tier.is_for(kind) for tier in self.tiers):
            return self
        return replace(self, tiers=tuple(tier for tier in self.tiers if tier.is_for(kind)))

    @property
    def is_sealing(self) -> bool:
        """Whether there are days that reject events and are not sealed yet."""
        if self.sealing_through is None:
            return False
        return self.sealed_through is None or self.sealed_through < self.sealing_through

    def rejects(self, day: Day) -> bool:
        """Whether a day rejects events: it is sealing or sealed."""
        return self.sealing_through is not None and day <= self.sealing_through

    def is_sealed(self, window: Window) -> bool:
        """Whether no event can change a window any more: all its days are sealed."""
        return not window.is_all_time and self.sealed_through is not None and window.last <= self.sealed_through

    def owes(self, window: Window) -> bool:
        """Whether a day, week or month gets a result, as far as is known: none that was over before the first event
        does, nor one that begins after the last, nor a month of a leaderboard that doesn't name months.
        """
        if window.kind is WindowKind.MONTHLY and not self.has_results_of(window.kind):
            return False
        if self.begins_after_archiving(window) or not self.counts_in(window):
            return False
        return self.results_from is None or not self.is_sealed(window) or window.last >= self.results_from

    @property
    def last_event_day(self) -> Day | None:
        """The last day that may have events once the leaderboard is archived; None while it takes events."""
        return self.calendar.day_of(self.updated_at_ms + ARCHIVE_MARGIN_MS) if self.archived else None

    def begins_after_archiving(self, window: Window) -> bool:
        """Whether a window can have no events because the leaderboard was archived before it begins."""
        last = self.last_event_day
        return last is not None and window.first > last

    def owed_through(self, periods: Iterable[Period]) -> Day | None:
        """The last day of all windows that may have events, of an archived leaderboard; None of one that isn't.

        Args:
            periods: all that are registered.
        """
        last = self.last_event_day
        if last is None:
            return None
        ends = [make(last).last for make in (weekly, monthly) if self.has_results_of(make(last).kind)]
        return max([*ends, *(period.last for period in periods if period.first <= last)])

    def counts_in(self, window: Window) -> bool:
        """Whether an event can count in a window: it is not over before the last purge takes effect."""
        end_ms = self.calendar.end_ms(window)
        return end_ms is None or end_ms > self.last_start_ms

    def admit(self, event: ScoreEvent, appended_at_ms: int) -> None:
        """Judge an event by when the broker appended its record, so that a backlog or a replay judges alike.

        Raises:
            Rejection: `leaderboard_archived`, `from_the_future` or `too_late`; the last one also if the day is sealed,
                though the record was appended in time by the rules of today.
        """
        if self.archived and appended_at_ms > self.updated_at_ms:
            raise Rejection(
                Reason.LEADERBOARD_ARCHIVED,
                f"appended at {format_instant(appended_at_ms)}; {self.id} took records until it was deleted, "
                f"at {format_instant(self.updated_at_ms)}",
            )
        if event.occurred_at_ms > appended_at_ms + FUTURE_TOLERANCE_MS:
            raise Rejection(
                Reason.FROM_THE_FUTURE,
                f"occurredAt is {event.occurred_at_ms - appended_at_ms} ms after the record was appended; "
                f"{FUTURE_TOLERANCE_MS} ms are allowed",
            )
        day = self.calendar.day_of(event.occurred_at_ms)
        cutoff_ms = self.cutoff_ms(day)
        if appended_at_ms > cutoff_ms:
            raise Rejection(
                Reason.TOO_LATE,
                f"appended at {format_instant(appended_at_ms)}; its day took records until {format_instant(cutoff_ms)}",
            )
        if self.rejects(day):
            through = format_day(self.sealing_through or day)
            raise Rejection(Reason.TOO_LATE, f"the days of {self.id} up to {through} are sealed")


def qualifying(leaderboard: Leaderboard, points: int, qualified: int, cutoffs: Mapping[str, int]) -> Qualifying | None:
    """What a player with a score needs to qualify for tiers, where `qualified` do; None if they do.

    Args:
        leaderboard: whose rules.
        points: the player's score.
        qualified: how many players qualify.
        cutoffs: of the tiers that go by rank, as if one more did.
    """
    if leaderboard.qualify is None or leaderboard.qualifies(points):
        return None
    return Qualifying(leaderboard.qualify, qualified, cutoffs)


def revise(current: Leaderboard, wanted: Leaderboard) -> tuple[Leaderboard, bool]:
    """The next version of a leaderboard, with the rules of `wanted`; it restores an archived one.

    Args:
        current: as it was read.
        wanted: the rules, and as `updated_at_ms` when the change is decided.

    Returns:
        The next version, or `current` itself if nothing changes; and whether the change is valid only without events,
        so that writing it is conditional on there being none.

    Raises:
        LockedRule: if one of LOCKED_RULES would change though the leaderboard has events.
    """
    if (current.time_zone, current.day_starts_at) == (wanted.time_zone, wanted.day_starts_at):
        wanted = replace(wanted, calendar=current.calendar)  # as it was computed at first, by whichever rules of zones
    locked, free = (
        [name for name in names if getattr(current, name) != getattr(wanted, name)]
        for names in (LOCKED_RULES, FREE_RULES)
    )
    if locked and current.has_events:
        raise _locked(current, wanted, locked[0])
    if not (locked or free or current.archived):
        return current, False
    rules = {name: getattr(wanted, name) for name in LOCKED_RULES + FREE_RULES}
    following = replace(_next_version(current, wanted.updated_at_ms), **rules, archived=False, nothing_owed=False)
    return replace(following, effective_from=None) if locked else following, bool(locked)


def _locked(current: Leaderboard, wanted: Leaderboard, rule: str) -> LockedRule:
    field, value = rule, getattr(current, rule)
    if rule == "calendar":
        is_zone = current.time_zone != wanted.time_zone
        field, value = ("timeZone", current.time_zone) if is_zone else ("dayStartsAt", current.day_starts_at)
    shown = f"[{', '.join(value)}]" if isinstance(value, tuple) else value
    return LockedRule(f"stays {shown}: {current.id} has events", field)


def archive(current: Leaderboard, now_ms: int) -> Leaderboard:
    """The next version of a leaderboard, which admits no events that are appended from now on, and is not shown."""
    return replace(_next_version(current, now_ms), archived=True)


def purge(current: Leaderboard, start_ms: int) -> Leaderboard:
    """The next version of a leaderboard, which starts over at a time.

    Raises:
        TooManyPurges: if it was purged PURGES_MAX times.
    """
    if len(current.starts_ms) >= PURGES_MAX:
        raise TooManyPurges(f"{current.id} was purged {PURGES_MAX} times; create another leaderboard")
    starts_ms = (*current.starts_ms, start_ms)
    return replace(current, starts_ms=starts_ms, version=current.version + 1)


def _next_version(current: Leaderboard, now_ms: int) -> Leaderboard:
    """The next version, of now. By a clock that is behind, it still is no earlier than the one before, nor of a day
    that is sealing.
    """
    open_from_ms = 0 if current.sealing_through is None else current.calendar.day_end_ms(current.sealing_through)
    at_ms = max(now_ms, current.updated_at_ms, open_from_ms)
    today = current.calendar.day_of(at_ms)
    return replace(current, version=current.version + 1, updated_at_ms=at_ms, effective_from=today)
