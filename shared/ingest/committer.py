"""Commit candidates to the truth: read, fold, write, learn what failed, and again."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from shared.domain.calendar import ALL_TIME_DAY, DAY_MIN, Day
from shared.domain.events import ScoreEvent
from shared.domain.rules import Leaderboard
from shared.domain.standings import DaySums, Standing
from shared.ingest.backpressure import TRIES_MAX, Pressure
from shared.ingest.outcomes import Applied, Candidate, OutcomeKind, Rejected, Retry, outcome_of_known
from shared.ingest.planner import Plan, pack, plan
from shared.parallel import RunParallel
from shared.retries import Backoff
from shared.truth.commits import Commits, Failed, Failure, PlayerKey, Unavailable
from shared.truth.queries import BATCH_GET_KEYS_MAX
from shared.truth.reads import EventKey, Reads, StandingKey, event_key

ROUNDS_MAX: Final = 1_000
"""Every round without progress counts towards TRIES_MAX and every other settles an event, so this is never reached."""


class _Player:
    """One player's way through the rounds."""

    __slots__ = ("candidates", "contended", "days", "leaderboard", "ledger", "standings", "user_id")

    def __init__(self, leaderboard: Leaderboard, user_id: str) -> None:
        self.leaderboard = leaderboard
        self.user_id = user_id
        self.candidates: list[Candidate] = []
        self.days: set[Day] = {ALL_TIME_DAY}
        self.ledger: dict[str, ScoreEvent] = {}
        """Events known to be in the ledger, by id."""
        self.standings: dict[Day, Standing] | None = None
        """The touched standings, once they are known to hold all settled events."""
        self.contended = False

    @property
    def pending(self) -> list[Candidate]:
        return [candidate for candidate in self.candidates if candidate.outcome is None]

    def touched(self, current: Mapping[StandingKey, Standing]) -> dict[Day, Standing]:
        scores_id, user_id = self.leaderboard.scores_id, self.user_id
        places = ((day, (scores_id, user_id, day)) for day in self.days)
        return {day: current[place] for day, place in places if place in current}

    def settle_known(self) -> None:
        if not self.ledger:
            return
        for candidate in self.pending:
            existing = self.ledger.get(candidate.event.event_id)
            if existing is not None:
                candidate.outcome = outcome_of_known(candidate.event, existing)

    def leave_moved(self, current: Mapping[StandingKey, Standing]) -> None:
        """Let the events come again if the player has a pseudonym that this call doesn't know: their ledger is another
        one.
        """
        all_time = current.get((self.leaderboard.scores_id, self.user_id, ALL_TIME_DAY))
        if all_time is not None and all_time.moved:
            self.retry("the player has just got a pseudonym")
            self.standings = {}

    def retry(self, cause: str) -> None:
        """Also what is in the ledger comes again: the cache has not been shown it."""
        for candidate in self.candidates:
            if candidate.kind is not OutcomeKind.REJECTED:
                candidate.outcome = Retry(cause)


class Committer:
    """Brings candidates into the truth, each exactly once."""

    def __init__(self, commits: Commits, reads: Reads, run_parallel: RunParallel, backoff: Backoff) -> None:
        self._commits = commits
        self._reads = reads
        self._run_parallel = run_parallel
        self._pressure = Pressure(backoff)

    def commit(
        self, candidates: Iterable[Candidate], has_time: Callable[[], bool] = lambda: True
    ) -> dict[PlayerKey, dict[Day, Standing]]:
        """Commit every candidate that is pending; afterwards each has an outcome.

        Args:
            candidates: those of one player in the order of the topic; those that the rules refuse are left alone.
            has_time: asked after each round; what is unsettled when it says no has to come again.

        Returns:
            For each player with an event in the ledger, old or new, the standings that the events touched, at least as
            new as those events: what the cache is to show.
        """
        players = _by_player(one for one in candidates if one.outcome is None and one.refusal is None)
        unsettled = dict(players)
        failure: str | None = None
        tries = 0
        for _ in range(ROUNDS_MAX):
            failure = self._round(unsettled) if unsettled else None
            unsettled = {key: player for key, player in unsettled.items() if player.standings is None}
            if not unsettled:
                break
            tries = 0 if failure is None else tries + 1
            if tries == TRIES_MAX:
                break
            if not has_time():
                failure = failure or "the time of this call is up"
                break
            self._pressure.wait(tries)
        for player in unsettled.values():
            player.retry(failure or f"not settled after {ROUNDS_MAX} rounds")
        return {key: player.standings for key, player in players.items() if player.standings}

    def settle_refused(self, candidates: Sequence[Candidate]) -> dict[PlayerKey, dict[Day, Standing]]:
        """Settle the candidates that the rules refuse, once the others are committed.

        What the ledger holds was accepted, by whichever rules, and is a duplicate whatever they say now.

        Args:
            candidates: all of the call.

        Returns:
            For each player with a duplicate among them the standings of those days, unless the leaderboard is
            archived.
        """
        refused = [one for one in candidates if one.outcome is None and one.refusal is not None]
        if not refused:
            return {}
        unsettled = {event_key(one.scores_id, one.event) for one in candidates if one.kind is OutcomeKind.RETRY}
        try:
            held = self._reads.held(event_key(one.scores_id, one.event) for one in refused)
            moved = self._moved(one for one in refused if event_key(one.scores_id, one.event) not in held)
            for candidate in refused:
                if (candidate.scores_id, candidate.event.user_id) in moved:
                    candidate.outcome = Retry("the player has just got a pseudonym")
                    continue
                _settle_refused(candidate, held.get(event_key(candidate.scores_id, candidate.event)), unsettled)
            players = _by_player(one for one in refused if one.kind is OutcomeKind.DUPLICATE)
            current = self._reads.standings(_touched_by(players.values()))
        except Unavailable as unavailable:
            for candidate in refused:
                candidate.outcome = Retry(str(unavailable))
            return {}
        return {key: player.touched(current) for key, player in players.items()}

    def _moved(self, unknown: Iterable[Candidate]) -> set[PlayerKey]:
        """Who got a pseudonym before the ledger was read: it may be there that it holds these."""
        boards = {
            (one.definition.scores_id, one.event.user_id): one.definition
            for one in unknown
            if one.definition is not None
        }
        found = self._reads.standings((board, user_id, ALL_TIME_DAY) for (_, user_id), board in boards.items())
        return {(scores_id, user_id) for (scores_id, user_id, _), standing in found.items() if standing.moved}

    def _round(self, players: Mapping[PlayerKey, _Player]) -> str | None:
        """One read and one write of all players. Returns what was in the way if nothing at all got further."""
        pending = _count_pending(players)
        try:
            current = self._reads.standings(_touched_by(players.values()))
            for player in players.values():
                player.leave_moved(current)
            plans = [one for player in players.values() if (one := self._plan(player, current)) is not None]
        except Unavailable as unavailable:
            return str(unavailable)
        progress = any(player.standings is not None for player in players.values())
        groups = pack(plans, {key for key, player in players.items() if player.contended})
        failure = "the standings were changed by others at every try"
        for group, result in self._write_in_waves(groups):
            if isinstance(result, Unavailable):
                failure = str(result)
            elif result:
                settled = [_learn(players[failed.player.key], failed) for failed in result]
                progress |= any(settled)
            else:
                progress = True
                for one in group:
                    _committed(players[one.commit.key], one, current)
        return None if progress or _count_pending(players) < pending else failure

    def _plan(self, player: _Player, current: Mapping[StandingKey, Standing]) -> Plan | None:
        """What the player's pending events write. If none was left before the read, the standings are as read."""
        if player.standings is not None:
            return None
        player.settle_known()
        standings, pending = player.touched(current), player.pending
        if not pending:
            player.standings = standings
            return None
        lookups = _Lookups(self._reads, player.leaderboard, player.user_id)
        decisions = plan(player.leaderboard, pending, standings, lookups)
        for candidate, outcome in decisions.settled:
            candidate.outcome = outcome
        return decisions.plan

    def _write_in_waves(self, groups: Sequence[list[Plan]]) -> Iterator[tuple[list[Plan], list[Failed] | Unavailable]]:
        """Write groups until a wave is refused; what is not written then waits for the next round."""
        while groups:
            wave = self._pressure.next_wave(groups)
            results = self._run_parallel([partial(self._write, group) for group in wave])
            yield from zip(wave, results, strict=True)
            if any(isinstance(result, Unavailable) for result in results):
                self._pressure.refused(len(wave))
                return
            self._pressure.taken()
            groups = groups[len(wave) :]

    def _write(self, group: Sequence[Plan]) -> list[Failed] | Unavailable:
        try:
            return self._commits.commit([one.commit for one in group])
        except Unavailable as unavailable:
            return unavailable


class _Lookups:
    """Reads of one player."""

    def __init__(self, reads: Reads, leaderboard: Leaderboard, user_id: str) -> None:
        self._reads = reads
        self._leaderboard = leaderboard
        self._user_id = user_id

    def sums(self, all_time: Standing) -> DaySums | None:
        """Read from the standings of the days, from the last one back until they are all that all time holds."""
        days: dict[Day, Standing] = {}
        past = self._leaderboard.calendar.day_of(all_time.reached_at_ms) + 1
        while past > DAY_MIN and sum(standing.absolute_sum for standing in days.values()) < all_time.absolute_sum:
            first = max(DAY_MIN, past - BATCH_GET_KEYS_MAX)
            days |= self._standings(Day(day) for day in range(first, past))
            past = first
        now = self._standings([ALL_TIME_DAY]).get(ALL_TIME_DAY)
        if now is None or now.version != all_time.version:
            return None
        return DaySums(days=tuple(sorted((day, standing.points) for day, standing in days.items())))

    def held(self, events: Sequence[ScoreEvent]) -> dict[str, ScoreEvent]:
        """Read from the player's ledger."""
        asked = (event_key(self._leaderboard.scores_id, event) for event in events)
        return {event_id: event for (_, _, event_id), event in self._reads.held(asked).items()}

    def _standings(self, days: Iterable[Day]) -> dict[Day, Standing]:
        found = self._reads.standings((self._leaderboard, self._user_id, day) for day in days)
        return {day: standing for (_, _, day), standing in found.items()}


def _settle_refused(candidate: Candidate, existing: ScoreEvent | None, unsettled: Container[EventKey]) -> None:
    if existing is not None:
        candidate.outcome = outcome_of_known(candidate.event, existing)
    elif event_key(candidate.scores_id, candidate.event) in unsettled:
        candidate.outcome = Retry("another record of its event has to come again")
    elif candidate.refusal is not None:
        candidate.outcome = Rejected(candidate.refusal)


def _touched_by(players: Iterable[_Player]) -> Iterator[tuple[Leaderboard, str, Day]]:
    for player in players:
        for day in player.days:
            yield player.leaderboard, player.user_id, day


def _by_player(candidates: Iterable[Candidate]) -> dict[PlayerKey, _Player]:
    players: dict[PlayerKey, _Player] = {}
    for candidate in candidates:
        if candidate.leaderboard is None:
            continue
        event = candidate.event
        key = (candidate.leaderboard.scores_id, event.user_id)
        player = players.get(key)
        if player is None:
            player = players[key] = _Player(candidate.leaderboard, event.user_id)
        player.candidates.append(candidate)
        player.days.add(candidate.leaderboard.calendar.day_of(event.occurred_at_ms))
    return players


def _count_pending(players: Mapping[PlayerKey, _Player]) -> int:
    return sum(len(player.pending) for player in players.values())


def _committed(player: _Player, written: Plan, current: Mapping[StandingKey, Standing]) -> None:
    for candidate in written.candidates:
        candidate.outcome = Applied()
        player.ledger[candidate.event.event_id] = candidate.event
    all_written = len(written.candidates) == len(player.candidates)
    if not all_written:
        player.settle_known()
    if all_written or not player.pending:
        player.standings = dict(written.commit.standings)
        if len(player.standings) < len(player.days):
            player.standings = player.touched(current) | player.standings


def _learn(player: _Player, failed: Failed) -> bool:
    """Take in why an item failed. True if that settles an event."""
    if failed.failure is Failure.IN_LEDGER and failed.existing is not None:
        player.ledger[failed.existing.event.event_id] = failed.existing.event
        return True
    player.contended = True
    return False
