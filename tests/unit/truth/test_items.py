"""Standings as DynamoDB has them."""

from shared.domain.calendar import Day
from shared.domain.labels import Label
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.standings import Standing
from shared.truth.items import standing_item, to_standing

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
