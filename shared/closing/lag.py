"""What the topic looks like, noted for a scrape and for `/health`: the API can't ask the broker itself."""

from collections.abc import Callable

from shared.messaging.topic import Topic, TopicUnavailable, wrong_settings
from shared.telemetry import logger
from shared.truth.commits import Unavailable
from shared.truth.counters import FunctionCounters, TopicLag, TopicSettings
from shared.truth.progress import Progress


class Lag:
    """Looks at a topic and at what is committed of it."""

    def __init__(
        self, topic: Topic, progress: Progress, telemetry: FunctionCounters, now_ms: Callable[[], int]
    ) -> None:
        self._topic = topic
        self._progress = progress
        self._telemetry = telemetry
        self._now_ms = now_ms

    def note(self) -> None:
        """Note the lag of each partition as of now; where that can't be had, the last one stands, with its time."""
        now_ms = self._now_ms()
        try:
            committed = {one.partition: one.next_offset for one in self._progress.positions(self._topic.name)}
            # the ends come after what is committed, so that what is appended meanwhile is rather shown than hidden
            lags = {
                one.partition: max(0, one.newest - committed.get(one.partition, one.first))
                for one in self._topic.reach(now_ms)
            }
            self._telemetry.note_lag(self._topic.name, TopicLag(now_ms, lags))
        except (TopicUnavailable, Unavailable) as error:
            logger.warning("lag not noted", extra={"error": str(error)})

    def check_settings(self) -> list[str]:
        """Look at the topic's settings and note what is wrong with them; where they can't be had, the last look stands.

        Returns:
            What is wrong, in words; nothing if that is not known.
        """
        try:
            wrong = wrong_settings(self._topic.settings())
            self._telemetry.note_settings(self._topic.name, TopicSettings(self._now_ms(), wrong))
        except (TopicUnavailable, Unavailable) as error:
            logger.warning("settings of the topic not noted", extra={"error": str(error)})
            return []
        return wrong
