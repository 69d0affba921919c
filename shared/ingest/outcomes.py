"""What a record can become, and the record on its way there."""

from collections.abc import Iterable
from enum import StrEnum
from typing import ClassVar, Final

from msgspec import Struct
from msgspec.structs import replace

from shared.domain.events import ScoreEvent, decode_record
from shared.domain.records import Record
from shared.domain.rejections import Reason, Rejection
from shared.domain.rules import Leaderboard
from shared.truth.items import LedgerEntry

UNTRUSTED_DETAIL: Final = (
    "the record carries its producer's time; message.timestamp.type of the topic must be LogAppendTime: "
    "send the record again once it is"
)


class OutcomeKind(StrEnum):
    """What a record becomes. Each ends as one of the first three, if need be at a later try."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    RETRY = "retry"


class Applied(Struct, frozen=True):
    """The event is in the ledger and the standings, written by this call."""

    kind: ClassVar = OutcomeKind.APPLIED


class Duplicate(Struct, frozen=True):
    """The ledger holds the event already, with the same content."""

    kind: ClassVar = OutcomeKind.DUPLICATE


class Rejected(Struct, frozen=True):
    """The record goes to the dead-letter queue and counts for nothing."""

    rejection: Rejection
    kind: ClassVar = OutcomeKind.REJECTED


class Retry(Struct, frozen=True):
    """The truth, the cache or a queue was out of reach: the trigger delivers the record again."""

    cause: str
    kind: ClassVar = OutcomeKind.RETRY


Outcome = Applied | Duplicate | Rejected | Retry


class Candidate:
    """A record on its way through a call, and its outcome once that is known."""

    __slots__ = (
        "definition",
        "entry",
        "has_wrong_key",
        "leaderboard",
        "outcome",
        "profile",
        "record",
        "refusal",
        "scores_id",
    )

    def __init__(self, record: Record) -> None:
        self.record = record
        self.entry: LedgerEntry | None = None
        self.has_wrong_key = False
        """Whether the record's key is another than its event's: the event counts, but maybe out of order."""
        self.leaderboard: Leaderboard | None = None
        """With the scores that the event counts for; None if the cache is shown nothing of them."""
        self.definition: Leaderboard | None = None
        """The same, also of an archived one."""
        self.scores_id = ""
        """Their id, see `Leaderboard.scores_id`; as if it had not been purged, until the leaderboard is known."""
        self.refusal: Rejection | None = None
        """Why the rules don't admit the event: what it is rejected for unless the ledger holds it."""
        self.outcome: Outcome | None = None
        self.profile: bytes | None = None
        """What the event brings to paint its player with, as it was sent; None if that is nothing."""

    @property
    def event(self) -> ScoreEvent:
        """The event of a record that could be decoded."""
        assert self.entry is not None  # noqa: S101 - asked only of what was decoded
        return self.entry.event

    def name(self, user_id: str) -> None:
        """Put a pseudonym in place of the id of the event's player, who is painted with nothing any more."""
        assert self.entry is not None  # noqa: S101 - asked only of what was decoded
        self.entry = replace(self.entry, event=replace(self.entry.event, user_id=user_id))
        self.profile = None

    @property
    def kind(self) -> OutcomeKind | None:
        """The kind of the outcome; None while it is pending."""
        return None if self.outcome is None else self.outcome.kind

    @property
    def rejection(self) -> Rejection | None:
        """Why the record was rejected, if it was."""
        return self.outcome.rejection if isinstance(self.outcome, Rejected) else None


def outcome_of_known(event: ScoreEvent, existing: ScoreEvent) -> Outcome:
    """The outcome of an event whose id the player's ledger holds already, with `existing`."""
    if event.same_content(existing):
        return Duplicate()
    return Rejected(existing.conflict())


def read(records: Iterable[Record]) -> list[Candidate]:
    """Decode every record. What can't be decoded is rejected; what has no time of the broker's own is refused."""
    candidates = []
    for record in records:
        candidate = Candidate(record)
        try:
            event, candidate.profile = decode_record(record.value)
            candidate.entry = LedgerEntry(event, record.source)
            candidate.scores_id = event.leaderboard_id
            candidate.has_wrong_key = record.key != event.key
            if not record.is_stamped:
                candidate.refusal = Rejection(Reason.UNTRUSTED_TIMESTAMP, UNTRUSTED_DETAIL)
        except Rejection as rejection:
            candidate.outcome = Rejected(rejection)
        candidates.append(candidate)
    return candidates
