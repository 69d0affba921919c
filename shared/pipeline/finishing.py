"""Write the result of a window whose buckets are closed, once cache and truth were compared and are equal."""

from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing
from shared.domain.windows import Day, Window
from shared.live.windows import LiveWindows, is_kept
from shared.pipeline.folding import Ranked, rank_players
from shared.pipeline.rebuild import Rebuild
from shared.pipeline.result_files import awards_file, entries_of, ranking_file
from shared.pipeline.uploads import Upload
from shared.truth.commits import passing_as_unavailable
from shared.truth.finals import AlreadyDone, FinalRanking, Finals
from shared.truth.reads import Reads
from shared.version import code_version

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CSV: Final = "text/csv; charset=utf-8"
VERSION: Final = 1
"""Of the first result of a window."""
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
        final = self._store(leaderboard, window, ranked)
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

    def _store(self, leaderboard: Leaderboard, window: Window, ranked: Ranked) -> FinalRanking:
        # named by the rules, so that nobody who ranked it by others meanwhile overwrites what a result points to
        name = f"finals/{leaderboard.id}/{window.id}/rules-{leaderboard.version}"
        entries = list(entries_of(leaderboard, ranked))
        ranking = self._upload(f"{name}.csv", ranking_file(entries))
        awards = self._upload(f"{name}.awards.csv", awards_file(leaderboard.id, window.id, VERSION, entries))
        return FinalRanking(
            leaderboard_id=leaderboard.id,
            window_id=window.id,
            rules_version=leaderboard.version,
            version=VERSION,
            players=len(entries),
            sum_of_points=str(sum(entry.score for entry in entries)),
            object_key=f"{name}.csv",
            bytes=ranking.bytes,
            sha256=ranking.sha256,
            awards=sum(entry.tier is not None for entry in entries),
            awards_key=f"{name}.awards.csv",
            awards_sha256=awards.sha256,
            code_version=code_version(),
            finalised_at_ms=self._now_ms(),
        )

    def _upload(self, key: str, chunks: Iterable[bytes]) -> Upload:
        with passing_as_unavailable(), Upload(self._s3, self._bucket, key, CSV) as upload:
            for chunk in chunks:
                upload.write(chunk)
            upload.finish()
        return upload
