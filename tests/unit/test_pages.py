"""What reads of the cache make of members and scores of a sorted set."""

import pytest
from msgspec.structs import replace

from shared.cache.pages import HEAD_BYTES, to_lines, to_points
from shared.domain.rules import Aggregation, Leaderboard, Order
from shared.domain.standings import Score

CUP = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
SCORES = {
    "small": b"-7",
    "zero": b"0",
    "negative zero": b"-0",
    "the largest": b"-9007199254740991",
    "as some servers write large ones": b"-1e+15",
    "with a point": b"12.0",
}


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("score", SCORES.values(), ids=list(SCORES))
def test_a_line_has_the_points_of_its_score(order: Order, score: bytes) -> None:
    board = replace(CUP, order=order)
    members = [(12).to_bytes(HEAD_BYTES, "big") + "Zoë".encode(), (1 << 40).to_bytes(HEAD_BYTES, "big") + b"u-1"]

    lines = to_lines(board, members, [score, b"3"])

    assert lines == [("Zoë", Score(to_points(board, score), 12)), ("u-1", Score(to_points(board, b"3"), 1 << 40))]
    assert type(lines[0][1].points) is int
