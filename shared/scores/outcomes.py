"""What is asked of a score event over HTTP, and what became of it. Loads no Kafka client."""

from msgspec import Struct

from shared.domain.events import ScoreEvent
from shared.scores.errors import BrokerUnavailable, EventRejected


class Submission(Struct, frozen=True):
    """An event as a client sends it."""

    event: ScoreEvent
    is_timed: bool
    """Whether its time is the client's. If not, an event of this id that is in the ledger, or ahead of it in the batch,
    gives it its time, so that asking again stays harmless."""


Outcome = ScoreEvent | EventRejected | BrokerUnavailable
"""An event that Kafka or the ledger has, as it counts; or why it was not taken."""
