"""Gauges and counters as OpenMetrics text (https://prometheus.io/docs/specs/om/open_metrics_spec/)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

from shared.admin.gauges import CacheGauges, TruthGauges
from shared.truth.counters import Noted
from shared.truth.progress import APPLIED, DUPLICATE, KEY_MISMATCH, REJECTED, Position

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_PARTITION: Final = ("topic", "partition")


class Scrape(Struct, frozen=True):
    """One check of everything; None is what could not be read."""

    up: Mapping[str, bool]
    """By dependency."""
    truth: TruthGauges | None
    cache: CacheGauges | None
    dead_letters: int | None

    def collect(self) -> Iterator[Metric]:
        """The families, as prometheus_client's exposition asks for them."""
        up = GaugeMetricFamily(
            "leaderboards_up",
            "1 if the dependency answered this scrape; its series are left out at 0",
            None,
            ["dependency"],
        )
        for name, is_up in self.up.items():
            up.add_metric([name], is_up)
        yield up
        if self.truth is not None:
            yield from _of_positions(self.truth.positions)
            yield from _of_records(self.truth.positions)
            yield from _of_noted(self.truth.noted)
            yield from _of_leaderboards(self.truth)
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


def _of_positions(positions: Sequence[Position]) -> Iterator[Metric]:
    committed = GaugeMetricFamily(
        "leaderboards_committed_offset", "Every record before this offset is settled", None, _PARTITION
    )
    appended = GaugeMetricFamily(
        "leaderboards_committed_timestamp_seconds",
        "When the broker appended the last record that is settled",
        None,
        _PARTITION,
        unit="seconds",
    )
    delay = GaugeMetricFamily(
        "leaderboards_commit_delay_seconds",
        "From when the broker appended the last record that is settled until that was recorded",
        None,
        _PARTITION,
        unit="seconds",
    )
    for one in positions:
        labels = [one.topic, str(one.partition)]
        committed.add_metric(labels, one.next_offset)
        appended.add_metric(labels, one.appended_at_ms / 1000)
        if one.recorded_at_ms is not None:
            delay.add_metric(labels, max(0, one.recorded_at_ms - one.appended_at_ms) / 1000)
    yield from (committed, appended, delay)


def _of_records(positions: Sequence[Position]) -> Iterator[Metric]:
    settled = CounterMetricFamily(
        "leaderboards_events", "Events that were applied, or were duplicates", labels=[*_PARTITION, "result"]
    )
    rejected = CounterMetricFamily(
        "leaderboards_events_rejected", "Records that went to the dead-letter queue", labels=[*_PARTITION, "reason"]
    )
    mismatched = CounterMetricFamily(
        "leaderboards_key_mismatches",
        "Events whose record had another key than that of its leaderboard and player, whatever became of them",
        labels=_PARTITION,
    )
    for one in positions:
        labels = [one.topic, str(one.partition)]
        mismatched.add_metric(labels, one.counts.get(KEY_MISMATCH, 0))
        for result in (APPLIED, DUPLICATE):
            settled.add_metric([*labels, result], one.counts.get(result, 0))
        for reason, counter in REJECTED.items():
            rejected.add_metric([*labels, reason], one.counts.get(counter, 0))
    yield from (settled, rejected, mismatched)


def _of_noted(noted: Noted) -> Iterator[Metric]:
    lag = GaugeMetricFamily(
        "leaderboards_partition_lag_records",
        "Offsets from what was settled to the end of the partition, at the last check",
        None,
        _PARTITION,
        unit="records",
    )
    looked = GaugeMetricFamily(
        "leaderboards_partition_lag_timestamp_seconds",
        "When the lag of the topic was last checked",
        None,
        ["topic"],
        unit="seconds",
    )
    if noted.lag is not None:
        looked.add_metric([noted.topic], noted.lag.at_ms / 1000)
        for partition, records in noted.lag.records.items():
            lag.add_metric([noted.topic, str(partition)], records)
    repaired = CounterMetricFamily(
        "leaderboards_entries_repaired",
        "Entries of the cache that differed from the truth and were repaired",
        noted.repaired,
    )
    yield from (lag, looked, repaired)
    if noted.archived_owing is not None:
        yield GaugeMetricFamily(
            "leaderboards_archived_owing",
            "Deleted leaderboards that still owe a result or a notification, at the last run of closing",
            noted.archived_owing,
        )


def _of_leaderboards(truth: TruthGauges) -> Iterator[Metric]:
    closed = GaugeMetricFamily(
        "leaderboards_sealed_timestamp_seconds",
        "The end of the last day that is closed",
        None,
        ["leaderboard"],
        "seconds",
    )
    due = GaugeMetricFamily(
        "leaderboards_windows_due", "Windows whose days are closed and that have no result yet", None, ["leaderboard"]
    )
    for leaderboard in truth.leaderboards:
        if leaderboard.sealed_through is not None:
            closed.add_metric([leaderboard.id], leaderboard.calendar.day_end_ms(leaderboard.sealed_through) / 1000)
        due.add_metric([leaderboard.id], truth.due[leaderboard.id])
    truncated = GaugeMetricFamily(
        "leaderboards_truncated", "1 if there are leaderboards past those that are shown", truth.truncated
    )
    yield from (closed, due, truncated)


def _of_cache(cache: CacheGauges) -> Iterator[Metric]:
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
