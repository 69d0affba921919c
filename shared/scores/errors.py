"""Why a score that came over HTTP is not taken. Loads no Kafka client, so that the API can name them at its start."""

from typing import Final

from shared.domain.rejections import Reason, Rejection

_FIELDS: Final = {
    Reason.TOO_LATE: "occurredAt",
    Reason.FROM_THE_FUTURE: "occurredAt",
    Reason.CONFLICTING_DUPLICATE: "eventId",
}


class EventRejected(Exception):
    """Ingest would reject the event; it was not sent. `field` is what the client wrote, where one is the cause."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(f"{rejection.reason}: {rejection.detail}")
        self.reason = rejection.reason
        self.field = _FIELDS.get(rejection.reason)


class EventConflict(EventRejected):
    """The player's ledger holds the event's id with other content."""


class BrokerUnavailable(Exception):
    """Kafka did not acknowledge the record in time. It may have it: the same event id again is safe."""
