"""Exports are sorted and folded by a second implementation: it has to agree with the plain one below."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.events import POINTS_MAX
from shared.domain.rules import Aggregation, Leaderboard, Order
from shared.domain.standings import Standing
from shared.domain.tiers import Tier, TierRule
from shared.domain.windows import Day
from shared.pipeline.export_rows import COLUMNS, LINES_PER_CHUNK, RankedRows, encode
from shared.truth.export_jobs import ExportFormat

DAY_MS = 86_400_000
USERS = ["ann", "bob", 'quo"te', "com,ma", "semi;colon", " space ", "ünï", "\U0001f600", "￿", "=1+1", "Ann"]
TIERS = (Tier("gold", TierRule.TOP_N, 1), Tier("silver", TierRule.TOP_PERCENT, 5_000))

line = st.tuples(
    st.sampled_from([20_000, 20_001, 20_002]), st.sampled_from(USERS), st.integers(-3, 3), st.integers(0, 2)
)


def board(aggregation: Aggregation, order: Order) -> Leaderboard:
    return Leaderboard(id="cup", name="Cup", aggregation=aggregation, order=order, tiers=TIERS)


@given(
    aggregation=st.sampled_from(Aggregation),
    order=st.sampled_from(Order),
    lines=st.lists(line, unique_by=lambda one: one[:2], max_size=33),
    export_format=st.sampled_from(ExportFormat),
    random=st.randoms(use_true_random=False),
)
def test_an_export_is_the_ranking_whatever_order_the_truth_is_read_in(
    aggregation: Aggregation, order: Order, lines: list[Any], export_format: ExportFormat, random: Any
) -> None:
    standings = [(Day(day), user, Standing(points, day * DAY_MS + at, 1)) for day, user, points, at in lines]
    random.shuffle(standings)

    rows = RankedRows(board(aggregation, order), standings)
    content = b"".join(chunk for chunk, _ in encode(rows, export_format)).decode()

    assert read(content, export_format) == expected(aggregation, order, lines)
    assert len(rows) == len({user for _, user, _, _ in lines})
    assert rows.sum_of_points == sum(row[2] for row in expected(aggregation, order, lines))


def read(content: str, export_format: ExportFormat) -> list[tuple[Any, ...]]:
    if export_format is ExportFormat.NDJSON:
        found = [json.loads(one) for one in content.splitlines()]
        assert all(tuple(one) == COLUMNS for one in found)
        return [(one["rank"], one["user_id"], one["score"], one["reached_at"], one["tier"]) for one in found]
    header, *rows = csv.reader(io.StringIO(content, newline=""))
    assert tuple(header) == COLUMNS
    return [(int(rank), user, int(score), at, tier or None) for rank, user, score, at, _, tier in rows]


def expected(aggregation: Aggregation, order: Order, lines: list[Any]) -> list[tuple[Any, ...]]:
    """By plain words: each player's score over all days, the first place to whom no one is better."""
    scores: dict[str, tuple[int, int]] = {}
    for user in {user for _, user, _, _ in lines}:
        parts = sorted((day * DAY_MS + at, points) for day, name, points, at in lines if name == user)
        if aggregation is Aggregation.SUM:
            scores[user] = (sum(points for _, points in parts), parts[-1][0])
        elif aggregation is Aggregation.LATEST:
            scores[user] = (parts[-1][1], parts[-1][0])
        else:
            best = (max if order is Order.DESC else min)(points for _, points in parts)
            scores[user] = (best, min(at for at, points in parts if points == best))
    ranked = sorted(
        scores, key=lambda user: (scores[user][0] * (-1 if order is Order.DESC else 1), scores[user][1], user.encode())
    )
    rows: list[tuple[Any, ...]] = []
    for place, user in enumerate(ranked, start=1):
        at = datetime.fromtimestamp(scores[user][1] / 1000, UTC)
        tier = "gold" if place == 1 else "silver" if place <= -(-len(ranked) // 2) else None
        rows.append((place, user, scores[user][0], f"{at:%Y-%m-%dT%H:%M:%S}.{scores[user][1] % 1000:03d}Z", tier))
    return rows


@pytest.mark.parametrize("order", Order)
def test_scores_are_exact_at_the_ends_of_their_range(order: Order) -> None:
    points = [POINTS_MAX, POINTS_MAX - 1, 0, 1 - POINTS_MAX, -POINTS_MAX]
    lines = [(Day(1), f"u{number}", Standing(one, 5, 1)) for number, one in enumerate(points)]

    shown = [row.score for row in RankedRows(board(Aggregation.SUM, order), lines)]

    assert shown == sorted(points, reverse=order is Order.DESC)


@pytest.mark.parametrize("export_format", ExportFormat)
def test_an_empty_window_makes_a_file_without_rows(export_format: ExportFormat) -> None:
    content = b"".join(chunk for chunk, _ in encode(RankedRows(board(Aggregation.SUM, Order.DESC), []), export_format))

    assert read(content.decode(), export_format) == []


@pytest.mark.parametrize("count", [LINES_PER_CHUNK - 1, LINES_PER_CHUNK, LINES_PER_CHUNK + 1])
@pytest.mark.parametrize("export_format", ExportFormat)
def test_no_row_is_lost_between_chunks(export_format: ExportFormat, count: int) -> None:
    lines = [(Day(1), f"u{number}", Standing(number, 5, 1)) for number in range(count)]
    chunks = list(encode(RankedRows(board(Aggregation.SUM, Order.ASC), lines), export_format))

    rows = read(b"".join(chunk for chunk, _ in chunks).decode(), export_format)

    assert [row[1] for row in rows] == [f"u{number}" for number in range(count)]
    assert sum(number for _, number in chunks) == count
