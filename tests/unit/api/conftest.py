"""The API's function over parts that stand in for Redis, DynamoDB and the queues."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from mangum import Mangum

from functions.api.app import create_app
from functions.api.direct import DirectReads, Reads
from functions.api.gateway import HttpApi
from shared.admin.series import Occurrences
from shared.domain.calendar import DAY_MS, Window, parse_day
from shared.domain.calendar import UTC as UTC_DAYS
from shared.domain.periods import Period
from shared.domain.ranking import Entry, rank
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.selections import Selection
from shared.domain.series import Series
from shared.domain.standings import Score
from shared.lookups.leaderboards import Leaderboards
from shared.lookups.remembered import at_once
from shared.reads.answers import PlayerRanking, Ranking, RankingSource
from shared.reads.cursors import Cursors
from shared.truth.registry import Conflict

NOW_MS = parse_day("2026-11-23") * DAY_MS + 36_000_000


class Registry:
    """The registry's contract, in memory."""

    def __init__(self) -> None:
        self.boards: dict[str, Leaderboard] = {}
        self.history: dict[tuple[str, int], Leaderboard] = {}
        self.known_periods: dict[tuple[str, str], Period] = {}
        self.saves = 0
        self.before_save: Callable[[], None] = lambda: None
        self.failure: Exception | None = None

    def leaderboard(self, leaderboard_id: str) -> Leaderboard | None:
        if self.failure is not None:
            raise self.failure
        return self.boards.get(leaderboard_id)

    def leaderboards(self, limit: int, after: str | None = None) -> Iterator[Leaderboard]:
        shown = sorted(one.id for one in self.boards.values() if not one.archived and one.id > (after or ""))
        return iter([self.boards[one] for one in shown[:limit]])

    def save(self, leaderboard: Leaderboard, *, has_events_as_read: bool = False) -> None:
        self.before_save()
        current = self.boards.get(leaderboard.id)
        version = 0 if current is None else current.version
        if version != leaderboard.version - 1 or (has_events_as_read and current is not None and current.has_events):
            raise Conflict(leaderboard.id)
        self.saves += 1
        sealed = current is not None and current.has_events
        self.boards[leaderboard.id] = msgspec.structs.replace(leaderboard, has_events=sealed)
        self.history[leaderboard.id, leaderboard.version] = leaderboard

    def rules(self, leaderboard_id: str, version: int) -> Leaderboard | None:
        return self.history.get((leaderboard_id, version))

    def lock_rules(self, leaderboard_id: str) -> None:
        self.boards[leaderboard_id] = msgspec.structs.replace(self.boards[leaderboard_id], has_events=True)

    def period(self, leaderboard_id: str, period_id: str) -> Period | None:
        return self.known_periods.get((leaderboard_id, period_id))

    def periods(self, leaderboard_id: str) -> list[Period]:
        return [period for (owner, _), period in sorted(self.known_periods.items()) if owner == leaderboard_id]

    def save_period(self, leaderboard_id: str, period: Period, *, before: Period | None = None) -> None:
        self.before_save()
        if self.period(leaderboard_id, period.id) != before:
            raise Conflict(period.id)
        self.known_periods[leaderboard_id, period.id] = period

    def delete_period(self, leaderboard_id: str, period: Period) -> None:
        self.before_save()
        if self.period(leaderboard_id, period.id) != period:
            raise Conflict(period.id)
        del self.known_periods[leaderboard_id, period.id]


class SeriesStore:
    """Series, whose occurrences are periods of the registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.known: dict[tuple[str, str], Series] = {}
        self.before_make: Callable[[], None] = lambda: None

    def find(self, leaderboard_id: str, series_id: str) -> Series | None:
        return self.known.get((leaderboard_id, series_id))

    def of(self, leaderboard_id: str) -> list[Series]:
        return [one for (owner, _), one in sorted(self.known.items()) if owner == leaderboard_id]

    def save(self, leaderboard_id: str, before: Series | None, after: Series | None, dropped: Sequence[Period]) -> None:
        self._registry.before_save()
        of = after or before
        assert of is not None
        if self.known.get((leaderboard_id, of.id)) != before:
            raise Conflict(of.id)
        if after is None:
            del self.known[leaderboard_id, of.id]
        else:
            self.known[leaderboard_id, of.id] = after
        for period in dropped:
            del self._registry.known_periods[leaderboard_id, period.id]

    def make(self, leaderboard: Leaderboard, series: Series, period: Period) -> Series:
        self.before_make()
        if self.known.get((leaderboard.id, series.id)) != series:
            raise Conflict(series.id)
        self._registry.known_periods[leaderboard.id, period.id] = period
        return self.pass_over(leaderboard.id, series)

    def pass_over(self, leaderboard_id: str, series: Series) -> Series:
        after = msgspec.structs.replace(series, next=series.next + 1)
        self.known[leaderboard_id, series.id] = after
        return after


class Rankings:
    """Rankings of fixed scores, and what was asked of them."""

    def __init__(self) -> None:
        self.scores = {f"u-{number}": Score(100 - number, NOW_MS) for number in range(5)}
        self.asked: list[tuple[Window, Selection]] = []
        self.revision = 7
        self.final = False
        self.source = RankingSource.LIVE
        self.failure: Exception | None = None

    def _entries(self, leaderboard: Leaderboard) -> list[Entry]:
        if self.failure is not None:
            raise self.failure
        return list(rank(leaderboard.order, leaderboard.tiers, self.scores.items()))

    def _ranking(self, window: Window, entries: Sequence[Entry], total: int) -> Ranking:
        status = UTC_DAYS.status(window, NOW_MS, final=self.final)
        source = RankingSource.FINAL if self.final and self.source is RankingSource.LIVE else self.source
        return Ranking(
            window, status, self.revision, total, NOW_MS, entries, source=source, matched=len(entries), rules_version=1
        )

    def select(self, leaderboard: Leaderboard, window: Window, selection: Selection) -> Ranking:
        self.asked.append((window, selection))
        entries = self._entries(leaderboard)
        first, past = selection.offset, selection.offset + selection.limit
        ranking = self._ranking(window, entries[first:past], len(entries))
        return msgspec.structs.replace(
            ranking, matched=len(entries), has_previous=0 < first < len(entries), has_next=past < len(entries)
        )

    def players(self, leaderboard: Leaderboard, window: Window, user_ids: Sequence[str], **_: Any) -> Ranking:
        entries = self._entries(leaderboard)
        return self._ranking(window, [one for one in entries if one.user_id in user_ids], len(entries))

    def player(
        self, leaderboard: Leaderboard, window: Window, user_id: str, context: int, **_: Any
    ) -> PlayerRanking | None:
        entries = self._entries(leaderboard)
        at = next((at for at, entry in enumerate(entries) if entry.user_id == user_id), None)
        if at is None:
            return None
        above = entries[max(0, at - context) : at]
        bare = self._ranking(window, (), len(entries))
        return PlayerRanking(bare, entries[at], 2, 7, above, entries[at + 1 : at + 1 + context])


class Answer:
    """What the function answered."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.status: int = raw["statusCode"]
        self.headers: Mapping[str, str] = raw["headers"]
        self.text: str = raw["body"]

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.text)

    @property
    def errors(self) -> dict[str, str]:
        """Field → message."""
        assert self.headers["content-type"] == "application/problem+json"
        return {one["field"]: one["message"] for one in self.json.get("errors", [])}


class Api:
    """The function, and the parts it stands on."""

    def __init__(
        self,
        stage: str = "local",
        authorization: str = "off",
        scope_prefix: str = "",
        public_reads: str = "off",
        broker: str = "127.0.0.1:9092",
    ) -> None:
        self.now_ms = NOW_MS
        self.registry = Registry()
        self.series = SeriesStore(self.registry)
        self.rankings = Rankings()
        self.rebuilt: list[str] = []
        self.ordered: list[str] = []
        """Ids of leaderboards whose rebuild was ordered."""
        self.kept: list[Window] = []
        self.withdrawn: list[Window] = []
        self.cache_failure: Exception | None = None
        self.jobs: dict[str, Any] = {}
        self.results: dict[str, Any] = {}
        self.noted: list[tuple[Any, ...]] = []
        self.claims: dict[str, Any] | None = None
        """What the authorizer hands over; None where there is none."""
        self.sources: list[str] = []
        """Where rankings and places of players were read from."""
        self.parts: Any = SimpleNamespace(
            settings=SimpleNamespace(
                stage=stage,
                authorization=authorization,
                public_reads=public_reads,
                scope_prefix=scope_prefix,
                code_version="3f2c9a7+dirty",
                console="on",
                console_issuer="https://login.example.com/pool",
                console_client_id="console",
                kafka_bootstrap_servers=broker,
            ),
            registry=self.registry,
            series=self.series,
            occurrences=Occurrences(self.series, self.registry, lambda: self.now_ms),  # type: ignore[arg-type]
            truth_guard=None,
            lookup=at_once,
            leaderboards=Leaderboards(self.registry, lambda: self.now_ms),  # type: ignore[arg-type]
            rankings=self.rankings,
            cache=SimpleNamespace(
                revision=self._revision, withdraw=self._withdraw, mark_incomplete=lambda leaderboard_id: None
            ),
            cursors=Cursors(b"key"),
            waits=SimpleNamespace(granted=self._granted),
            answer_counts=SimpleNamespace(count_source=self.sources.append),
            final_results=SimpleNamespace(final=lambda leaderboard_id, window_id: self.results.get(window_id)),
            result_versions=SimpleNamespace(latest=lambda leaderboard, window: self.results.get(window.id)),
            disqualifications=SimpleNamespace(record=lambda *noted, **more: self.noted.append((*noted, more))),
            window_builder=SimpleNamespace(rebuild_leaderboard=self._rebuild),
            rebuild_requests=SimpleNamespace(request=lambda leaderboard, window: self.ordered.append(leaderboard.id)),
            on_demand_builds=SimpleNamespace(build_for_reader=self._keep),
            exports=SimpleNamespace(
                request=lambda leaderboard, window, format: self.jobs["asked"],
                job=lambda leaderboard_id, export_id: self.jobs.get(export_id),
            ),
        )
        self.context: Any = None
        self.revision_failure: Exception | None = None
        self.may_wait = True
        self.waits: list[int] = []
        """How long each wait was asked for, ms."""
        self.start()

    def start(self) -> None:
        """As a new process does."""
        reads = Reads(self.parts, lambda: self.now_ms)
        app = create_app(self.parts, lambda: self.now_ms, reads)
        self._direct = DirectReads(reads, self.parts, lambda: self.now_ms)
        self._framework = Mangum(app, lifespan="off", custom_handlers=[HttpApi])

    @contextmanager
    def _granted(self, wait_ms: int) -> Iterator[bool]:
        self.waits.append(wait_ms)
        yield self.may_wait

    def _revision(self, leaderboard: Leaderboard, window: Window) -> int:
        if self.revision_failure is not None:
            raise self.revision_failure
        return self.rankings.revision

    def _rebuild(self, leaderboard: Leaderboard) -> bool:
        if self.cache_failure is not None:
            raise self.cache_failure
        self.rebuilt.append(leaderboard.id)
        return True

    def _withdraw(self, leaderboard: Leaderboard, window: Window, now_ms: int) -> None:
        self.withdrawn.append(window)

    def _keep(self, leaderboard: Leaderboard, window: Window) -> None:
        if self.cache_failure is not None:
            raise self.cache_failure
        self.kept.append(window)

    def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | str = "",
        body: Any = None,
        raw: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        text = raw if body is None else msgspec.json.encode(body).decode()
        event: dict[str, Any] = {
            "version": "2.0",
            "rawPath": path,
            "rawQueryString": query if isinstance(query, str) else urlencode(query, safe=","),
            "headers": {"host": "api.example.com", **(headers or {})},
            "requestContext": {
                "http": {"method": method, "path": path, "sourceIp": "192.0.2.10"},
                "requestId": "request-1",
            },
            "body": text,
            "isBase64Encoded": False,
        }
        if self.claims is not None:
            event["requestContext"]["authorizer"] = {"jwt": {"claims": self.claims, "scopes": None}}
        answer = self._direct.serve(event, self.context)
        return Answer(self._framework(event, self.context) if answer is None else answer)

    def get(self, path: str, **query: Any) -> Answer:
        return self.call("GET", path, {name.rstrip("_"): value for name, value in query.items()})

    def put(self, path: str, body: Any) -> Answer:
        return self.call("PUT", path, body=body)


@pytest.fixture
def api() -> Api:
    """The function with one leaderboard, `cup`."""
    api = Api()
    api.registry.boards["cup"] = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
    return api
