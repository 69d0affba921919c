"""Write the result of a window whose buckets are closed, once cache and truth were compared and are equal."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from shared.admin.disqualifications import DisqualifiedPlayers
from shared.cache.windows import WindowCache
from shared.closing.ranking import FoldedWindow, WindowRanking
from shared.closing.result_files import (
    Change,
    Counted,
    award_changes,
    award_changes_file,
    awards_file,
    difference_file,
    ranking_file,
)
from shared.domain.calendar import Day, Window, WindowStatus, is_kept
from shared.domain.events import format_instant
from shared.domain.rules import Leaderboard
from shared.files.manifest import Manifest, describe
from shared.files.scratch import scratch
from shared.files.upload import Upload, abort_left_over
from shared.rebuild.builder import WindowBuilder
from shared.truth.export_jobs import Compression, ExportFormat, ExportPart
from shared.truth.failures import passing_as_unavailable
from shared.truth.finals import AlreadyDone, FinalResult, FinalResults
from shared.truth.reads import Reads
from shared.truth.registry import Registry
from shared.version import code_version

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CSV: Final = "text/csv; charset=utf-8"
PAGE_ENTRIES: Final = 2_000
"""Entries of the cache that one round trip compares."""


class NotComparable(Exception):
    """The cache can't vouch for the window: it is being rebuilt."""


class Drift(Exception):
    """The window in the cache is not what the truth says, even after it was brought up to it."""


class Finalizer:
    """Compares a window entry for entry and writes its ranking: once, and once more for each act that changes it."""

    def __init__(
        self,
        *,
        reads: Reads,
        cache: WindowCache,
        builder: WindowBuilder,
        finals: FinalResults,
        registry: Registry,
        disqualified_players: DisqualifiedPlayers,
        s3: "S3Client",
        bucket: str,
        now_ms: Callable[[], int],
    ) -> None:
        self._reads = reads
        self._cache = cache
        self._builder = builder
        self._finals = finals
        self._registry = registry
        self._disqualified_players = disqualified_players
        self._s3 = s3
        self._bucket = bucket
        self._now_ms = now_ms

    def finish(self, leaderboard: Leaderboard, window: Window, *, again: bool = False) -> FinalResult | None:
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
            NotComparable, Drift: then nothing was written.
            AlreadyDone: if somebody was disqualified meanwhile; the next run sees to it.
            CacheUnavailable: if Redis fails.
            Unavailable: if the truth is out of reach.
        """
        if not leaderboard.is_sealed(window):
            raise ValueError(f"{window.id} of {leaderboard.id} can still change")
        before = self._finals.final(leaderboard.id, window.id)
        if before is not None and not again:
            return None
        rules = leaderboard if before is None else self._rules(leaderboard, before)
        with scratch() as directory:
            final = self._rank(rules, window, before, directory)
        if final is None:
            return None
        try:
            self._finals.write(final)
        except AlreadyDone:
            return None
        return final

    def _rank(
        self, rules: Leaderboard, window: Window, before: FinalResult | None, directory: Path
    ) -> FinalResult | None:
        """Rank and compare the window and store its files; None if the result before says the same."""
        out = self._disqualified_players.now(rules.id)
        with closing(self._reads.players(rules, _days(window))) as players:
            folded = FoldedWindow(rules, players, directory)
        ranking = WindowRanking(folded, out)
        self._compare(rules, window, ranking)
        if before is None:
            return self._store(rules, window, 1, ranking)
        ranking_before = WindowRanking(folded, self._disqualified_players.as_of(rules.id, before.audit_sequence))
        if all(was == now for was, now in ranking.changes_since(ranking_before)):
            self._finals.strike(rules.id, window.id, out.audit_sequence)
            return None
        final = self._store(rules, window, before.version + 1, ranking)
        return self._add_changes(final, lambda: ranking.changes_since(ranking_before))

    def _rules(self, leaderboard: Leaderboard, final: FinalResult) -> Leaderboard:
        rules = self._registry.rules(leaderboard.id, final.rules_version)
        if rules is None:
            raise RuntimeError(f"version {final.rules_version} of the rules of {leaderboard.id} is gone")
        # how long its windows are kept live goes by the lateness of now
        now = {"sealed_through": leaderboard.sealed_through, "lateness_ms": leaderboard.lateness_ms}
        return replace(rules, has_events=True, **now)

    def _compare(self, leaderboard: Leaderboard, window: Window, ranking: WindowRanking) -> None:
        kept = is_kept(window, leaderboard.lateness_ms, self._now_ms())
        if not kept and not self._is_complete(leaderboard, window):
            self._builder.rebuild_window(leaderboard, window)
        if not self._differences(leaderboard, window, ranking):
            return
        if kept:
            with closing(self._reads.buckets(leaderboard, _days(window))) as lines:
                self._builder.reapply_standings(leaderboard, lines)
        else:
            self._builder.rebuild_window(leaderboard, window)
        differences = self._differences(leaderboard, window, ranking)
        if differences:
            if self._disqualified_players.now(leaderboard.id).audit_sequence != ranking.out.audit_sequence:
                raise AlreadyDone(f"somebody was disqualified while {window.id} of {leaderboard.id} was compared")
            self._cache.withdraw(leaderboard, window, self._now_ms())
            raise Drift(f"{differences} entries of {window.id} differ; the cache is built anew")

    def _is_complete(self, leaderboard: Leaderboard, window: Window) -> bool:
        return self._cache.page(leaderboard, window, 0, 1, self._now_ms()).complete

    def _differences(self, leaderboard: Leaderboard, window: Window, ranking: WindowRanking) -> int:
        """Positions at which the cache has another entry than the truth, or only one of them has any; so of labels."""

        def page(start: int) -> tuple[bool, int, Sequence[object]]:
            found = self._cache.page(leaderboard, window, start, PAGE_ENTRIES, self._now_ms())
            return found.complete, found.total, found.lines

        def labels(start: int) -> tuple[bool, int, Sequence[object]]:
            found = self._cache.labels(leaderboard, window, start, PAGE_ENTRIES, self._now_ms())
            return found.complete, found.total, found.members

        differences = _differ(page, ranking.scores())
        if leaderboard.filters:
            differences += _differ(labels, ranking.label_members())
        return differences

    def _store(self, leaderboard: Leaderboard, window: Window, version: int, ranking: WindowRanking) -> FinalResult:
        # named by all that decides its content: nobody who ranked it otherwise overwrites what a result points to
        acts, of = ranking.out.audit_sequence, (leaderboard.id, window.id, version)
        name = f"finals/{leaderboard.id}/{window.id}/v{version}-rules-{leaderboard.version}-audit-{acts}"
        lines = self._upload(f"{name}.csv", ranking_file(ranking.entries()))
        awarded = Counted(entry for entry in ranking.entries() if entry.tier is not None)
        awards = self._upload(f"{name}.awards.csv", awards_file(*of, awarded))
        final = FinalResult(
            leaderboard_id=leaderboard.id,
            window_id=window.id,
            rules_version=leaderboard.version,
            version=version,
            audit_sequence=acts,
            players=ranking.players,
            sum_of_points=str(ranking.sum_of_points),
            object_key=f"{name}.csv",
            bytes=lines.bytes,
            sha256=lines.sha256,
            award_count=awarded.count,
            awards_key=f"{name}.awards.csv",
            awards_sha256=awards.sha256,
            code_version=code_version(),
            finalised_at_ms=self._now_ms(),
        )
        with passing_as_unavailable():
            _manifest(final, window).put(self._s3, self._bucket)
        return final

    def _add_changes(self, final: FinalResult, changes: Callable[[], Iterable[Change]]) -> FinalResult:
        """The difference to the version before, and what of it a payer books."""
        name, of = final.object_key.removesuffix(".csv"), (final.leaderboard_id, final.window_id, final.version)
        difference_key, awards_key = f"{name}.difference.csv", f"{name}.award-changes.csv"
        difference = self._upload(difference_key, difference_file(*of, changes()))
        changed = Counted(award_changes(*of, changes()))
        awards = self._upload(awards_key, award_changes_file(changed))
        return replace(
            final,
            difference_key=difference_key,
            difference_sha256=difference.sha256,
            award_changes=changed.count,
            award_changes_key=awards_key,
            award_changes_sha256=awards.sha256,
        )

    def _upload(self, key: str, chunks: Iterable[bytes]) -> Upload:
        with passing_as_unavailable():
            abort_left_over(self._s3, self._bucket, key)
            with Upload(self._s3, self._bucket, key, CSV) as upload:
                for chunk in chunks:
                    upload.write(chunk)
                upload.finish()
        return upload


def _days(window: Window) -> list[Day]:
    return [Day(bucket) for bucket in window.buckets]


def _differ(read: Callable[[int], tuple[bool, int, Sequence[object]]], expected: Iterable[object]) -> int:
    """Positions at which pages of the cache are not what is expected.

    Args:
        read: the page from a position on: whether the cache holds it completely, how many lines there are, and its own.
        expected: all lines.

    Raises:
        NotComparable: if the cache does not vouch for a page.
    """
    source, start, differences = iter(expected), 0, 0
    while True:
        is_complete, total, shown = read(start)
        if not is_complete:
            raise NotComparable("the window is being rebuilt")
        wanted = list(islice(source, PAGE_ENTRIES))
        differences += sum(one != other for one, other in zip_longest(shown, wanted))
        start += PAGE_ENTRIES
        if len(wanted) < PAGE_ENTRIES:
            return differences + max(0, total - start)


def _manifest(final: FinalResult, window: Window) -> Manifest:
    """As an export of the window has it: its file is the result's."""
    return Manifest(
        leaderboard_id=final.leaderboard_id,
        window=describe(window),
        status=WindowStatus.FINAL,
        rules_version=final.rules_version,
        result_version=final.version,
        audit_sequence=final.audit_sequence,
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
