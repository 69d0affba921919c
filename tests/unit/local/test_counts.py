"""Counts of records as the dashboard and `make status` show them."""

import pytest

from functions.api.exposition import Scrape, to_text
from infra.local.counts import Counts, fetch, parse
from shared.admin.gauges import DEAD_LETTERS, TruthGauges
from shared.domain.rejections import Reason
from shared.messaging.queues import Depth
from shared.truth.counters import Noted
from shared.truth.progress import APPLIED, DUPLICATE, REJECTED, Position

UP = {"dynamodb": True, "cache": True, "queues": True}


def position(partition: int, **counts: int) -> Position:
    return Position("score-events", partition, 9, 1_000, 2_000, counts=counts)


def test_counts_are_those_of_all_partitions_as_the_api_tells_them() -> None:
    unknown, late = REJECTED[Reason.UNKNOWN_LEADERBOARD], REJECTED[Reason.TOO_LATE]
    positions = [position(0, **{APPLIED: 7, unknown: 371}), position(1, **{APPLIED: 1_200, DUPLICATE: 2, late: 0})]
    truth = TruthGauges(positions, Noted("score-events", 0, None), (), truncated=False, due={})

    counts = parse(to_text(Scrape(UP, truth, None, {DEAD_LETTERS: Depth(371, 0, None)})).decode())

    assert counts == Counts(1_207, 2, {"unknown_leaderboard": 371}, 371)
    assert str(counts) == ("1,207 applied · 2 duplicate · 371 rejected (unknown_leaderboard 371) · dead letters 371")
    assert not counts.is_clean


@pytest.mark.parametrize(("letters", "shown"), [(0, "0"), (None, "unknown")])
def test_what_was_never_refused_is_shown_as_such(letters: int | None, shown: str) -> None:
    counts = Counts(5, 1, {}, letters)

    assert str(counts) == f"5 applied · 1 duplicate · 0 rejected · dead letters {shown}"
    assert counts.is_clean


def test_counts_that_the_api_leaves_out_are_not_shown_as_none() -> None:
    assert (
        parse(to_text(Scrape(UP | {"dynamodb": False}, None, None, {DEAD_LETTERS: Depth(3, 0, None)})).decode()) is None
    )


def test_an_api_that_is_away_has_no_counts() -> None:
    assert fetch("http://127.0.0.1:1", 1) is None
