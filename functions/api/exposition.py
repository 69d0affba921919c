"""Gauges as OpenMetrics text (https://prometheus.io/docs/specs/om/open_metrics_spec/)."""

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

from shared.domain.windows import day_end_ms
from shared.pipeline.gauges import CacheGauges, TruthGauges

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


class Scrape(Struct, frozen=True):
    """One look at everything; None is what could not be had."""

    up: Mapping[str, bool]
    """By dependency."""
    truth: TruthGauges | None
    cache: CacheGauges | None
    dead_letters: int | None

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The families, as prometheus_client's exposition asks for them."""
        up = GaugeMetricFamily(
            "leaderboards_up",
            "1 if the dependency answered this scrape; what it tells is left out at 0",
            None,
            ["dependency"],
        )
        for name, is_up in self.up.items():
            up.add_metric([name], is_up)
        yield up
        if self.truth is not None:
            yield from _of_truth(self.truth)
        if self.cache is not None:
            yield from _of_cache(self.cache)
        if self.dead_letters is not None:
            yield GaugeMetricFamily(
                "leaderboards_dead_letters",
                "Records waiting on the dead-letter queue, approximately",
                self.dead_letters,
            )


def to_text(scrape: Scrape) -> bytes:
    """OpenMetrics text."""
    return generate_latest(scrape)  # type: ignore[no-untyped-call, no-any-return]


def _of_truth(truth: TruthGauges) -> Iterator[GaugeMetricFamily]:
    partition = ["topic", "partition"]
    committed = GaugeMetricFamily(
        "leaderboards_committed_offset", "Every record before this offset is settled", None, partition
    )
    appended = GaugeMetricFamily(
        "leaderboards_committed_timestamp_seconds",
        "When the broker appended the last record that is settled",
        None,
        partition,
        unit="seconds",
    )
    for one in truth.positions:
        labels = [one.topic, str(one.partition)]
        committed.add_metric(labels, one.next_offset)
        appended.add_metric(labels, one.appended_at_ms / 1000)
    closed = GaugeMetricFamily(
        "leaderboards_closed_timestamp_seconds",
        "The end of the last day that is closed",
        None,
        ["leaderboard"],
        "seconds",
    )
    due = GaugeMetricFamily(
        "leaderboards_windows_due", "Windows whose days are closed and that have no result yet", None, ["leaderboard"]
    )
    for leaderboard in truth.leaderboards:
        if leaderboard.closed_through is not None:
            closed.add_metric([leaderboard.id], day_end_ms(leaderboard.closed_through) / 1000)
        due.add_metric([leaderboard.id], truth.due[leaderboard.id])
    truncated = GaugeMetricFamily(
        "leaderboards_truncated", "1 if there are leaderboards past those that are shown", truth.truncated
    )
    yield from (committed, appended, closed, due, truncated)


def _of_cache(cache: CacheGauges) -> Iterator[GaugeMetricFamily]:
    complete = GaugeMetricFamily(
        "leaderboards_cache_complete", "1 if the live windows hold all of the truth", None, ["leaderboard"]
    )
    for leaderboard_id, is_complete in cache.complete.items():
        complete.add_metric([leaderboard_id], is_complete)
    players = GaugeMetricFamily(
        "leaderboards_window_players", "Players in a window that is open now", None, ["leaderboard", "window"]
    )
    for (leaderboard_id, kind), total in cache.players.items():
        players.add_metric([leaderboard_id, kind], total)
    yield from (complete, players)
