"""What watchers cost: the table of docs/scale.md is the one that the formulas make."""

from pathlib import Path

from infra.watching import BUSY, QUIET, WATCHERS, WAYS, by_edge, by_events, by_polling, by_waiting, table

SCALE = (Path(__file__).parents[2] / "docs" / "scale.md").read_text()


def test_the_document_has_the_table_that_the_formulas_make() -> None:
    assert table() in SCALE


def test_every_way_costs_more_for_more_watchers_and_for_a_board_that_changes_more() -> None:
    for way in WAYS.values():
        assert way(BUSY, WATCHERS[0]) < way(BUSY, WATCHERS[1]) < way(BUSY, WATCHERS[2])
        assert all(way(QUIET, count) < way(BUSY, count) for count in WATCHERS)


def test_a_client_that_polls_costs_what_the_table_of_reads_says() -> None:
    """720 requests an hour of 5 ms, without what is sent: 0.0009 US$."""
    without_data = by_polling(QUIET, 1) - (QUIET.polls * 400 + QUIET.news * 15_877) * 0.09e-9
    assert round(without_data / 730, 4) == 0.0009
    assert round(by_waiting(QUIET, 1) / 730, 2) == 0.06


def test_what_reaches_the_api_behind_a_cache_does_not_grow_with_the_crowd() -> None:
    cost_of_one = (by_edge(BUSY, 1_000_000) - by_edge(BUSY, 500_000)) / 500_000
    assert round(by_edge(BUSY, 10_000) - 10_000 * cost_of_one) == round(by_edge(BUSY, 10**6) - 10**6 * cost_of_one)
    assert round(by_edge(BUSY, 10**6) - 10**6 * cost_of_one) == 67


def test_pushing_is_a_tenth_of_polling_where_little_changes() -> None:
    assert 8 < by_edge(QUIET, 10**6) / by_events(QUIET, 10**6) < 12
