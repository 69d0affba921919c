"""Gauges and counters as OpenMetrics text (https://prometheus.io/docs/specs/om/open_metrics_spec/)."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from msgspec import Struct
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

from shared.admin.gauges import DEAD_LETTERS, CacheGauges, TruthGauges
from shared.cache.answer_counts import BOUNDS_S, Answers
from shared.messaging.queues import Depth
from shared.reads.answers import RankingSource
from shared.truth.counters import ERRORS, REFUSED, THROTTLED, Noted, Run
from shared.truth.progress import APPLIED, DUPLICATE, KEY_MISMATCH, REJECTED, Position

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_PARTITION: Final = ("topic", "partition")
PARTITIONS_MAX: Final = 100
"""Partitions that are shown one by one, the first ones by number; the others are shown together, as `others`."""
_OTHERS: Final = "others"


class Scrape(Struct, frozen=True):
    """One check of everything; None is what could not be read."""

    up: Mapping[str, bool]
    """By dependency."""
    truth: TruthGauges | None
    cache: CacheGauges | None
    queues: Mapping[str, Depth] | None
    """By name."""

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
            rows = _rows(self.truth.positions)
            yield from _of_positions(rows)
            yield from _of_records(rows)
            yield from _of_noted(self.truth.noted)
            yield from _of_functions(self.truth.noted)
            yield from _of_runs(self.truth.noted)
            yield from _of_leaderboards(self.truth)
        if self.cache is not None:
            yield from _of_cache(self.cache)
        if self.queues is not None:
            yield from _of_queues(self.queues)


def to_text(scrape: Scrape) -> bytes:
    """OpenMetrics text."""
    return generate_latest(scrape)  # type: ignore[no-untyped-call, no-any-return]


class _Row(Struct, frozen=True):
    """One partition, or all that are shown together."""

    labels: tuple[str, str]
    next_offset: int
    appended_at_ms: int
    delay_ms: int | None
    counts: Mapping[str, int]


def _rows(positions: Sequence[Position]) -> list[_Row]:
    """Of the others what an alarm would see of any of them: sums, the oldest append, the longest delay."""
    rows = [
        _Row(
            (one.topic, str(one.partition)),
            one.next_offset,
            one.appended_at_ms,
            None if one.recorded_at_ms is None else max(0, one.recorded_at_ms - one.appended_at_ms),
            one.counts,
        )
        for one in sorted(positions, key=lambda one: one.partition)
    ]
    shown, others = rows[:PARTITIONS_MAX], rows[PARTITIONS_MAX:]
    if others:
        counts: Counter[str] = Counter()
        for one in others:
            counts.update(one.counts)
        shown.append(
            _Row(
                (others[0].labels[0], _OTHERS),
                sum(one.next_offset for one in others),
                min(one.appended_at_ms for one in others),
                max((one.delay_ms for one in others if one.delay_ms is not None), default=None),
                counts,
            )
        )
    return shown


def _of_positions(rows: Sequence[_Row]) -> Iterator[Metric]:
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
    for one in rows:
        committed.add_metric(one.labels, one.next_offset)
        appended.add_metric(one.labels, one.appended_at_ms / 1000)
        if one.delay_ms is not None:
            delay.add_metric(one.labels, one.delay_ms / 1000)
    yield from (committed, appended, delay)


def _of_records(rows: Sequence[_Row]) -> Iterator[Metric]:
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
    for one in rows:
        mismatched.add_metric(one.labels, one.counts.get(KEY_MISMATCH, 0))
        for result in (APPLIED, DUPLICATE):
            settled.add_metric([*one.labels, result], one.counts.get(result, 0))
        for reason, counter in REJECTED.items():
            rejected.add_metric([*one.labels, reason], one.counts.get(counter, 0))
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
        by_partition = sorted(noted.lag.records.items())
        for partition, records in by_partition[:PARTITIONS_MAX]:
            lag.add_metric([noted.topic, str(partition)], records)
        if len(by_partition) > PARTITIONS_MAX:
            lag.add_metric([noted.topic, _OTHERS], sum(records for _, records in by_partition[PARTITIONS_MAX:]))
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


def _of_functions(noted: Noted) -> Iterator[Metric]:
    errors = CounterMetricFamily(
        "leaderboards_function_errors",
        "Calls of a function that failed, and export jobs that did; not those that were killed or ran out of time",
        labels=["function"],
    )
    refused = CounterMetricFamily(
        "leaderboards_cache_refused", "Writes that the cache answered with an error", labels=["function"]
    )
    throttled = CounterMetricFamily(
        "leaderboards_writes_throttled", "Items whose write DynamoDB throttled, of events", labels=["table"]
    )
    for family, counters in ((errors, ERRORS), (refused, REFUSED), (throttled, THROTTLED)):
        for label, counter in counters.items():
            family.add_metric([label], noted.counts.get(counter, 0))
        yield family
    if noted.settings is not None:
        yield GaugeMetricFamily(
            "leaderboards_topic_settings_wrong", "Settings of the topic that are wrong", len(noted.settings.wrong)
        )


def _of_runs(noted: Noted) -> Iterator[Metric]:
    ended = GaugeMetricFamily(
        "leaderboards_run_timestamp_seconds", "When a schedule's last run ended", None, ["run"], "seconds"
    )
    unchecked = GaugeMetricFamily(
        "leaderboards_run_unchecked", "Leaderboards that a schedule's last run had no time for", None, ["run"]
    )
    for run, note in noted.runs.items():
        ended.add_metric([run], note.at_ms / 1000)
        unchecked.add_metric([run], note.unchecked)
    yield from (ended, unchecked)
    closing = noted.runs.get(Run.CLOSE)
    if closing is None:
        return
    yield GaugeMetricFamily(
        "leaderboards_closing_delay_seconds",
        "How long the longest of what is due has waited to be closed",
        closing.delay_ms / 1000,
        unit="seconds",
    )
    blocked = GaugeMetricFamily(
        "leaderboards_closing_blocked", "Days and windows that are due and cannot be closed", None, ["cause"]
    )
    for cause, count in closing.blocked.items():
        blocked.add_metric([cause], count)
    yield blocked
    yield GaugeMetricFamily("leaderboards_records_lost", "1 while a loss of records is recorded", closing.is_lost)


def _of_queues(queues: Mapping[str, Depth]) -> Iterator[Metric]:
    messages = GaugeMetricFamily(
        "leaderboards_queue_messages",
        "Messages on a queue, approximately; those of a queue -given-up were handed out too often",
        None,
        ["queue", "state"],
    )
    for name, depth in queues.items():
        messages.add_metric([name, "waiting"], depth.waiting)
        messages.add_metric([name, "in_flight"], depth.in_flight)
    yield messages
    yield GaugeMetricFamily(
        "leaderboards_dead_letters",
        "Records waiting on the dead-letter queue, approximately",
        queues[DEAD_LETTERS].waiting,
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
    yield from _of_servers(cache)
    yield from _of_answers(cache.answers)
    yield GaugeMetricFamily("leaderboards_waiting_clients", "Clients that wait for a change now", cache.waits)
    yield GaugeMetricFamily(
        "leaderboards_waiting_clients_limit", "How many clients may wait for a change at a time", cache.waits_max
    )


def _of_answers(answers: Answers) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "leaderboards_requests",
        "Requests that the API answered, by the class of the status",
        labels=["route", "status"],
    )
    durations = HistogramMetricFamily(
        "leaderboards_request_duration_seconds",
        "What requests took in the function, long polls aside",
        labels=["route", "status"],
        unit="seconds",
    )
    for labels, found in answers.by_route.items():
        at_most = [*accumulate(found.buckets)]
        requests.add_metric(labels, at_most[-1] + found.waited)
        bounds = [*map(str, BOUNDS_S), "+Inf"]
        durations.add_metric(labels, [*zip(bounds, at_most, strict=True)], found.seconds)
    sources = CounterMetricFamily(
        "leaderboards_rankings_read",
        "Rankings and places of players that were answered, by their source",
        labels=["source"],
    )
    for source in RankingSource:
        sources.add_metric([source], answers.by_source.get(source, 0))
    yield from (requests, durations, sources)


def _of_servers(cache: CacheGauges) -> Iterator[Metric]:
    used = GaugeMetricFamily(
        "leaderboards_cache_used_bytes", "Memory of the cache that counts against its limit", None, ["server"], "bytes"
    )
    limit = GaugeMetricFamily(
        "leaderboards_cache_limit_bytes",
        "Memory that the cache may use; without a limit it is left out",
        None,
        ["server"],
        "bytes",
    )
    cpu = CounterMetricFamily(
        "leaderboards_cache_cpu_seconds",
        "What the cache's one busy thread has worked",
        labels=["server"],
        unit="seconds",
    )
    for name, load in cache.loads.items():
        used.add_metric([name], load.used_bytes)
        if load.limit_bytes:
            limit.add_metric([name], load.limit_bytes)
        cpu.add_metric([name], load.cpu_seconds)
    yield from (used, limit, cpu)
