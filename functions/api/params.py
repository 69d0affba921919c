"""From parameters to the domain: which leaderboard, which window, which player."""

import re
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Final, Protocol, TypeVar

from msgspec.structs import replace
from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel
from starlette.requests import Request

from functions.api.models import ATTRIBUTE_PREFIX, LISTS, ExportQuery, RankingQuery, WindowQuery
from functions.api.problems import NAME_CHARACTERS_MAX, InvalidFields, InvalidRequest, UnknownLeaderboard, UnknownPeriod
from functions.api.query import pairs_of, value_of, values_of
from shared.domain.calendar import (
    ALL_TIME,
    Day,
    InvalidWindow,
    Window,
    WindowKind,
    custom,
    daily,
    monthly,
    parse_day,
    parse_month,
    parse_week,
    weekly,
)
from shared.domain.events import (
    ATTRIBUTE_CHARACTERS_MAX,
    EVENT_ID_CHARACTERS_MAX,
    LEADERBOARD_ID_PATTERN,
    check_user_id,
)
from shared.domain.periods import Period
from shared.domain.rejections import Rejection
from shared.domain.rules import Leaderboard
from shared.domain.selections import Selection
from shared.domain.series import PERIOD_ID_PATTERN
from shared.lookups.leaderboards import KEEP_MS, Leaderboards
from shared.lookups.remembered import Lookup, Remembered
from shared.reads.cursors import Cursor, Cursors, InvalidCursor, filters_of
from shared.truth.registry import Registry

Q = TypeVar("Q", bound=BaseModel)
_ID = re.compile(LEADERBOARD_ID_PATTERN)
_PERIOD_ID = re.compile(PERIOD_ID_PATTERN)
_EXPORT_ID = re.compile(r"[A-Za-z0-9._-]{1,200}\Z")
_TAKES: Final = {
    WindowKind.DAILY: {"date"},
    WindowKind.WEEKLY: {"date"},
    WindowKind.MONTHLY: {"date"},
    WindowKind.ALL_TIME: set[str](),
    WindowKind.CUSTOM: {"period", "from", "to"},
}
_ALL_AT_ONCE: Final = "must not be given with userIds, which returns all of them at once"
QUERIES_KEPT_MAX: Final = 500
"""Valid queries that one function remembers, some 1 KB each: most ask for one of a few pages."""
QUERY_KEPT_BYTES_MAX: Final = 200
"""Longest query that is remembered; longer ones name players, and next to nobody asks for the same."""
PERIODS_KEPT_MAX: Final = 1_000
"""Periods that one function remembers, some 200 bytes each; past it, it forgets them all."""


class UseCases(Protocol):
    """What is called here."""

    @property
    def cursors(self) -> Cursors: ...
    @property
    def leaderboards(self) -> Leaderboards: ...
    @property
    def lookup(self) -> Lookup: ...
    @property
    def registry(self) -> Registry: ...


def is_id(text: str) -> bool:
    """Whether a leaderboard could have this id; any other never reaches the registry."""
    return _ID.match(text) is not None


def is_period_id(text: str) -> bool:
    """Whether a period or a series could have this id; any other never reaches the registry."""
    return _PERIOD_ID.match(text) is not None


def is_export_id(text: str) -> bool:
    """Whether an export could have this id; any other never reaches the registry."""
    return _EXPORT_ID.match(text) is not None


def check_id(text: str, field: str) -> str:
    """The id of something that is to be created.

    Raises:
        InvalidRequest: naming `field`.
    """
    if not is_id(text):
        raise InvalidRequest("must be 1 to 64 of a-z, 0-9 and -, a letter or digit first", field)
    return text


def check_period_id(text: str, *, recurs: bool) -> str:
    """The id of a period that is to be created or changed, or of a series.

    Raises:
        InvalidRequest: naming `periodId`.
    """
    return text if is_period_id(text) and not recurs else check_id(text, "periodId")


def read_query(request: Request, model: type[Q], apart: Collection[str] = ()) -> Q:
    """The query of a request, by its model; parameters that are `apart` are not the model's.

    Raises:
        InvalidRequest: if a parameter that is no list is given twice: which one is meant is unknown.
        InvalidFields: for anything else that is wrong with it.
    """
    pairs = pairs_of(request.scope)
    short = len(request.scope["query_string"]) <= QUERY_KEPT_BYTES_MAX
    query: Q = (_validated if short else _validated.__wrapped__)(model, pairs, frozenset(apart))
    return query


@lru_cache(QUERIES_KEPT_MAX)
def _validated(model: type[Q], pairs: tuple[tuple[str, str], ...], apart: frozenset[str]) -> Q:
    """A valid query of these names and values; models are frozen, so one may be given to many."""
    found: dict[str, str | list[str]] = {}
    for name, sent in pairs:
        if name in LISTS:
            found[name] = [*found.get(name, ()), *values_of(sent)]
        elif name in found:
            raise InvalidRequest("may be given once", name)
        else:
            found[name] = value_of(sent)
    try:
        return model.model_validate({name: found[name] for name in found if name not in apart}, by_name=False)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)
        raise InvalidFields([{**one, "loc": ("query", *one["loc"])} for one in wrong]) from None


def read_ranking_query(request: Request) -> tuple[RankingQuery, tuple[str, str] | None]:
    """The query of a ranking, and the label that it asks for: `attr.country=DE` is (`country`, `DE`).

    Raises:
        InvalidRequest, InvalidFields: naming the parameter. Two attributes at a time are refused: the players
            who carry both are no slice of anything that is kept.
    """
    query, labels = _read_labelled_query(request, RankingQuery)
    if not labels:
        return query, None
    label, *others = labels.items()
    if others:
        other = f"{ATTRIBUTE_PREFIX}{others[0][0]}"
        raise InvalidRequest(f"must not be given with {ATTRIBUTE_PREFIX}{label[0]}: one attribute at a time", other)
    if query.user_ids is not None:
        raise InvalidRequest(_ALL_AT_ONCE, f"{ATTRIBUTE_PREFIX}{label[0]}")
    return query, label


def read_export_query(request: Request) -> tuple[ExportQuery, dict[str, str]]:
    """The query of an export, and the labels that it asks for by the filters' names, so that their order tells nothing.

    Raises:
        InvalidRequest, InvalidFields: naming the parameter.
    """
    query, labels = _read_labelled_query(request, ExportQuery)
    return query, dict(sorted(labels.items()))


def _read_labelled_query(request: Request, model: type[Q]) -> tuple[Q, dict[str, str]]:
    """A query by its model, and filter → value of each `attr.*` in the order in which they are given."""
    given = {name: sent for name, sent in pairs_of(request.scope) if name.startswith(ATTRIBUTE_PREFIX)}
    query = read_query(request, model, list(given))
    labels = {}
    for name, sent in given.items():
        value = value_of(sent)
        if len(value) > ATTRIBUTE_CHARACTERS_MAX:
            raise InvalidRequest(f"must be at most {ATTRIBUTE_CHARACTERS_MAX} characters", name)
        labels[name.removeprefix(ATTRIBUTE_PREFIX)] = value
    return query, labels


def to_user_id(user_id: str, field: str = "userId") -> str:
    """The user id of a path or a parameter.

    Raises:
        InvalidRequest: unless it is 1–128 bytes of UTF-8 without control characters.
    """
    try:
        check_user_id(user_id)
    except Rejection as rejection:
        raise InvalidRequest(rejection.detail.removeprefix("userId "), field) from None
    return user_id


def to_event_id(event_id: str) -> str:
    """The event id of a path.

    Raises:
        InvalidRequest: unless it is 1–128 characters.
    """
    if not 1 <= len(event_id) <= EVENT_ID_CHARACTERS_MAX:
        raise InvalidRequest(f"must be 1 to {EVENT_ID_CHARACTERS_MAX} characters", "eventId")
    return event_id


def check_combination(query: RankingQuery) -> None:
    """Refuse parameters that contradict each other or mean nothing together.

    Raises:
        InvalidRequest: naming the one that is too much.
    """
    given = query.model_fields_set
    if query.user_ids is not None:
        for user_id in query.user_ids:
            to_user_id(user_id, "userIds")
        for name in ("limit", "offset", "cursor", "min_score", "max_score", "tier"):
            if name in given:
                raise InvalidRequest(_ALL_AT_ONCE, to_camel(name))
    if query.cursor is not None and query.offset:  # clients that are generated may send the 0 of nobody's
        raise InvalidRequest("must be 0 or left out with cursor, which says itself where to begin", "offset")
    if query.min_score is not None and query.max_score is not None and query.min_score > query.max_score:
        raise InvalidRequest("must be at most maxScore", "minScore")


class Finder:
    """Finds what parameters name."""

    def __init__(self, use_cases: UseCases, now_ms: Callable[[], int]) -> None:
        self._use_cases = use_cases
        self.now_ms = now_ms
        self._periods: Remembered[tuple[str, str], Period] = Remembered(
            KEEP_MS, PERIODS_KEPT_MAX, now_ms, use_cases.lookup
        )

    def leaderboard(self, request: Request, *, now: bool = False, or_deleted: bool = False) -> Leaderboard:
        """The leaderboard of a path, in steady state from memory; read again if `now`.

        Raises:
            UnknownLeaderboard: if there is none, or it is deleted and not asked for then, too.
            Unavailable: if it has to be read and the registry is out of reach.
        """
        leaderboard_id = request.path_params["id"]
        if is_id(leaderboard_id):
            known = self._use_cases.leaderboards
            leaderboard = known.read(leaderboard_id) if now else known.find(leaderboard_id, or_older=True)
            if leaderboard is not None and leaderboard.archived and not now:
                leaderboard = known.read(leaderboard_id)
            if leaderboard is not None and (or_deleted or not leaderboard.archived):
                return leaderboard
        raise UnknownLeaderboard(f"no leaderboard is called {leaderboard_id[:NAME_CHARACTERS_MAX]!r}")

    def period(self, leaderboard_id: str, period_id: str) -> Period:
        """A registered period, of at most KEEP_MS ago; an older one while the registry does not answer.

        Raises:
            UnknownPeriod: if there is none.
            Unavailable: if it has to be read and the registry is out of reach.
        """
        registry = self._use_cases.registry
        return self._periods.get((leaderboard_id, period_id), lambda: read_period(registry, leaderboard_id, period_id))

    def forget_period(self, leaderboard_id: str, period_id: str) -> None:
        """Read a period again next time: it was changed here."""
        self._periods.forget((leaderboard_id, period_id))

    def window(self, leaderboard: Leaderboard, query: WindowQuery) -> Window:
        """The window that a query names.

        Raises:
            InvalidRequest: for a parameter that doesn't go with the kind of window, or is missing.
            InvalidWindow: for a date, week or range that no window has.
            UnknownPeriod, Unavailable: see `period`.
        """
        given = {"date": query.date, "period": query.period, "from": query.first, "to": query.last}
        for name, value in given.items():
            if value is not None and name not in _TAKES[query.window]:
                raise InvalidRequest(f"must not be given with window={query.window}", name)
        match query.window:
            case WindowKind.ALL_TIME:
                return ALL_TIME
            case WindowKind.DAILY:
                return daily(
                    leaderboard.calendar.day_of(self.now_ms()) if query.date is None else parse_day(query.date)
                )
            case WindowKind.WEEKLY:
                return weekly(self._day(leaderboard, query.date, parse_week))
            case WindowKind.MONTHLY:
                return monthly(self._day(leaderboard, query.date, parse_month))
            case WindowKind.CUSTOM:
                return self._custom(leaderboard.id, query)

    def selection(
        self, leaderboard: Leaderboard, query: RankingQuery, label: tuple[str, str] | None = None
    ) -> tuple[Window, Selection]:
        """The window and the page that a query asks for.

        Raises:
            InvalidRequest: naming `cursor`, if it was not given out for this ranking; and whatever `window` raises.
        """
        window = self.window(leaderboard, query)
        selection = Selection(
            limit=query.limit,
            offset=query.offset,
            min_score=query.min_score,
            max_score=query.max_score,
            tier=query.tier,
            label=label,
            profiles=query.include is not None,
        )
        if query.cursor is None:
            return window, selection
        cursor = self._cursor(leaderboard, query.cursor)
        # the day, week or month of now may be another than when paging began, which goes on where it was
        if query.date is None and "date" in _TAKES[query.window]:
            window = cursor.window
        if cursor.window_id != window.id or window.kind is not query.window:
            raise InvalidRequest("belongs to another window", "cursor")
        if cursor.filters != filters_of(selection):
            raise InvalidRequest("belongs to a page with other filters", "cursor")
        return window, replace(selection, key=cursor.key, backward=cursor.backward)

    def _cursor(self, leaderboard: Leaderboard, text: str) -> Cursor:
        try:
            return self._use_cases.cursors.read(text, leaderboard.id)
        except InvalidCursor as error:
            raise InvalidRequest(str(error), "cursor") from None

    def _day(self, leaderboard: Leaderboard, date: str | None, parse: Callable[[str], Day]) -> Day:
        """Of a date or what `parse` reads, whose message names both; today without one."""
        if date is None:
            return leaderboard.calendar.day_of(self.now_ms())
        try:
            return parse_day(date)
        except InvalidWindow:
            return parse(date)

    def _custom(self, leaderboard_id: str, query: WindowQuery) -> Window:
        if query.period is not None:
            for name, value in (("from", query.first), ("to", query.last)):
                if value is not None:
                    raise InvalidRequest("must not be given with period, which has its own dates", name)
            return self.period(leaderboard_id, query.period).window
        if query.first is None or query.last is None:
            missing = "to" if query.last is None and query.first is not None else "from"
            raise InvalidRequest("is required: window=custom needs a period, or from and to", missing)
        return custom(parse_day(query.first, "from"), parse_day(query.last, "to"))


def read_period(registry: Registry, leaderboard_id: str, period_id: str) -> Period:
    """A registered period as it is now.

    Raises:
        UnknownPeriod: if there is none.
        Unavailable: if the registry is out of reach.
    """
    period = registry.period(leaderboard_id, period_id) if is_period_id(period_id) else None
    if period is None:
        raise UnknownPeriod(f"{leaderboard_id} has no period {period_id[:NAME_CHARACTERS_MAX]!r}")
    return period
