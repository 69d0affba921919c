"""Standings come as they are read: whatever the size of a window, little of it stands in memory."""

from collections import Counter
from collections.abc import Iterator
from itertools import count, islice
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from shared.domain.calendar import Day
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.standings import Standing
from shared.parallel import AHEAD_MAX, ParallelReader, SourceReader, read_sequentially
from shared.retries import Backoff
from shared.truth.commits import Unavailable
from shared.truth.items import standing_item
from shared.truth.reads import AHEAD_STANDINGS, PAGE_MIN, PAGE_STANDINGS, Reads
from shared.truth.tables import Tables

BOARD = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, shards=4)
DAYS = [Day(20_000), Day(20_001)]
PAGE = 3


class Dynamo:
    """Shards of so many pages, and how many of them were read."""

    def __init__(self, pages: int | None) -> None:
        self._numbers = count() if pages is None else range(pages)
        self.read = Counter[str]()
        self.client: Any = SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=self._paginate))
        self.failing: set[str] = set()

    def _paginate(self, ExpressionAttributeValues: Any, PaginationConfig: Any, **_: Any) -> Iterator[Any]:
        assert PaginationConfig == {"PageSize": PAGE_STANDINGS}
        partition = ExpressionAttributeValues[":pk"]["S"]
        for number in self._numbers:
            if partition in self.failing and number == 1:
                raise ReadTimeoutError(endpoint_url="dynamodb")
            self.read[partition] += 1
            users, standing = [f"{partition}-{number}-{one}" for one in range(PAGE)], Standing(number, number, 1)
            yield {"Items": [standing_item(BOARD, user_id, DAYS[0], standing) for user_id in users]}


def reads(dynamo: Dynamo, merge: SourceReader) -> Reads:
    return Reads(dynamo.client, Tables(), merge, Backoff())


@pytest.mark.parametrize("merge", [read_sequentially, ParallelReader(3)])
def test_every_standing_of_every_shard_and_day_comes_once(merge: SourceReader) -> None:
    found = list(reads(Dynamo(5), merge).standings_on(BOARD, DAYS))

    partitions = [(day, f"cup#2024-10-0{4 + day - DAYS[0]}#{shard}") for day in DAYS for shard in range(4)]
    expected = [
        (day, f"{partition}-{number}-{one}", Standing(number, number, 1))
        for day, partition in partitions
        for number in range(5)
        for one in range(PAGE)
    ]
    assert sorted(found, key=lambda line: line[:2]) == sorted(expected, key=lambda line: line[:2])


@pytest.mark.parametrize(("merge", "ahead"), [(read_sequentially, 1), (ParallelReader(4), AHEAD_MAX + 5)])
def test_a_window_without_end_is_read_no_further_than_somebody_takes(merge: SourceReader, ahead: int) -> None:
    dynamo = Dynamo(None)
    lines = reads(dynamo, merge).standings_on(BOARD, DAYS)

    taken = list(islice(lines, 50 * PAGE))
    lines.close()

    assert len(taken) == 50 * PAGE
    assert dynamo.read.total() <= 50 + ahead


@pytest.mark.parametrize("merge", [read_sequentially, ParallelReader(4)])
def test_a_shard_that_cannot_be_read_is_told_to_who_takes(merge: SourceReader) -> None:
    dynamo = Dynamo(3)
    dynamo.failing = {"cup#2024-10-04#2"}

    with pytest.raises(Unavailable):
        list(reads(dynamo, merge).standings_on(BOARD, DAYS))


class Days:
    """Standings of days: user ids by partition, in pages as DynamoDB gives them."""

    def __init__(self, users: dict[str, list[str]]) -> None:
        self._users = users
        self.page_sizes: set[int] = set()
        self.client: Any = SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=self._paginate))

    def _paginate(self, ExpressionAttributeValues: Any, PaginationConfig: Any, **_: Any) -> Iterator[Any]:
        size = PaginationConfig["PageSize"]
        self.page_sizes.add(size)
        users = sorted(self._users.get(ExpressionAttributeValues[":pk"]["S"], []), key=str.encode)
        for start in range(0, len(users) + 1, size):
            standing = Standing(1, 1, 1)
            yield {"Items": [standing_item(BOARD, user, DAYS[0], standing) for user in users[start : start + size]]}


@pytest.mark.parametrize("merge", [read_sequentially, ParallelReader(3)])
def test_a_players_standings_of_all_days_come_together_and_oldest_first(
    merge: SourceReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.truth.reads.PAGE_STANDINGS", 2)
    monkeypatch.setattr("shared.truth.reads.PAGE_MIN", 2)
    monday, tuesday = ["ann", "bob", "\uffff", "\U0001f600", "eve"], ["bob", "cid", "\U0001f600"]
    dynamo: Any = Days({"cup#2024-10-04#1": monday, "cup#2024-10-05#1": tuesday, "cup#2024-10-05#3": ["dot"]})

    found = {user: [day for day, _ in own] for user, own in reads(dynamo, merge).players(BOARD, DAYS)}

    assert found == {
        **dict.fromkeys(("ann", "\uffff", "eve"), DAYS[:1]),
        **dict.fromkeys(("bob", "\U0001f600"), DAYS),
        **dict.fromkeys(("cid", "dot"), DAYS[1:]),
    }


def test_the_more_days_are_merged_the_smaller_are_their_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {}
    for days in (1, 7, 31, 366):
        dynamo: Any = Days({})
        assert list(reads(dynamo, read_sequentially).players(BOARD, [Day(20_000 + day) for day in range(days)])) == []
        (sizes[days],) = dynamo.page_sizes

    at_once = {1: 4, 7: 4, 31: 4, 366: 1}
    assert all(size * days * at_once[days] <= AHEAD_STANDINGS for days, size in sizes.items())
    assert sizes[1] == PAGE_STANDINGS
    assert min(sizes.values()) >= PAGE_MIN
