"""Versions of a window's result, with links to their files."""

from collections.abc import Sequence

from msgspec import Struct

from shared.domain.calendar import Window
from shared.domain.rules import Leaderboard
from shared.files.links import Downloads
from shared.files.manifest import manifest_key
from shared.truth.final_results import Announcements, FinalResult, FinalResults


class ResultVersion(Struct, frozen=True):
    """A version of a result, and presigned URLs of its files."""

    final: FinalResult
    ranking_url: str
    manifest_url: str
    awards_url: str
    difference_url: str | None
    award_changes_url: str | None = None
    announced_at_ms: int | None = None
    """When the notification topic had taken its notification; None if that is not known."""
    announcement_pending: bool = False
    """Whether its notification is in the outbox."""


class ResultVersions:
    """Reads the versions of results.

    Methods raise Unavailable if DynamoDB is out of reach.
    """

    def __init__(self, final_results: FinalResults, downloads: Downloads) -> None:
        self._final_results = final_results
        self._downloads = downloads

    def latest(self, leaderboard: Leaderboard, window: Window) -> ResultVersion | None:
        """The last version; None while the window is not final."""
        final = self._final_results.final(leaderboard.id, window.id)
        return None if final is None else self._told([final])[0]

    def find(self, leaderboard: Leaderboard, window: Window) -> list[ResultVersion]:
        """All versions, oldest first; none while the window is not final."""
        return self._told(self._final_results.versions(leaderboard.id, window.id))

    def _told(self, versions: Sequence[FinalResult]) -> list[ResultVersion]:
        """Versions of one window, with what is known of their announcements."""
        if not versions:
            return []
        found = self._final_results.announcements(versions[0].leaderboard_id, versions[0].window_id)
        return [self._linked(one, found) for one in versions]

    def _linked(self, final: FinalResult, announcements: Announcements) -> ResultVersion:
        def url(key: str) -> str:
            return self._downloads.url(final.leaderboard_id, key)

        return ResultVersion(
            final,
            url(final.object_key),
            url(manifest_key(final.object_key)),
            url(final.awards_key),
            None if final.difference_key is None else url(final.difference_key),
            None if final.award_changes_key is None else url(final.award_changes_key),
            announcements.at_ms.get(final.version),
            final.version in announcements.waiting,
        )
