"""Sets the profile of a player, and shows it."""

from collections.abc import Callable
from typing import Final

from shared.admin.pseudonyms import HasPseudonym, Pseudonymisation
from shared.cache.profiles import ProfileCache
from shared.domain.profiles import KeptProfile
from shared.domain.rules import Leaderboard
from shared.truth.failures import Unavailable
from shared.truth.profiles import Profiles

TRIES_MAX: Final = 8
"""How often a profile is dated again because a newer one came meanwhile."""


class PlayerProfiles:
    """Profiles as the API sets and shows them.

    Methods raise Unavailable if DynamoDB throttles or is out of reach.
    """

    def __init__(
        self,
        profiles: Profiles,
        pseudonymisation: Pseudonymisation,
        cache: Callable[[], ProfileCache],
        now_ms: Callable[[], int],
    ) -> None:
        self._profiles = profiles
        self._cache = cache
        self._pseudonymisation = pseudonymisation
        self._now_ms = now_ms

    def find(self, leaderboard: Leaderboard, user_id: str) -> KeptProfile | None:
        """The profile of a player; None for who has none, and for who is known by a pseudonym."""
        scores_id = leaderboard.at(self._now_ms()).scores_id
        found = self._profiles.read(scores_id, [user_id]).get(user_id)
        return None if found is None or found.is_fence else found

    def put(self, leaderboard: Leaderboard, user_id: str, text: str) -> KeptProfile:
        """Set the profile of a player, whatever they have; it is of now, or just newer than what a clock ahead left.

        Args:
            leaderboard: as it is now.
            user_id: who; they need no events.
            text: as `profile_text` returns it; empty to take the profile back.

        Raises:
            HasPseudonym: if the id was replaced.
            IsPseudonym: if it is a pseudonym.
            CacheUnavailable: if pages may go on showing another one for some minutes; it is set all the same.
        """
        self._pseudonymisation.check_named(leaderboard, user_id)
        scores_id, at_ms = leaderboard.at(self._now_ms()).scores_id, self._now_ms()
        for _ in range(TRIES_MAX):
            wanted = KeptProfile(at_ms, text)
            kept = self._profiles.write(scores_id, user_id, wanted)
            if kept.text == text and not kept.is_fence:
                self._cache().keep(scores_id, {user_id: kept.value})
                return kept
            if kept.is_fence:
                raise HasPseudonym(f"the player has a pseudonym on {leaderboard.id}")
            at_ms = kept.at_ms + 1
        raise Unavailable(f"others changed the profile at each of {TRIES_MAX} tries")
