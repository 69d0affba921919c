"""Standings and events as DynamoDB has them."""

import pytest

from shared.domain.calendar import Day
from shared.domain.events import ScoreEvent
from shared.domain.labels import Label
from shared.domain.records import Source
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.standings import Standing
from shared.truth.items import LedgerEntry, ledger_item, standing_item, to_ledger_entry, to_standing

BOARD = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, filters=("country", "platform"))


def test_a_standing_reads_back_with_its_labels() -> None:
    labels = (Label("country", "", 5, "e-1"), Label("platform", "x" * 256, 2**41, "é"))
    standing = Standing(-7, 5, 3, "", 9, 4, labels)

    assert to_standing(standing_item(BOARD, "ann", Day(20_000), standing)) == standing


def test_an_item_from_before_labels_reads_as_one_without_and_is_written_unchanged() -> None:
    standing = Standing(-7, 5, 3, "", 9, 4)
    item = {
        "pk": {"S": "cup#2024-10-04#2"},
        "sk": {"S": "ann"},
        "points": {"N": "-7"},
        "reached_at": {"N": "5"},
        "events": {"N": "3"},
        "version": {"N": "4"},
        "absolute_sum": {"N": "9"},
    }

    assert to_standing(item) == standing
    written = standing_item(BOARD, "ann", Day(20_000), standing)
    assert {**written, "pk": item["pk"]} == item


EVENT = ScoreEvent("e", "cup", "ann#1", -5, 7, {"country": "DE"})


@pytest.mark.parametrize("entry", [LedgerEntry(EVENT, Source("topic", 1, 2, 3)), LedgerEntry(EVENT, None, added_by=4)])
def test_an_event_reads_back_with_where_it_came_from(entry: LedgerEntry) -> None:
    item = ledger_item(entry, "cup")

    assert to_ledger_entry(item) == entry
    assert to_ledger_entry(item | {"voided_by": {"N": "9"}}) == LedgerEntry(EVENT, entry.source, entry.added_by, 9)


@pytest.mark.parametrize(
    ("added_by", "voided_by", "counts"),
    [(None, None, (True, True, True)), (None, 5, (True, False, False)), (4, None, (False, True, True)),
     (4, 5, (False, False, False)), (4, 6, (False, True, False))],
)  # fmt: skip
def test_an_event_counts_from_its_entry_to_that_of_its_void(
    added_by: int | None, voided_by: int | None, counts: tuple[bool, bool, bool]
) -> None:
    entry = LedgerEntry(EVENT, None, added_by, voided_by)

    assert (entry.counts(3), entry.counts(5), entry.counts()) == counts
