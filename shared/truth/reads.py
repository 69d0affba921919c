"""Strongly consistent reads of the truth."""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from heapq import merge
from itertools import chain, groupby, islice
from typing import TYPE_CHECKING, Any, Final

from shared.domain.calendar import ALL_TIME_DAY, Day, format_day, parse_day
from shared.domain.events import ScoreEvent
from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing
from shared.parallel import SourceReader
from shared.retries import Backoff
from shared.truth import keys
from shared.truth.failures import passing_as_unavailable
from shared.truth.items import LedgerEntry, standing_key, to_ledger_entry, to_standing
from shared.truth.queries import BATCH_GET_KEYS_MAX, batch_get
from shared.truth.tables import Tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SHARDS_AT_ONCE: Final = 16
"""Write shards that are read side by side."""
PAGE_STANDINGS: Final = 1_000
"""Standings that one request reads. A page of DynamoDB's own 1 MB is some 20 MB as it comes out of JSON, and as many of
them stand in memory at once as shards are read; requests ten times as many take no more of its read units."""
AHEAD_STANDINGS: Final = 64_000
"""Standings that stand in memory while the days of write shards are merged, some 500 bytes each."""
PAGE_MIN: Final = 100
"""A smaller page would pay for more than it reads: DynamoDB counts 4 KB of a query at least."""

StandingKey = tuple[str, str, Day]
"""Scores id (`Leaderboard.scores_id`), user id and day of a standing."""
EventKey = tuple[str, str, str]
"""Scores id, user id and event id."""


def event_key(scores_id: str, event: ScoreEvent) -> EventKey:
    """Under which the ledger holds an event, among the scores that it counts for."""
    return scores_id, event.user_id, event.event_id


class Reads:
    """Reads standings and ledger.

    Methods raise Unavailable if DynamoDB throttles or is out of reach.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        tables: Tables,
        merge: SourceReader,
        backoff: Backoff,
    ) -> None:
        self._client = client
        self._tables = tables
        self._backoff = backoff
        self._merge = merge

    def standings(self, wanted: Iterable[tuple[Leaderboard, str, Day]]) -> dict[StandingKey, Standing]:
        """The standings of (leaderboard, user id, day); those without events are not in the answer.

        Raises:
            Unavailable: if DynamoDB throttles or is out of reach beyond the retries.
        """
        found: dict[StandingKey, Standing] = {}
        asked = {standing_key(*one): (one[0].scores_id, one[1], one[2]) for one in wanted}
        places = iter(asked)
        while chunk := list(islice(places, BATCH_GET_KEYS_MAX)):
            for item in batch_get(self._client, self._tables.standings, chunk, self._backoff):
                found[asked[item["pk"]["S"], item["sk"]["S"]]] = to_standing(item)
        return found

    def held(self, events: Iterable[EventKey]) -> dict[EventKey, ScoreEvent]:
        """What the ledger holds under the keys of events, whatever its content."""
        found: dict[EventKey, ScoreEvent] = {}
        asked = {(keys.ledger_partition(one[0], one[1]), one[2]): one for one in events}
        places = iter(asked)
        while chunk := list(islice(places, BATCH_GET_KEYS_MAX)):
            for item in batch_get(self._client, self._tables.ledger, chunk, self._backoff):
                found[asked[item["pk"]["S"], item["sk"]["S"]]] = to_ledger_entry(item).event
        return found

    def entry(self, scores_id: str, user_id: str, event_id: str) -> LedgerEntry | None:
        """What the ledger holds under an event id; None if it holds nothing."""
        place = keys.ledger_partition(scores_id, user_id), event_id
        found = batch_get(self._client, self._tables.ledger, [place], self._backoff)
        return next(map(to_ledger_entry, found), None)

    def recorded_days(self, leaderboard: Leaderboard, days: Sequence[Day]) -> list[Day]:
        """Those of some days, in their order, that may have standings: any other has none, and need not be read.

        All time is always among them. One request, however many shards the leaderboard has.
        """
        dated = [day for day in days if day != ALL_TIME_DAY]
        if not dated:
            return list(days)
        bounds = {":first": format_day(min(dated)), ":last": format_day(max(dated))}
        values = {":pk": keys.days_partition(leaderboard.scores_id)} | bounds
        pages = self._client.get_paginator("query").paginate(
            TableName=self._tables.standings,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues={name: {"S": value} for name, value in values.items()},
            ConsistentRead=True,
        )
        with passing_as_unavailable():
            found = {item["sk"]["S"] for page in pages for item in page["Items"]}
        return [day for day in days if day == ALL_TIME_DAY or format_day(day) in found]

    def days(self, leaderboard: Leaderboard) -> list[Day]:
        """Every day that may have standings, all time first."""
        pages = self._pages(self._tables.standings, keys.days_partition(leaderboard.scores_id))
        return [ALL_TIME_DAY, *(parse_day(item["sk"]["S"]) for page in pages for item in page)]

    def shard_standings(self, leaderboard: Leaderboard, day: Day, shard: int) -> Iterator[tuple[str, Standing]]:
        """Every standing of one write shard of a day, by user id."""
        for page in self._day_pages(leaderboard, day, shard):
            for _, user_id, standing in page:
                yield user_id, standing

    def standings_on(
        self, leaderboard: Leaderboard, days: Sequence[Day]
    ) -> Generator[tuple[Day, str, Standing], None, None]:
        """Every standing of the days, their write shards read in parallel, in no particular order.

        They come as they are read, a few pages of each shard ahead of who takes them, so that however many there are no
        more than those stand in memory. Closing the generator ends the reading.
        """
        parts = ((day, shard) for day in days for shard in range(leaderboard.shards))
        with closing(self._merge([self._day_pages(leaderboard, *part) for part in parts])) as pages:
            for page in pages:
                yield from page

    def players(
        self, leaderboard: Leaderboard, days: Sequence[Day]
    ) -> Generator[tuple[str, list[tuple[Day, Standing]]], None, None]:
        """Every player's standings of the days together, in the order of the days; players in no particular one.

        A write shard holds a player's standings of every day, by user id: so its days are merged as they are
        read, and however many there are no more than some pages of each stand in memory. Closing the generator ends
        the reading.
        """
        at_once = max(1, min(leaderboard.shards, SHARDS_AT_ONCE, AHEAD_STANDINGS // (len(days) * PAGE_MIN)))
        page_size = max(PAGE_MIN, min(PAGE_STANDINGS, AHEAD_STANDINGS // (len(days) * at_once)))
        sources = [
            chain.from_iterable(
                self._players(leaderboard, days, shard, page_size)
                for shard in range(first, leaderboard.shards, at_once)
            )
            for first in range(at_once)
        ]
        with closing(self._merge(sources)) as groups:
            for group in groups:
                yield from group

    def _players(
        self, leaderboard: Leaderboard, days: Sequence[Day], shard: int, page_size: int
    ) -> Iterator[list[tuple[str, list[tuple[Day, Standing]]]]]:
        """Players of one write shard, some at a time."""
        runs = (self._day_pages(leaderboard, day, shard, page_size) for day in days)
        lines = merge(*(chain.from_iterable(run) for run in runs), key=_user)  # equal ones in the order of the runs
        players = (
            (user_id, [(day, standing) for day, _, standing in own]) for user_id, own in groupby(lines, key=_user)
        )
        while group := list(islice(players, max(1, page_size // len(days)))):
            yield group

    def first_day(self, leaderboard: Leaderboard, days: Iterable[Day]) -> Day | None:
        """The first of some days, in their order, that has events; None if none of them has any."""
        for day in days:
            shards = [self._any(leaderboard, day, shard) for shard in range(leaderboard.shards)]
            with closing(self._merge(shards)) as found:
                if next(found, None) is not None:
                    return day
        return None

    def _any(self, leaderboard: Leaderboard, day: Day, shard: int) -> Iterator[Sequence[Mapping[str, Any]]]:
        partition = keys.standings_partition(leaderboard.scores_id, day, shard)
        first_pages = islice(self._pages(self._tables.standings, partition, page_size=1), 1)
        return (page for page in first_pages if page)

    def _day_pages(
        self, leaderboard: Leaderboard, day: Day, shard: int, page_size: int = PAGE_STANDINGS
    ) -> Iterator[list[tuple[Day, str, Standing]]]:
        partition = keys.standings_partition(leaderboard.scores_id, day, shard)
        for items in self._pages(self._tables.standings, partition, page_size=page_size):
            yield [(day, item["sk"]["S"], to_standing(item)) for item in items]

    def ledger(
        self, scores_id: str, user_id: str, after: str | None = None, limit: int | None = None
    ) -> Iterator[LedgerEntry]:
        """The accepted events of a player, by event id (its bytes), from the one that follows `after`.

        Args:
            scores_id: among which scores, see `Leaderboard.scores_id`.
            user_id: which player.
            after: an event id; None for the first event.
            limit: how many events to read at most; None for all.
        """
        partition = keys.ledger_partition(scores_id, user_id)
        pages = self._pages(self._tables.ledger, partition, after, page_size=limit)
        for item in islice(chain.from_iterable(pages), limit):
            yield to_ledger_entry(item)

    def _pages(
        self, table: str, partition: str, after: str | None = None, page_size: int | None = None
    ) -> Iterator[Sequence[Mapping[str, Any]]]:
        paging: Any = {"PageSize": page_size}
        values = {":pk": {"S": partition}} | ({} if after is None else {":after": {"S": after}})
        pages = self._client.get_paginator("query").paginate(
            TableName=table,
            KeyConditionExpression="pk = :pk" if after is None else "pk = :pk AND sk > :after",
            ExpressionAttributeValues=values,
            ConsistentRead=True,
            PaginationConfig=paging,
        )
        with passing_as_unavailable():
            for page in pages:
                yield page["Items"]


def _user(line: tuple[Day, str, Standing]) -> str:
    """Python sorts text by code points, as DynamoDB does its UTF-8."""
    return line[1]
