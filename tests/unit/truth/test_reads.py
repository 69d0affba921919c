"""Standings come as they are read: whatever the size of a window, little of it stands in memory."""

from collections import Counter
from collections.abc import Iterator
from itertools import count, islice
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.standings import Standing
from shared.domain.windows import Day
from shared.retries import Backoff
from shared.streams import AHEAD_MAX, Merge, SideBySide, in_turn
from shared.truth.commits import Unavailable
from shared.truth.items import standing_item
from shared.truth.reads import PAGE_STANDINGS, Reads
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


def reads(dynamo: Dynamo, merge: Merge) -> Reads:
    return Reads(dynamo.client, Tables(), merge, Backoff())


@pytest.mark.parametrize("merge", [in_turn, SideBySide(3)])
def test_every_standing_of_every_shard_and_day_comes_once(merge: Merge) -> None:
    found = list(reads(Dynamo(5), merge).buckets(BOARD, DAYS))

    partitions = [(day, f"cup#2024-10-0{4 + day - DAYS[0]}#{shard}") for day in DAYS for shard in range(4)]
    expected = [
        (day, f"{partition}-{number}-{one}", Standing(number, number, 1))
        for day, partition in partitions
        for number in range(5)
        for one in range(PAGE)
    ]
    assert sorted(found, key=lambda line: line[:2]) == sorted(expected, key=lambda line: line[:2])


@pytest.mark.parametrize(("merge", "ahead"), [(in_turn, 1), (SideBySide(4), AHEAD_MAX + 5)])
def test_a_window_without_end_is_read_no_further_than_somebody_takes(merge: Merge, ahead: int) -> None:
    dynamo = Dynamo(None)
    lines = reads(dynamo, merge).buckets(BOARD, DAYS)

    taken = list(islice(lines, 50 * PAGE))
    lines.close()

    assert len(taken) == 50 * PAGE
    assert dynamo.read.total() <= 50 + ahead


@pytest.mark.parametrize("merge", [in_turn, SideBySide(4)])
def test_a_shard_that_cannot_be_read_is_told_to_who_takes(merge: Merge) -> None:
    dynamo = Dynamo(3)
    dynamo.failing = {"cup#2024-10-04#2"}

    with pytest.raises(Unavailable):
        list(reads(dynamo, merge).buckets(BOARD, DAYS))
