"""Administration of leaderboards and their periods."""

from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol

from fastapi import FastAPI, Request, Response
from msgspec.structs import replace

from functions.api.bodies import LeaderboardBody, PeriodBody
from functions.api.contract import Answered, described, operation
from functions.api.definitions import Definitions
from functions.api.edge import caller
from functions.api.models import DefinitionQuery, DeletePeriodQuery, ListQuery
from functions.api.params import Finder, check_id, check_period_id, is_id, is_period_id, read_period, read_query
from functions.api.periods import Periods
from functions.api.problems import InvalidRequest, UnknownPeriod
from functions.api.recurring import RecurringPeriods
from functions.api.views import answer
from functions.api.views.leaderboards import (
    LeaderboardsView,
    LeaderboardView,
    PeriodsView,
    PeriodView,
    SeriesView,
    to_leaderboard_view,
    to_period_view,
    to_series_view,
)
from shared.admin.disqualifications import Disqualifications
from shared.domain.periods import Period
from shared.truth.registry import Registry
from shared.truth.series import SeriesRecords

_ALL: Final = "/leaderboards"
_ONE: Final = "/leaderboards/{id}"
_PERIODS: Final = "/leaderboards/{id}/periods"
_PERIOD: Final = "/leaderboards/{id}/periods/{periodId}"
_PERIODS_TAGS: Final[list[str | Enum]] = ["periods"]


class UseCases(Protocol):
    """What is called here."""

    @property
    def disqualifications(self) -> Disqualifications: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def series(self) -> SeriesRecords: ...


def register(
    app: FastAPI, use_cases: UseCases, finder: Finder, definitions: Definitions, now_ms: Callable[[], int]
) -> None:
    """Leaderboards."""
    tags: list[str | Enum] = ["leaderboards"]

    @app.put(_ONE, tags=tags)
    @operation(responses={200: described(LeaderboardView, "Changed"), 201: described(LeaderboardView, "Created")})
    async def put_leaderboard(request: Request, body: LeaderboardBody) -> Response:
        """Create, change or reopen a leaderboard."""
        leaderboard_id = check_id(request.path_params["id"], "id")
        leaderboard, created = definitions.put(body.to_leaderboard(leaderboard_id, now_ms()), caller(request).subject)
        view = to_leaderboard_view(leaderboard)
        return answer(view, 201, {"location": f"/leaderboards/{leaderboard_id}"}) if created else answer(view)

    @app.get(_ALL, tags=tags)
    @operation(ListQuery, {200: described(LeaderboardsView, "A page of leaderboards, by id")})
    async def list_leaderboards(request: Request) -> Response:
        """All leaderboards that are not deleted."""
        query = read_query(request, ListQuery)
        found = list(use_cases.registry.leaderboards(query.limit + 1, query.after))
        page = found[: query.limit]
        following = page[-1].id if len(found) > len(page) else None
        return answer(LeaderboardsView(leaderboards=[to_leaderboard_view(one) for one in page], next_after=following))

    _register_one(app, use_cases, finder, definitions)


def _register_one(app: FastAPI, use_cases: UseCases, finder: Finder, definitions: Definitions) -> None:
    tags: list[str | Enum] = ["leaderboards"]

    @app.get(_ONE, tags=tags)
    @operation(DefinitionQuery, {200: described(LeaderboardView, "The definition")})
    async def get_leaderboard(request: Request) -> Response:
        """A leaderboard's definition, as it is now or as one of its versions had it."""
        number, leaderboard = read_query(request, DefinitionQuery).version, finder.leaderboard(request, now=True)
        if number is None or number == leaderboard.version:
            return answer(to_leaderboard_view(leaderboard))
        found = use_cases.registry.rules(leaderboard.id, number) if number < leaderboard.version else None
        if found is None:
            raise InvalidRequest(f"must be 1 to {leaderboard.version}", "version")
        return answer(to_leaderboard_view(replace(found, has_events=leaderboard.has_events)))

    @app.delete(_ONE, tags=tags, status_code=204, response_description="Deleted")
    @operation()
    async def delete_leaderboard(request: Request) -> Response:
        """Delete a leaderboard: it takes no more events and is not shown. Nothing that was counted is lost.

        What is appended to the topic from now on is rejected; what came before counts. Every day, week and registered
        period that may have events still becomes final at its usual time, and is announced. Its result can be read, and
        corrected by a disqualification.
        """
        definitions.close(finder.leaderboard(request, now=True).id, caller(request).subject)
        return Response(status_code=204)


def register_periods(
    app: FastAPI, use_cases: UseCases, finder: Finder, periods: Periods, recurring: RecurringPeriods
) -> None:
    """Periods of a leaderboard."""

    @app.put(_PERIOD, tags=_PERIODS_TAGS)
    @operation(
        responses={
            200: Answered("Changed: the period, or with `every` the series", PeriodView, SeriesView),
            201: Answered("Created: the period, or with `every` the series", PeriodView, SeriesView),
        }
    )
    async def put_period(request: Request, body: PeriodBody) -> Response:
        """Register or change a period, or with `every` a series of periods.

        The days of a period that is over change only with a `reason`, those of one with a final result never; its name
        may.

        A series has occurrences, each a period of its own: `{periodId}~` and its first day. The first one begins with
        `from`, each other one after the one before it; months and years are counted from `from` itself, and an
        occurrence that would begin on a day which its month lacks begins on the month's last. The one that is going on
        is registered at once, and two that have not begun; later ones follow by themselves. None that was over before
        the series is, and none that would end after `until`.

        A change of a series is for what has not begun: such occurrences are registered anew, after the one that is
        going on, also those that were changed or deleted by themselves. What has begun is changed by its own id alone.
        """
        recurs = body.every is not None
        period_id = check_period_id(request.path_params["periodId"], recurs=recurs)
        sent = body.to_series(period_id) if recurs else body.to_period(period_id)
        leaderboard, actor = finder.leaderboard(request, now=True), caller(request).subject
        view: PeriodView | SeriesView
        if isinstance(sent, Period):
            created, view = periods.put(leaderboard, sent, body.reason, actor), to_period_view(sent)
        else:
            series, created = recurring.put(leaderboard, sent, body.reason, actor)
            view = to_series_view(series)
        finder.forget_period(leaderboard.id, period_id)
        location = {"location": f"/leaderboards/{leaderboard.id}/periods/{period_id}"} if created else {}
        return answer(view, 201 if created else 200, location)

    @app.get(_PERIODS, tags=_PERIODS_TAGS)
    @operation(responses={200: described(PeriodsView, "All periods and all series, each by id")})
    async def list_periods(request: Request) -> Response:
        """All periods of a leaderboard, occurrences of series among them, and all series."""
        leaderboard_id = finder.leaderboard(request).id
        return answer(
            PeriodsView(
                periods=[to_period_view(one) for one in use_cases.registry.periods(leaderboard_id)],
                series=[to_series_view(one) for one in use_cases.series.of(leaderboard_id)],
            )
        )

    _register_period(app, use_cases, finder, periods, recurring)


def _register_period(
    app: FastAPI, use_cases: UseCases, finder: Finder, periods: Periods, recurring: RecurringPeriods
) -> None:
    @app.get(_PERIOD, tags=_PERIODS_TAGS)
    @operation(responses={200: Answered("The period, or the series", PeriodView, SeriesView)})
    async def get_period(request: Request) -> Response:
        """A period or a series, as it is now."""
        leaderboard_id, period_id = finder.leaderboard(request).id, request.path_params["periodId"]
        series = use_cases.series.find(leaderboard_id, period_id) if is_id(period_id) else None
        if series is not None:
            return answer(to_series_view(series))
        return answer(to_period_view(read_period(use_cases.registry, leaderboard_id, period_id)))

    @app.delete(_PERIOD, tags=_PERIODS_TAGS, status_code=204, response_description="Forgotten")
    @operation(DeletePeriodQuery)
    async def delete_period(request: Request) -> Response:
        """Forget a period that has no final result, or a series. Its dates can still be ranked as a custom range.

        With a series go its occurrences that have not begun. The one that is going on stays, as those that are over do,
        and becomes final like any period; it is forgotten by its own id.
        """
        query = read_query(request, DeletePeriodQuery)
        leaderboard, period_id = finder.leaderboard(request, now=True), request.path_params["periodId"]
        if not is_period_id(period_id):
            raise UnknownPeriod(f"{leaderboard.id} has no such period")
        actor = caller(request).subject
        if not recurring.delete(leaderboard, period_id, query.reason, actor):
            periods.delete(leaderboard, period_id, query.reason, actor)
        finder.forget_period(leaderboard.id, period_id)
        return Response(status_code=204)
