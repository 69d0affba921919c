"""How far ingest is behind the topic, recorded for metrics and `GET /health`: the API can't ask the broker itself."""

from collections.abc import Callable

from shared.messaging.topic import Topic, TopicUnavailable, wrong_settings
from shared.telemetry import logger
from shared.truth.commits import Unavailable
from shared.truth.counters import FunctionCounters, TopicLag, TopicSettings
from shared.truth.progress import Progress


class Lag:
    """Compares a topic with what is committed of it, and its settings with what they must be."""

    def __init__(
        self, topic: Topic, progress: Progress, telemetry: FunctionCounters, now_ms: Callable[[], int]
    ) -> None:
        self._topic = topic
        self._progress = progress
        self._telemetry = telemetry
        self._now_ms = now_ms

    def record(self) -> None:
        """Record the lag of each partition; if it can't be read, the last one stays, with its time."""
        now_ms = self._now_ms()
        try:
            committed = {one.partition: one.next_offset for one in self._progress.positions(self._topic.name)}
            # the ends are read last, so that records appended meanwhile count as lag
            lags = {
                one.partition: max(0, one.newest - committed.get(one.partition, one.first))
                for one in self._topic.reach(now_ms)
            }
            self._telemetry.record_lag(self._topic.name, TopicLag(now_ms, lags))
        except (TopicUnavailable, Unavailable) as error:
            logger.warning("lag not recorded", extra={"error": str(error)})

    def check_settings(self) -> list[str]:
        """Check the topic's settings and record what is wrong; if they can't be read, the last check stands.

        Returns:
            What is wrong, in words; nothing if that is not known.
        """
        try:
            wrong = wrong_settings(self._topic.settings())
            self._telemetry.record_settings(self._topic.name, TopicSettings(self._now_ms(), wrong))
        except (TopicUnavailable, Unavailable) as error:
            logger.warning("topic settings not recorded", extra={"error": str(error)})
            return []
        return wrong
