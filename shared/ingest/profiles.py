"""Keeps the profiles that events bring. What is wrong with one is counted and costs its event nothing."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from shared.cache.errors import CacheUnavailable
from shared.cache.profiles import ProfileCache
from shared.domain.profiles import InvalidProfile, KeptProfile, event_profile_text
from shared.ingest.outcomes import Candidate, OutcomeKind, Retry
from shared.parallel import RunParallel
from shared.truth.failures import Unavailable
from shared.truth.profiles import Profiles

_IN_LEDGER: Final = (OutcomeKind.APPLIED, OutcomeKind.DUPLICATE)
Player = tuple[str, str]
"""Scores id and user id."""


class EventProfiles:
    """Writes what the events of a batch say of their players, once these events are in the ledger.

    A crash in between leaves nothing out: the records come again, as duplicates, and bring their profiles again. Of
    several profiles the newest stays, so it doesn't matter how often one comes, nor which one first.
    """

    def __init__(self, profiles: Profiles, cache: Callable[[], ProfileCache], run_parallel: RunParallel) -> None:
        self._profiles = profiles
        self._cache = cache
        self._run_parallel = run_parallel
        self._dropped = 0

    def keep(self, candidates: Sequence[Candidate]) -> None:
        """Keep the newest profile of each player; where the truth does not take it, the records come again.

        Pages may show the one before for some minutes if the cache fails meanwhile.
        """
        carrying = [one for one in candidates if one.profile is not None and one.kind in _IN_LEDGER]
        if not carrying:
            return
        newest: dict[Player, KeptProfile] = {}
        for candidate in carrying:
            try:
                found = KeptProfile(candidate.event.occurred_at_ms, event_profile_text(candidate.profile or b""))
            except InvalidProfile:
                self._dropped += 1
                continue
            player = candidate.scores_id, candidate.event.user_id
            if player not in newest or newest[player].value < found.value:
                newest[player] = found
        failures = self._write(newest)
        for candidate in carrying:
            failure = failures.get((candidate.scores_id, candidate.event.user_id))
            if failure is not None:
                candidate.outcome = Retry(failure)

    def take_dropped(self) -> int:
        """How many profiles were invalid since this was asked last."""
        dropped, self._dropped = self._dropped, 0
        return dropped

    def _write(self, newest: dict[Player, KeptProfile]) -> dict[Player, str]:
        """Write to the truth, then to the cache; returns why the truth did not take some."""
        answers = self._run_parallel([partial(self._write_one, *player, kept) for player, kept in newest.items()])
        shown: dict[str, dict[str, str]] = {}
        failures: dict[Player, str] = {}
        for (scores_id, user_id), answer in zip(newest, answers, strict=True):
            if isinstance(answer, KeptProfile):
                shown.setdefault(scores_id, {})[user_id] = answer.value
            else:
                failures[scores_id, user_id] = answer
        for scores_id, values in shown.items():
            with suppress(CacheUnavailable):
                self._cache().keep(scores_id, values)
        return failures

    def _write_one(self, scores_id: str, user_id: str, kept: KeptProfile) -> KeptProfile | str:
        try:
            return self._profiles.write(scores_id, user_id, kept)
        except Unavailable as unavailable:
            return str(unavailable)
