"""Replaces the id of a player by a pseudonym, in everything that can still change.

`pseudonymise` begins a move and does as much of it as there is time for; closing does the rest, whatever has died
before. The steps are those of shared/truth/pseudonyms.py. What holds meanwhile:

- Ingest lets events of the player come again. Whatever it has read, it can't write under the id any more.
- Nothing is ranked from half of it: closing writes no result, exports wait, and nothing is marked as complete in the
  cache that was read across it.
- Nobody stands in a window twice: the id leaves the cache before anything under the pseudonym may come into it.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from shared.admin.disqualifications import Disqualifications, DisqualifiedPlayers
from shared.cache.errors import CacheUnavailable
from shared.cache.payloads import with_all_days
from shared.cache.windows import WindowCache
from shared.domain.audit import AuditAction, AuditEntry
from shared.domain.awards import award_id
from shared.domain.calendar import ALL_TIME_DAY, Day
from shared.domain.pseudonyms import Move
from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing
from shared.lookups.pseudonyms import Pseudonyms
from shared.truth.audit_log import AuditLog
from shared.truth.failures import Unavailable
from shared.truth.final_results import FinalResults
from shared.truth.profiles import Profiles
from shared.truth.pseudonyms import PAIRS_MAX, Held, Overtaken, PseudonymWrites
from shared.truth.reads import Reads
from shared.truth.registry import Registry
from shared.truth.snapshots import Snapshots
from shared.truth.work import WorkList

TRIES_MAX: Final = 8
"""How often a move is decided again because events or other changes came meanwhile."""
ITEMS_MAX: Final = 90
"""Items of standings and audit entries that the first transaction takes, beside those of its own."""
FENCED_STARTS_MAX: Final = 5
"""Of how many of the last purges the scores may still get events that were under way for long."""
HasTime = Callable[[], bool]


class TooMuchToMove(Exception):
    """The player has scores of too many purges, or was disqualified too often, for one transaction."""


class HasPseudonym(Exception):
    """The player has a pseudonym: what is done about them names it."""


class Pseudonymised(Struct, frozen=True):
    """What became of a request."""

    entry: AuditEntry
    pseudonym: str
    known: bool
    """Whether the player has or had events."""
    is_done: bool
    """Whether everything is replaced but what fences the id off; if not, closing goes on."""


class IsPseudonym(Exception):
    """The id is a pseudonym itself."""


class Pseudonymisation:
    """Moves players from their ids to pseudonyms.

    Methods raise Unavailable if DynamoDB throttles or is out of reach; call again.
    """

    def __init__(
        self,
        *,
        writes: PseudonymWrites,
        pseudonyms: Pseudonyms,
        registry: Registry,
        reads: Reads,
        audit_log: AuditLog,
        disqualifications: Disqualifications,
        disqualified_players: DisqualifiedPlayers,
        final_results: FinalResults,
        snapshots: Snapshots,
        profiles: Profiles,
        work_list: WorkList,
        cache: WindowCache,
        fence_ms: int,
        now_ms: Callable[[], int],
    ) -> None:
        """`fence_ms`: how long the id is fenced off from the end of its move, until no call of any function is left
        that has read what the id had."""
        self._writes = writes
        self._pseudonyms = pseudonyms
        self._registry = registry
        self._reads = reads
        self._audit_log = audit_log
        self._disqualifications = disqualifications
        self._disqualified_players = disqualified_players
        self._final_results = final_results
        self._snapshots = snapshots
        self._profiles = profiles
        self._work_list = work_list
        self._cache = cache
        self._fence_ms = fence_ms
        self._now_ms = now_ms

    def check(self, leaderboard: Leaderboard, user_id: str) -> None:
        """Raise HasPseudonym if an id was replaced: it must not come into the audit log or the ledger again."""
        current = self._registry.leaderboard(leaderboard.id)
        if current is not None and self._pseudonyms.of(current, user_id) is not None:
            raise HasPseudonym(f"the player has a pseudonym on {leaderboard.id}, which `pseudonymise` answers with")

    def check_named(self, leaderboard: Leaderboard, user_id: str) -> None:
        """Raise HasPseudonym if an id was replaced, IsPseudonym if it is a pseudonym: nothing may say who that is."""
        self.check(leaderboard, user_id)
        if self._pseudonyms.is_one(leaderboard, user_id):
            raise IsPseudonym(f"{user_id!r} is a pseudonym of {leaderboard.id}")

    def is_known(self, leaderboard: Leaderboard, user_id: str) -> bool:
        """Whether a player has events, by this id or by its pseudonym, before a purge or since."""
        names = (user_id, self._pseudonyms.would_be(leaderboard, user_id))
        return any(self._disqualifications.is_known(one, name) for one in leaderboard.every_scores for name in names)

    def pseudonymise(
        self, leaderboard: Leaderboard, user_id: str, actor: str, reason: str, has_time: HasTime = lambda: True
    ) -> Pseudonymised:
        """Replace a player's id by a pseudonym; idempotent, and it goes on with what an earlier call has left.

        Raises:
            IsPseudonym: if the id is one.
            TooMuchToMove: if the player has scores of too many purges, or was disqualified too often.
            AuditLogFull: if the audit log is full.
            Unavailable: if DynamoDB is out of reach, or others keep changing the leaderboard.
        """
        if self._pseudonyms.is_one(leaderboard, user_id):
            raise IsPseudonym(f"{user_id!r} is a pseudonym of {leaderboard.id}")
        known = self.is_known(leaderboard, user_id)
        for _ in range(TRIES_MAX):
            current = self._registry.leaderboard(leaderboard.id) or leaderboard
            if current.moving is not None:
                self._go_on_with_all(current, has_time)
                continue
            if self._pseudonyms.of(current, user_id) is None:
                with suppress(Overtaken):
                    self._begin(current, user_id, actor, reason)
                continue
            return self._answer(current, user_id, known=known)
        current = self._registry.leaderboard(leaderboard.id) or leaderboard
        if self._pseudonyms.of(current, user_id) is None:
            raise Unavailable(f"{leaderboard.id} was changed by others at each of {TRIES_MAX} tries")
        return self._answer(current, user_id, known=known)

    def _answer(self, leaderboard: Leaderboard, user_id: str, *, known: bool) -> Pseudonymised:
        name = self._pseudonyms.would_be(leaderboard, user_id)
        log = self._audit_log.read(leaderboard.id)
        entry = next(one for one in log if one.kind is AuditAction.PSEUDONYMISE and one.user_id == name)
        return Pseudonymised(entry, name, known, leaderboard.moving != name)

    def _go_on_with_all(self, leaderboard: Leaderboard, has_time: HasTime) -> None:
        for move in self._work_list.of(leaderboard.id).moves:
            if move.pseudonym == leaderboard.moving and self._move(leaderboard, move, has_time):
                with suppress(CacheUnavailable):  # closing does
                    self.show(leaderboard, move)

    def files(self, leaderboard: Leaderboard, number: int) -> list[str]:
        """Keys of the files of results that may still name the id: of versions from before an audit entry."""
        found: list[str] = []
        for window in self._final_results.windows(leaderboard.id):
            for one in self._final_results.versions(leaderboard.id, window.id):
                keys = (one.object_key, one.awards_key, one.difference_key, one.award_changes_key)
                found += [key for key in keys if key is not None and one.audit_sequence < number]
        return found

    def go_on(self, leaderboard: Leaderboard, move: Move, has_time: HasTime = lambda: True) -> None:
        """Do what is left of a move, as far as that is possible now: what closing does with it.

        Raises:
            CacheUnavailable: if Redis fails.
        """
        if leaderboard.moving == move.pseudonym and not self._move(leaderboard, move, has_time):
            return  # the cache is shown nothing of a player who is half moved
        self.show(leaderboard, move)
        if self._now_ms() - move.at_ms < self._fence_ms:
            return
        for known in self._work_list.of(leaderboard.id).moves:  # the move may have ended since it was read
            if known.pseudonym == move.pseudonym and self._now_ms() - known.at_ms >= self._fence_ms:
                self._clear(leaderboard, move)

    def _begin(self, leaderboard: Leaderboard, user_id: str, actor: str, reason: str) -> None:
        """Step 1."""
        name = self._pseudonyms.would_be(leaderboard, user_id)
        entry = self._disqualifications.next_entry(
            leaderboard.id, AuditAction.PSEUDONYMISE, actor, reason, user_id=name
        )
        decisions = AuditAction.DISQUALIFY, AuditAction.REINSTATE
        log = self._audit_log.read(leaderboard.id)
        earlier = (one for one in log if one.number < entry.number)
        renamed = [replace(one, user_id=name) for one in earlier if one.user_id == user_id and one.kind in decisions]
        held = self._fenced(leaderboard, user_id)
        if 2 * len(held) + len(renamed) > ITEMS_MAX:
            detail = f"{len(held)} standings of all time and {len(renamed)} audit entries at once"
            raise TooMuchToMove(f"{user_id!r} has {detail} on {leaderboard.id}; at most {ITEMS_MAX} items fit")
        at_ms = self._now_ms()
        move = Move(leaderboard_id=leaderboard.id, user_id=user_id, pseudonym=name, number=entry.number, at_ms=at_ms)
        self._writes.begin(leaderboard, move, entry, renamed, held)

    def _fenced(self, leaderboard: Leaderboard, user_id: str) -> list[Held]:
        """The standings of all time, on which every write of events is conditional; also where there is none yet."""
        found = self._reads.standings((scores, user_id, ALL_TIME_DAY) for scores in leaderboard.every_scores)
        late = leaderboard.every_scores[-FENCED_STARTS_MAX:]
        return [
            (scores, ALL_TIME_DAY, found.get((scores.scores_id, user_id, ALL_TIME_DAY), Standing(0, 0, 0)))
            for scores in leaderboard.every_scores
            if scores in late or (scores.scores_id, user_id, ALL_TIME_DAY) in found
        ]

    def _standings(self, leaderboard: Leaderboard, user_id: str) -> dict[Day, Standing]:
        """All standings under a name, also those that are empty."""
        found = self._reads.standings((leaderboard, user_id, day) for day in self._reads.days(leaderboard))
        return {day: standing for (_, _, day), standing in found.items()}

    def _move(self, leaderboard: Leaderboard, move: Move, has_time: HasTime) -> bool:
        """Steps 2 to 5, and whether all of them are done; what another process has done meanwhile is read again."""
        every = [scores.scores_id for scores in leaderboard.every_scores]
        self._writes.fence_profiles(move, every)  # an ingest call that began before may still bring a profile
        for scores in leaderboard.every_scores:
            if not self._until_none(lambda scores=scores: self._move_days(scores, move), has_time):  # type: ignore[misc]
                return False
            if not self._until_none(lambda scores=scores: self._move_events(scores, move), has_time):  # type: ignore[misc]
                return False
        self._rename(move)
        self._issue(leaderboard, move)
        self._rename_in_snapshots(leaderboard, move)
        with suppress(CacheUnavailable):  # the player's next events don't wait for it; `show` tells it later
            self._show(leaderboard, (move.user_id,))
        self._writes.finish(replace(move, at_ms=self._now_ms()))
        return True

    def _until_none(self, step: Callable[[], bool], has_time: HasTime) -> bool:
        """Whether nothing is left of a step.

        Raises:
            Unavailable: if others keep changing what it moves.
        """
        overtaken = 0
        while has_time():
            try:
                if not step():
                    return True
                overtaken = 0
            except Overtaken as error:
                overtaken += 1
                if overtaken == TRIES_MAX:
                    raise Unavailable(f"what is moved was changed by others at each of {TRIES_MAX} tries") from error
        return False

    def _move_days(self, leaderboard: Leaderboard, move: Move) -> bool:
        left = [(leaderboard, day, one) for day, one in self._standings(leaderboard, move.user_id).items()]
        left = [one for one in left if not one[2].moved]
        for start in range(0, len(left), PAIRS_MAX):
            self._writes.move_days(move, left[start : start + PAIRS_MAX])
        return bool(left)

    def _move_events(self, leaderboard: Leaderboard, move: Move) -> bool:
        entries = list(self._reads.ledger(leaderboard.scores_id, move.user_id, limit=PAIRS_MAX))
        if entries:
            self._writes.move_events(move, leaderboard.scores_id, entries)
        return bool(entries)

    def _rename(self, move: Move) -> None:
        for entry in self._audit_log.read(move.leaderboard_id):
            if entry.user_id == move.user_id:
                self._writes.rename(move, entry)
        for entry in self._work_list.of(move.leaderboard_id).audit_entries:
            if entry.user_id == move.user_id:
                self._writes.rename(move, entry)

    def _issue(self, leaderboard: Leaderboard, move: Move) -> None:
        """Keep the ids of all awards that a version of a result may have named for the player."""
        days = self._standings(leaderboard, move.pseudonym).keys()
        for window in self._final_results.windows(leaderboard.id):
            final = self._final_results.final(leaderboard.id, window.id)
            if final is None or final.audit_sequence >= move.number or days.isdisjoint(window.days):
                continue
            named = {tier: award_id(leaderboard.id, window.id, move.user_id, tier) for tier in final.tiers or ()}
            if named:
                self._writes.issue(move, window.id, named)

    def _rename_in_snapshots(self, leaderboard: Leaderboard, move: Move) -> None:
        for scores in leaderboard.every_scores:  # those of before a purge are kept until they expire
            self._snapshots.rename(scores.scores_id, move.user_id, move.pseudonym)

    def show(self, leaderboard: Leaderboard, move: Move) -> None:
        """Make every window in the cache show the pseudonym in place of the id; idempotent.

        Raises:
            CacheUnavailable: if Redis fails.
        """
        self._show(leaderboard, (move.user_id, move.pseudonym))

    def _show(self, leaderboard: Leaderboard, names: Iterable[str]) -> None:
        """Bring every window in the cache up to the standings under some names: none under an id that is moved."""
        out = self._disqualified_players.hidden(leaderboard.id)
        self._cache.show_disqualified(leaderboard.scores_id, out)
        now_ms = self._now_ms()
        standings = {name: self._standings(leaderboard, name) for name in names}
        shown = {name: with_all_days(days) if name in out.days else days for name, days in standings.items() if days}
        self._cache.apply(leaderboard, shown, now_ms)
        days = sorted({day for one in standings.values() for day in one} - {ALL_TIME_DAY})
        self._cache.withdraw_unkept(leaderboard, days, now_ms)

    def _clear(self, leaderboard: Leaderboard, move: Move) -> None:
        """Take away what is left of the id, and the move from the work list."""
        leaderboard = self._registry.leaderboard(leaderboard.id) or leaderboard  # it may have been purged meanwhile
        self._rename_in_snapshots(leaderboard, move)
        for scores in leaderboard.every_scores:
            held = self._standings(scores, move.user_id)
            self._writes.clear(move, [(scores, day) for day, one in held.items() if one.moved])
            self._profiles.clear(scores.scores_id, move.user_id)
        self._cache.forget_player(leaderboard, move.user_id, self._now_ms())
        self._writes.forget(move)
