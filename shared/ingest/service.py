"""One ingest call: records of the topic into ledger, standings and live windows, each exactly once."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from shared.domain.records import Record
from shared.domain.rejections import Reason, Rejection
from shared.domain.rules import Leaderboard
from shared.ingest import outcomes
from shared.ingest.committer import Committer
from shared.ingest.letters import Letters
from shared.ingest.outcomes import Candidate, OutcomeKind, Retry, read
from shared.ingest.profiles import EventProfiles
from shared.ingest.projector import Projector
from shared.lookups.leaderboards import Leaderboards
from shared.lookups.pseudonyms import Pseudonyms
from shared.messaging.dead_letters import DeadLetterQueue, RejectedRecord
from shared.messaging.queues import QueueUnavailable
from shared.parallel import RunParallel
from shared.truth.commits import Unavailable
from shared.truth.progress import APPLIED, DUPLICATE, REJECTED, Position, Progress
from shared.truth.receipts import Receipts

_TIMED: Final = (Reason.TOO_LATE, Reason.LEADERBOARD_ARCHIVED)
"""Refusals of a record for its append time."""


class Ingest:
    """Commits first and projects second, so that a crash in between leaves nothing that a redelivery doesn't heal."""

    def __init__(
        self,
        *,
        leaderboards: Leaderboards,
        committer: Committer,
        projector: Projector,
        dead_letters: DeadLetterQueue,
        letters: Letters,
        profiles: EventProfiles,
        receipts: Receipts,
        pseudonyms: Pseudonyms,
        progress: Progress,
        run_parallel: RunParallel,
        now_ms: Callable[[], int],
    ) -> None:
        self._leaderboards = leaderboards
        self._committer = committer
        self._projector = projector
        self._dead_letters = dead_letters
        self._letters = letters
        self._profiles = profiles
        self._receipts = receipts
        self._pseudonyms = pseudonyms
        self._progress = progress
        self._run_parallel = run_parallel
        self._now_ms = now_ms

    def ingest(self, records: Iterable[Record], has_time: Callable[[], bool] = lambda: True) -> list[Candidate]:
        """Process records, those of one partition in the order of their offsets.

        1. Decode: what can't be decoded is rejected.
        2. Validate by the rules of the leaderboard, whose rules are locked before its first event. A late record that
           redrive sent again is validated by the time at which the broker appended it at first.
        3. Commit to ledger and standings, in rounds of one read and one write.
        4. Settle what the rules refuse: a duplicate if the ledger holds it, else rejected.
        5. Project the standings to the cache, or queue their players for repair.
        6. Keep the profiles that events brought which count, the newest of each player.
        7. Send what is rejected to the dead-letter queue, and register it.
        8. Record how far each partition is done.

        Args:
            records: of any partitions.
            has_time: whether this call may go on committing; what is left when it says no has to come again.

        Returns:
            A candidate for each record, in their order, each with its outcome.
        """
        candidates = read(records)  # 1
        self._admit(candidates)  # 2
        standings = self._committer.commit(candidates, has_time)  # 3
        for key, touched in self._committer.settle_refused(candidates).items():  # 4
            standings[key] = standings.get(key, {}) | touched
        leaderboards = {one.scores_id: one.leaderboard for one in candidates if one.leaderboard is not None}
        for scores_id in self._projector.project(leaderboards, standings):  # 5
            _fail_unprojected(candidates, scores_id)
        self._profiles.keep(candidates)  # 6
        self._dead_letter(candidates)  # 7
        self._record_progress(candidates)  # 8
        return candidates

    def _admit(self, candidates: Sequence[Candidate]) -> None:
        by_leaderboard: dict[str, list[Candidate]] = {}
        for candidate in candidates:
            if candidate.outcome is None:
                by_leaderboard.setdefault(candidate.event.leaderboard_id, []).append(candidate)
        for leaderboard_id, members in by_leaderboard.items():
            try:
                leaderboard = self._leaderboards.find(leaderboard_id)
                if leaderboard is not None and leaderboard.pseudonyms:
                    leaderboard = self._name(leaderboard, members)
                refusals = _validate(leaderboard, members)
                if any(refusals):  # nothing is refused by a remembered definition
                    leaderboard = self._leaderboards.read(leaderboard_id)
                    if leaderboard is not None and leaderboard.pseudonyms:
                        leaderboard = self._name(leaderboard, members)
                    refusals = self._readmit(leaderboard, members, _validate(leaderboard, members))
                if leaderboard is not None and not all(refusals):
                    leaderboard = self._leaderboards.lock_rules(leaderboard)
                    if leaderboard is None:
                        raise Unavailable(f"the rules of {leaderboard_id} have just changed")
                for candidate, refusal in zip(members, refusals, strict=True):
                    if candidate.outcome is None:
                        _admitted(candidate, leaderboard, refusal)
            except Unavailable as unavailable:
                for candidate in members:
                    candidate.outcome = Retry(str(unavailable))

    def _name(self, leaderboard: Leaderboard, candidates: Sequence[Candidate]) -> Leaderboard:
        """Put the pseudonyms of players in place of their ids; events of who is still being moved come again."""
        users = {one.event.user_id for one in candidates}
        names = self._pseudonyms.of_all(leaderboard, users)
        moved = {leaderboard.moving} & {*names.values(), *users}
        if moved:  # nothing waits by a remembered definition
            leaderboard = self._leaderboards.read(leaderboard.id) or leaderboard
            names = self._pseudonyms.of_all(leaderboard, users)
        for candidate in candidates:
            user_id = candidate.event.user_id
            if user_id in names:
                candidate.name(names[user_id])
            elif candidate.profile is not None and self._pseudonyms.is_one(leaderboard, user_id):
                candidate.profile = None
            if leaderboard.moving is not None and candidate.event.user_id == leaderboard.moving:
                candidate.outcome = Retry("the player is on the way to a pseudonym")
        return leaderboard

    def _readmit(
        self, leaderboard: Leaderboard | None, candidates: Sequence[Candidate], refusals: Sequence[Rejection | None]
    ) -> list[Rejection | None]:
        """The refusals without those of records that were in time when the broker appended them at first: before their
        cutoff, and before their leaderboard was archived.

        Only a receipt of redrive proves that: a header could be any producer's. A day that is sealing or sealed rejects
        them all the same.
        """
        readmitted = list(refusals)
        late = {
            number: candidates[number].record.value or b""
            for number, refusal in enumerate(refusals)
            if refusal is not None and refusal.reason in _TIMED and not _rejects(leaderboard, candidates[number])
        }
        appended_at_ms = self._receipts.appended_at_ms(late.values()) if late else {}
        for number, value in late.items():
            first_ms = appended_at_ms.get(value)
            if first_ms is not None and _refusal(leaderboard, candidates[number], first_ms) is None:
                readmitted[number] = None
        return readmitted

    def _dead_letter(self, candidates: Iterable[Candidate]) -> None:
        rejected = [candidate for candidate in candidates if candidate.rejection is not None]
        if not rejected:
            return
        dead_letters = [
            RejectedRecord(one.record, one.rejection, one.entry.event.leaderboard_id if one.entry else None)
            for one in rejected
            if one.rejection is not None
        ]
        try:
            self._dead_letters.send(dead_letters)
        except QueueUnavailable as unavailable:
            for candidate in rejected:
                candidate.outcome = Retry(str(unavailable))
            return
        self._letters.register(dead_letters)

    def _record_progress(self, candidates: Iterable[Candidate]) -> None:
        """Record up to where each partition is done: closing waits for it, and there may be no next record to tell."""
        done: dict[tuple[str, int], list[Candidate]] = {}
        stopped: set[tuple[str, int]] = set()
        for candidate in candidates:
            source = candidate.record.source
            partition = (source.topic, source.partition)
            if candidate.kind is OutcomeKind.RETRY:
                stopped.add(partition)
            elif partition not in stopped:
                done.setdefault(partition, []).append(candidate)
        self._run_parallel([partial(self._advance, settled) for settled in done.values()])

    def _advance(self, settled: Sequence[Candidate]) -> None:
        last, now_ms = settled[-1].record, self._now_ms()
        appended_at_ms = last.source.appended_at_ms if last.is_stamped else now_ms
        position = Position(last.source.topic, last.source.partition, last.source.offset + 1, appended_at_ms)
        outcomes = {one.record.source.offset: _outcome(one) for one in settled}
        mismatched = [one.record.source.offset for one in settled if one.has_wrong_key]
        try:
            self._progress.advance(position, now_ms, outcomes, mismatched)
        except Unavailable as unavailable:
            settled[0].outcome = Retry(str(unavailable))  # what comes next has to follow on what is recorded


def _outcome(settled: Candidate) -> str:
    """The counter of what a record has become."""
    if settled.rejection is not None:
        return REJECTED[settled.rejection.reason]
    return APPLIED if settled.kind is OutcomeKind.APPLIED else DUPLICATE


def _validate(leaderboard: Leaderboard | None, candidates: Iterable[Candidate]) -> list[Rejection | None]:
    """Why a definition refuses each candidate; None for those it admits."""
    return [one.refusal or _refusal(leaderboard, one, one.record.source.appended_at_ms) for one in candidates]


def _rejects(leaderboard: Leaderboard | None, candidate: Candidate) -> bool:
    """Whether the day of an event takes none any more, however early its record was appended."""
    return leaderboard is None or leaderboard.rejects(leaderboard.calendar.day_of(candidate.event.occurred_at_ms))


def _refusal(leaderboard: Leaderboard | None, candidate: Candidate, appended_at_ms: int) -> Rejection | None:
    """Why a leaderboard refuses an event whose record was appended at a time; None if it admits it."""
    if leaderboard is None:
        return Rejection(Reason.UNKNOWN_LEADERBOARD, f"there is no leaderboard {candidate.event.leaderboard_id}")
    try:
        leaderboard.admit(candidate.event, appended_at_ms)
    except Rejection as rejection:
        return rejection
    return None


def _admitted(candidate: Candidate, leaderboard: Leaderboard | None, refusal: Rejection | None) -> None:
    """Record what the rules say of a candidate. A leaderboard that never existed has accepted nothing."""
    candidate.refusal = refusal
    if leaderboard is None:
        if refusal is not None:
            candidate.outcome = outcomes.Rejected(refusal)
        return
    if leaderboard.starts_ms:
        leaderboard = leaderboard.for_event(candidate.event, candidate.record.source.appended_at_ms)
        candidate.scores_id = leaderboard.scores_id
    candidate.definition = leaderboard
    if refusal is None or not leaderboard.archived:  # the cache of an archived one is shown no more duplicates
        candidate.leaderboard = leaderboard


def _fail_unprojected(candidates: Iterable[Candidate], scores_id: str) -> None:
    for candidate in candidates:
        settled = candidate.kind in (OutcomeKind.APPLIED, OutcomeKind.DUPLICATE)
        if settled and candidate.scores_id == scores_id:
            candidate.outcome = Retry("neither the cache nor the repair queue took the standings")
