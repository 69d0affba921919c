"""Records on their way through an ingest call, and what becomes of each."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from shared.domain.events import ScoreEvent, decode
from shared.domain.records import Record
from shared.domain.rejections import Reason, Rejection
from shared.domain.rules import Leaderboard
from shared.truth.items import LedgerEntry

UNTRUSTED_DETAIL: Final = (
    "the record carries its producer's time; message.timestamp.type of the topic must be LogAppendTime: "
    "send the record again once it is"
)


class Disposition(StrEnum):
    """What became of a record. Each ends as one of the first three, if need be at a later try."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    FAILED = "failed"
    """Not now: truth, cache or queues were out of reach. The trigger hands it over again."""


class Candidate:
    """A record and, once it is known, its disposition."""

    __slots__ = ("disposition", "entry", "failure", "leaderboard", "record", "refusal", "rejection")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.entry: LedgerEntry | None = None
        self.leaderboard: Leaderboard | None = None
        self.refusal: Rejection | None = None
        """Why the rules admit its event no more: what it is rejected for if the ledger doesn't hold it."""
        self.disposition: Disposition | None = None
        self.rejection: Rejection | None = None
        self.failure: str | None = None

    @property
    def event(self) -> ScoreEvent:
        """The event of a record that could be read."""
        assert self.entry is not None  # noqa: S101 - asked only of what was read
        return self.entry.event

    def reject(self, rejection: Rejection) -> None:
        """Its way ends on the dead-letter queue."""
        self.disposition, self.rejection = Disposition.REJECTED, rejection

    def fail(self, failure: str) -> None:
        """It has to come again, and is judged anew then: it is not on the dead-letter queue yet."""
        self.disposition, self.failure, self.rejection = Disposition.FAILED, failure, None


def read(records: Iterable[Record]) -> list[Candidate]:
    """Read every record; what can't be read is rejected, and refused what can't be judged by when it was appended."""
    candidates = []
    for record in records:
        candidate = Candidate(record)
        try:
            candidate.entry = LedgerEntry(decode(record.value), record.source)
            if not record.is_stamped:
                candidate.refusal = Rejection(Reason.UNTRUSTED_TIMESTAMP, UNTRUSTED_DETAIL)
        except Rejection as rejection:
            candidate.reject(rejection)
        candidates.append(candidate)
    return candidates
