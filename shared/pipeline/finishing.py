"""Write the result of a window whose buckets are closed, once cache and truth were compared and are equal."""

from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from shared.domain.acts import Disqualified
from shared.domain.events import format_instant
from shared.domain.ranking import Entry
from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing
from shared.domain.windows import Day, Window, WindowStatus
from shared.live.windows import LiveWindows, is_kept
from shared.pipeline.disqualifications import Disqualifications, present
from shared.pipeline.folding import Ranked, label_members, rank_players
from shared.pipeline.manifests import Manifest, describe
from shared.pipeline.rebuild import Rebuild
from shared.pipeline.result_files import awards_file, difference_file, entries_of, ranking_file
from shared.pipeline.uploads import Upload, abort_left_over
from shared.truth.export_jobs import Compression, ExportFormat, ExportPart
from shared.truth.failures import passing_as_unavailable
from shared.truth.finals import AlreadyDone, FinalRanking, Finals
from shared.truth.reads import Reads
from shared.truth.registry import Registry
from shared.version import code_version

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CSV: Final = "text/csv; charset=utf-8"
PAGE_ENTRIES: Final = 2_000
"""Entries of the cache that one round trip compares."""

Lines = Sequence[tuple[Day, str, Standing]]


class NotComparable(Exception):
    """The cache can't vouch for the window: it is being rebuilt."""


class Difference(Exception):
    """The window in the cache is not what the truth says, even after it was brought up to it."""


class Finishing:
    """Compares a window entry for entry and writes its ranking: once, and once more for each act that changes it."""

    def __init__(
        self,
        *,
        reads: Reads,
        live: LiveWindows,
        rebuild: Rebuild,
        finals: Finals,
        registry: Registry,
        disqualifications: Disqualifications,
        s3: "S3Client",
        bucket: str,
        now_ms: Callable[[], int],
    ) -> None:
        self._reads = reads
        self._live = live
        self._rebuild = rebuild
        self._finals = finals
        self._registry = registry
        self._disqualifications = disqualifications
        self._s3 = s3
        self._bucket = bucket
        self._now_ms = now_ms

    def finish(self, leaderboard: Leaderboard, window: Window, *, again: bool = False) -> FinalRanking | None:
        """Write the result of a window.

        Args:
            leaderboard: whose window.
            window: all its buckets are closed.
            again: whether a result that is there may have to be followed by another version: it is ranked anew, by the
                rules that it was ranked by, without those who are disqualified now.

        Returns:
            The result; None if there is nothing new to be written.

        Raises:
            ValueError: if a bucket of the window is still open.
            NotComparable, Difference: then nothing was written.
            AlreadyDone: if somebody was disqualified meanwhile; the next run sees to it.
            CacheUnavailable: if Redis fails.
            Unavailable: if the truth is out of reach.
        """
        if not leaderboard.is_settled(window):
            raise ValueError(f"{window.id} of {leaderboard.id} can still change")
        before = self._finals.final(leaderboard.id, window.id)
        if before is not None and not again:
            return None
        out = self._disqualifications.now(leaderboard.id)
        rules = leaderboard if before is None else self._rules(leaderboard, before)
        lines = list(self._reads.buckets(rules, [Day(bucket) for bucket in window.buckets]))
        ranked = rank_players(rules, present(lines, out))
        self._compare(rules, window, ranked, lines, out)
        entries = list(entries_of(rules, ranked))
        if before is None:
            final = self._store(rules, window, out, 1, entries)
        else:
            then = self._disqualifications.as_of(leaderboard.id, before.acts)
            entries_before = list(entries_of(rules, rank_players(rules, present(lines, then))))
            if entries == entries_before:
                self._finals.strike(leaderboard.id, window.id, out.acts)
                return None
            final = self._store(rules, window, out, before.version + 1, entries)
            final = self._add_difference(final, entries_before, entries)
        try:
            self._finals.write(final)
        except AlreadyDone:
            return None
        return final

    def _rules(self, leaderboard: Leaderboard, final: FinalRanking) -> Leaderboard:
        rules = self._registry.rules(leaderboard.id, final.rules_version)
        if rules is None:
            raise RuntimeError(f"version {final.rules_version} of the rules of {leaderboard.id} is gone")
        # how long its windows are kept live goes by the lateness of now
        now = {"closed_through": leaderboard.closed_through, "lateness_ms": leaderboard.lateness_ms}
        return replace(rules, sealed=True, **now)

    def _compare(
        self, leaderboard: Leaderboard, window: Window, ranked: Ranked, lines: Lines, out: Disqualified
    ) -> None:
        kept = is_kept(leaderboard, window, self._now_ms())
        if not kept and not self._is_complete(leaderboard, window):
            self._rebuild.anew(leaderboard, window)
        members = label_members(leaderboard, ranked, lines)
        if not self._differences(leaderboard, window, ranked, members):
            return
        if kept:
            self._rebuild.apply(leaderboard, lines)
        else:
            self._rebuild.anew(leaderboard, window)
        differences = self._differences(leaderboard, window, ranked, members)
        if differences:
            if self._disqualifications.now(leaderboard.id).acts != out.acts:
                raise AlreadyDone(f"somebody was disqualified while {window.id} of {leaderboard.id} was compared")
            self._live.withdraw(leaderboard, window, self._now_ms())
            raise Difference(f"{differences} entries of {window.id} differ; the cache is built anew")

    def _is_complete(self, leaderboard: Leaderboard, window: Window) -> bool:
        return self._live.page(leaderboard, window, 0, 1, self._now_ms()).complete

    def _differences(self, leaderboard: Leaderboard, window: Window, ranked: Ranked, members: Sequence[bytes]) -> int:
        """Positions at which the cache has another entry than the truth, or only one of them has any; so of labels."""
        differences = 0
        for start in range(0, max(len(ranked), 1), PAGE_ENTRIES):
            page = self._live.page(leaderboard, window, start, PAGE_ENTRIES, self._now_ms())
            if not page.complete:
                raise NotComparable(f"{window.id} of {leaderboard.id} is being rebuilt")
            pairs = zip_longest(page.lines, ranked[start : start + PAGE_ENTRIES])
            differences += sum(shown != expected for shown, expected in pairs)
        differences += max(0, page.total - start - PAGE_ENTRIES)
        if leaderboard.filters:
            differences += self._label_differences(leaderboard, window, members)
        return differences

    def _label_differences(self, leaderboard: Leaderboard, window: Window, members: Sequence[bytes]) -> int:
        differences = 0
        for start in range(0, max(len(members), 1), PAGE_ENTRIES):
            seen = self._live.labels(leaderboard, window, start, PAGE_ENTRIES, self._now_ms())
            if not seen.complete:
                raise NotComparable(f"{window.id} of {leaderboard.id} is being rebuilt")
            differences += sum(one != other for one, other in zip_longest(seen.members, members[start:][:PAGE_ENTRIES]))
        return differences + max(0, seen.total - start - PAGE_ENTRIES)

    def _store(
        self, leaderboard: Leaderboard, window: Window, out: Disqualified, version: int, entries: Sequence[Entry]
    ) -> FinalRanking:
        # named by all that decides its content: nobody who ranked it otherwise overwrites what a result points to
        name = f"finals/{leaderboard.id}/{window.id}/v{version}-rules-{leaderboard.version}-acts-{out.acts}"
        ranking = self._upload(f"{name}.csv", ranking_file(entries))
        awards = self._upload(f"{name}.awards.csv", awards_file(leaderboard.id, window.id, version, entries))
        final = FinalRanking(
            leaderboard_id=leaderboard.id,
            window_id=window.id,
            rules_version=leaderboard.version,
            version=version,
            acts=out.acts,
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
        with passing_as_unavailable():
            _manifest(final, window).put(self._s3, self._bucket)
        return final

    def _add_difference(self, final: FinalRanking, before: Sequence[Entry], after: Sequence[Entry]) -> FinalRanking:
        key = f"{final.object_key.removesuffix('.csv')}.difference.csv"
        lines = difference_file(final.leaderboard_id, final.window_id, final.version, before, after)
        return replace(final, difference_key=key, difference_sha256=self._upload(key, lines).sha256)

    def _upload(self, key: str, chunks: Iterable[bytes]) -> Upload:
        with passing_as_unavailable():
            abort_left_over(self._s3, self._bucket, key)
            with Upload(self._s3, self._bucket, key, CSV) as upload:
                for chunk in chunks:
                    upload.write(chunk)
                upload.finish()
        return upload


def _manifest(final: FinalRanking, window: Window) -> Manifest:
    """As an export of the window has it: its file is the result's."""
    return Manifest(
        leaderboard_id=final.leaderboard_id,
        window=describe(window),
        status=WindowStatus.FINAL,
        rules_version=final.rules_version,
        result_version=final.version,
        acts=final.acts,
        format=ExportFormat.CSV,
        compression=Compression.NONE,
        part=ExportPart(),
        object=final.object_key,
        rows=final.players,
        players=final.players,
        sum_of_points=final.sum_of_points,
        bytes=final.bytes,
        sha256=final.sha256,
        code_version=final.code_version,
        created_at=format_instant(final.finalised_at_ms),
    )
