"""Write the result of a window whose buckets are closed, once cache and truth were compared and are equal."""

from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing
from shared.domain.windows import Day, Window
from shared.live.windows import LiveWindows, is_kept
from shared.pipeline.export_rows import RankedRows, encode
from shared.pipeline.folding import Ranked, rank_players
from shared.pipeline.rebuild import Rebuild
from shared.pipeline.uploads import Upload
from shared.truth.commits import passing_as_unavailable
from shared.truth.export_jobs import ExportFormat
from shared.truth.finals import AlreadyDone, FinalRanking, Finals
from shared.truth.reads import Reads
from shared.version import code_version

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PAGE_ENTRIES: Final = 2_000
"""Entries of the cache that one round trip compares."""

Lines = Sequence[tuple[Day, str, Standing]]


class NotComparable(Exception):
    """The cache can't vouch for the window: it is being rebuilt."""


class Difference(Exception):
    """The window in the cache is not what the truth says, even after it was brought up to it."""


class Finishing:
    """Compares a window entry for entry and writes its ranking, once."""

    def __init__(
        self,
        *,
        reads: Reads,
        live: LiveWindows,
        rebuild: Rebuild,
        finals: Finals,
        s3: "S3Client",
        bucket: str,
        now_ms: Callable[[], int],
    ) -> None:
        self._reads = reads
        self._live = live
        self._rebuild = rebuild
        self._finals = finals
        self._s3 = s3
        self._bucket = bucket
        self._now_ms = now_ms

    def finish(self, leaderboard: Leaderboard, window: Window) -> FinalRanking | None:
        """Write the result of a window.

        Returns:
            The result; None if there is one already.

        Raises:
            ValueError: if a bucket of the window is still open.
            NotComparable, Difference: then nothing was written.
            CacheUnavailable: if Redis fails.
            Unavailable: if the truth is out of reach.
        """
        if not leaderboard.is_settled(window):
            raise ValueError(f"{window.id} of {leaderboard.id} can still change")
        if self._finals.final(leaderboard.id, window.id) is not None:
            return None
        lines = list(self._reads.buckets(leaderboard, [Day(bucket) for bucket in window.buckets]))
        ranked = rank_players(leaderboard, lines)
        self._compare(leaderboard, window, ranked, lines)
        final = self._store(leaderboard, window, ranked, lines)
        try:
            self._finals.write(final)
        except AlreadyDone:
            return None
        return final

    def _compare(self, leaderboard: Leaderboard, window: Window, ranked: Ranked, lines: Lines) -> None:
        kept = is_kept(leaderboard, window, self._now_ms())
        if not kept and not self._is_complete(leaderboard, window):
            self._rebuild.window(leaderboard, window)
        if not self._differences(leaderboard, window, ranked):
            return
        if kept:
            self._rebuild.apply(leaderboard, lines)
        else:
            self._rebuild.window(leaderboard, window)
        differences = self._differences(leaderboard, window, ranked)
        if differences:
            self._live.withdraw(leaderboard, window, self._now_ms())
            raise Difference(f"{differences} entries of {window.id} differ; the cache is built anew")

    def _is_complete(self, leaderboard: Leaderboard, window: Window) -> bool:
        return self._live.page(leaderboard, window, 0, 1, self._now_ms()).complete

    def _differences(self, leaderboard: Leaderboard, window: Window, ranked: Ranked) -> int:
        """Positions at which the cache has another entry than the truth, or only one of them has any."""
        differences = 0
        for start in range(0, max(len(ranked), 1), PAGE_ENTRIES):
            page = self._live.page(leaderboard, window, start, PAGE_ENTRIES, self._now_ms())
            if not page.complete:
                raise NotComparable(f"{window.id} of {leaderboard.id} is being rebuilt")
            pairs = zip_longest(page.lines, ranked[start : start + PAGE_ENTRIES])
            differences += sum(shown != expected for shown, expected in pairs)
        return differences + max(0, page.total - start - PAGE_ENTRIES)

    def _store(self, leaderboard: Leaderboard, window: Window, ranked: Ranked, lines: Lines) -> FinalRanking:
        rows = RankedRows(leaderboard, lines)
        exported = ((row.user_id, row.score) for row in rows)
        expected = ((user_id, score.points) for user_id, score in ranked)
        if any(one != other for one, other in zip_longest(exported, expected)):
            raise Difference(f"the two implementations of the ranking disagree about {window.id}")
        # named by the rules, so that nobody who ranked it by others meanwhile overwrites what a result points to
        object_key = f"finals/{leaderboard.id}/{window.id}/rules-{leaderboard.version}.csv"
        with (
            passing_as_unavailable(),
            Upload(self._s3, self._bucket, object_key, "text/csv; charset=utf-8") as upload,
        ):
            for chunk, _ in encode(rows, ExportFormat.CSV):
                upload.write(chunk)
            upload.finish()
        return FinalRanking(
            leaderboard_id=leaderboard.id,
            window_id=window.id,
            rules_version=leaderboard.version,
            players=len(rows),
            sum_of_points=str(rows.sum_of_points),
            object_key=object_key,
            bytes=upload.bytes,
            sha256=upload.sha256,
            code_version=code_version(),
            finalised_at_ms=self._now_ms(),
        )
