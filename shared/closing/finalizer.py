"""Write the final result of a window whose days are sealed, once the cache equals the truth.

Step 6 of closing, see shared/closing/service.py. In detail:

1. Fold the window from the truth and rank it without the disqualified players.
2. Compare the ranking with the cache, entry for entry. If they differ, repair the cache and compare again.
3. Of a revision, stop if the result before says the same: the window is due no more.
4. Store the files: ranking, awards and manifest; of a revision also the differences and the award changes.
5. Write the result. That fails if an audit entry has followed the one as of which it was ranked, or if the period that
   a range is ranked for was changed since it was read.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from shared.admin.as_of import AmendedPlayers
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
from shared.domain.calendar import Window, WindowStatus
from shared.domain.events import format_instant
from shared.domain.periods import Period
from shared.domain.rules import Leaderboard
from shared.files.manifest import Manifest, counts_from, describe
from shared.files.scratch import scratch
from shared.files.upload import Stored, abort_left_over, store
from shared.lookups.window_rules import WindowRules
from shared.rebuild.builder import WindowBuilder
from shared.truth.export_jobs import Compression, ExportFormat, ExportPart
from shared.truth.failures import passing_as_unavailable
from shared.truth.final_results import AlreadyDone, FinalResult, FinalResults
from shared.truth.pseudonyms import PseudonymWrites
from shared.truth.reads import Reads
from shared.truth.registry import Registry
from shared.version import code_version

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CSV: Final = "text/csv; charset=utf-8"
PAGE_ENTRIES: Final = 2_000
"""Entries of the cache that one round trip reads for the comparison."""


class NotComparable(Exception):
    """The window is not complete in the cache: it is being rebuilt."""


class Drift(Exception):
    """The window in the cache differs from the truth, even after a repair."""


class Finalizer:
    """Writes the result of a window: version 1 once, and another version for each disqualification that changes it."""

    def __init__(
        self,
        *,
        reads: Reads,
        cache: WindowCache,
        builder: WindowBuilder,
        final_results: FinalResults,
        registry: Registry,
        pseudonyms: PseudonymWrites,
        disqualified_players: DisqualifiedPlayers,
        amended_players: AmendedPlayers,
        s3: "S3Client",
        bucket: str,
        now_ms: Callable[[], int],
    ) -> None:
        self._reads = reads
        self._cache = cache
        self._builder = builder
        self._final_results = final_results
        self._registry = registry
        self._window_rules = WindowRules(registry)
        self._disqualified_players = disqualified_players
        self._pseudonyms = pseudonyms
        self._amended_players = amended_players
        self._s3 = s3
        self._bucket = bucket
        self._now_ms = now_ms

    def finalize(
        self, leaderboard: Leaderboard, window: Window, *, revise: bool = False, period: Period | None = None
    ) -> FinalResult | None:
        """Write the result of a window.

        Args:
            leaderboard: whose window, as it was read once these days were sealed: by then no change of the rules can
                be in force for them any more that was not written.
            window: all its days are sealed.
            revise: whether a result that is there is ranked again, by the rules of its first version and without those
                who are disqualified now; another version is written if that changes it.
            period: for whose sake a range gets its first result, as it was read.

        Returns:
            The result; None if there is nothing new to be written.

        Raises:
            ValueError: if a day of the window is not sealed.
            NotComparable: if the window is not complete in the cache. Nothing is written.
            Drift: if the cache differs from the truth even after a repair. Nothing is written.
            AlreadyDone: if a player was disqualified or reinstated meanwhile, or the leaderboard was purged; the next
                run ranks again.
            CacheUnavailable: if the cache fails.
            Unavailable: if DynamoDB or S3 throttles or is out of reach.
        """
        if not leaderboard.is_sealed(window):
            raise ValueError(f"{window.id} of {leaderboard.id} can still change")
        before = self._final_results.final(leaderboard.id, window.id)
        if before is not None and not revise:
            return None
        with scratch() as directory:
            final = self._rank(self._rules(leaderboard, window, before), window, before, directory)
        if final is None:
            return None
        try:
            first_of = period if before is None else None
            self._final_results.write(final, first_of, leaderboard.last_start_ms)  # step 5
        except AlreadyDone:
            return None
        return final

    def _rules(self, leaderboard: Leaderboard, window: Window, before: FinalResult | None) -> Leaderboard:
        """Those in force at the window's end; of a later version those of the first."""
        if before is None:
            return self._window_rules.in_force(leaderboard, window)
        return self._window_rules.of_result(leaderboard, window, before.rules_version)

    def _rank(
        self, rules: Leaderboard, window: Window, before: FinalResult | None, directory: Path
    ) -> FinalResult | None:
        """Steps 1 to 4; None if the result before says the same."""
        out = self._disqualified_players.now(rules.id)
        self._check_unmoved(rules)  # who is moved from now on makes an audit entry that follows
        out_before = None if before is None else self._disqualified_players.as_of(rules.id, before.audit_sequence)
        apart = out.partly | (frozenset() if out_before is None else out_before.partly)
        with closing(self._reads.players(rules, window.days)) as players:
            folded = FoldedWindow(rules, players, directory, apart)
        # of what is amended meanwhile, only the next run makes a result: files of one name have one content
        ranking = WindowRanking(folded, out, self._amended_players.as_of(rules, window, out.audit_sequence))
        self._compare(rules, window, ranking)
        if before is None or out_before is None:
            return self._store(rules, window, 1, ranking)
        amended = self._amended_players.as_of(rules, window, before.audit_sequence)
        ranking_before = WindowRanking(folded, out_before, amended)
        if all(was == now for was, now in ranking.changes_since(ranking_before)):
            self._final_results.clear_due(rules.id, window.id, out.audit_sequence)
            return None
        final = self._store(rules, window, before.version + 1, ranking)
        final = replace(final, award_ids_stay=before.award_ids_stay)
        return self._add_changes(final, lambda: ranking.changes_since(ranking_before))

    def _check_unmoved(self, leaderboard: Leaderboard) -> None:
        current = self._registry.leaderboard(leaderboard.id)
        if current is not None and current.moving is not None:
            raise AlreadyDone(f"a player of {leaderboard.id} is on the way to a pseudonym")

    def _compare(self, leaderboard: Leaderboard, window: Window, ranking: WindowRanking) -> None:
        """Step 2. A window of an archived leaderboard is built for this, and forgotten afterwards: nobody reads it."""
        kept = leaderboard.keeps(window, self._now_ms()) and not leaderboard.archived
        if not kept and not self._is_complete(leaderboard, window):
            self._builder.rebuild_window(leaderboard, window)
        drift = self._drift(leaderboard, window, ranking)
        if drift:
            self._repair(leaderboard, window, kept=kept)
            drift = self._drift(leaderboard, window, ranking)
        if drift:
            if self._disqualified_players.now(leaderboard.id).audit_sequence != ranking.out.audit_sequence:
                raise AlreadyDone(f"the audit log of {leaderboard.id} has grown while {window.id} was compared")
            self._cache.withdraw(leaderboard, window, self._now_ms())
            raise Drift(f"{drift} entries of {window.id} differ; the cache is rebuilt")
        if leaderboard.archived:
            self._cache.withdraw(leaderboard, window, self._now_ms())

    def _repair(self, leaderboard: Leaderboard, window: Window, *, kept: bool) -> None:
        if kept:
            self._builder.reapply_days(leaderboard, window.days)
        else:
            self._builder.rebuild_window(leaderboard, window)

    def _is_complete(self, leaderboard: Leaderboard, window: Window) -> bool:
        return self._cache.page(leaderboard, window, 0, 1, self._now_ms()).complete

    def _drift(self, leaderboard: Leaderboard, window: Window, ranking: WindowRanking) -> int:
        """How many entries and labels of the cache differ from the ranking, or are in only one of them."""

        def page(start: int) -> tuple[bool, int, Sequence[object]]:
            found = self._cache.page(leaderboard, window, start, PAGE_ENTRIES, self._now_ms())
            return found.complete, found.total, found.lines

        def labels(start: int) -> tuple[bool, int, Sequence[object]]:
            found = self._cache.labels(leaderboard, window, start, PAGE_ENTRIES, self._now_ms())
            return found.complete, found.total, found.members

        drift = _count_differing(page, ranking.scores())
        if leaderboard.filters:
            drift += _count_differing(labels, ranking.label_members())
        return drift

    def _store(self, leaderboard: Leaderboard, window: Window, version: int, ranking: WindowRanking) -> FinalResult:
        """Step 4. The names hold all that decides the content, so no other ranking overwrites a result's files."""
        audit_sequence = ranking.out.audit_sequence
        name = f"finals/{leaderboard.id}/{window.id}/v{version}-rules-{leaderboard.version}-audit-{audit_sequence}"
        file = ranking_file(ranking.entries(), leaderboard.filters, ranking.values())
        lines = self._upload(f"{name}.csv", file)
        issued = self._pseudonyms.issued(leaderboard.id, window.id)
        awarded = Counted(entry for entry in ranking.entries() if entry.tier is not None)
        awards = self._upload(f"{name}.awards.csv", awards_file(leaderboard.id, window.id, awarded, issued))
        final = FinalResult(
            leaderboard_id=leaderboard.id,
            window_id=window.id,
            rules_version=leaderboard.version,
            version=version,
            audit_sequence=audit_sequence,
            players=ranking.players,
            sum_of_points=str(ranking.sum_of_points),
            object_key=f"{name}.csv",
            bytes=lines.bytes,
            sha256=lines.sha256,
            award_count=awarded.count,
            tiers=tuple(tier.name for tier in leaderboard.tiers),
            award_ids_stay=True,
            awards_key=f"{name}.awards.csv",
            awards_sha256=awards.sha256,
            code_version=code_version(),
            finalised_at_ms=self._now_ms(),
        )
        with passing_as_unavailable():
            _manifest(final, leaderboard, window).put(self._s3, self._bucket)
        return final

    def _add_changes(self, final: FinalResult, changes: Callable[[], Iterable[Change]]) -> FinalResult:
        """Step 4 of a revision: the differences from the version before, and the awards that they revoke and grant."""
        name, of = final.object_key.removesuffix(".csv"), (final.leaderboard_id, final.window_id)
        difference_key, awards_key = f"{name}.difference.csv", f"{name}.award-changes.csv"
        ids_stay, issued = final.award_ids_stay, self._pseudonyms.issued(*of)
        difference = self._upload(difference_key, difference_file(*of, changes(), ids_stay=ids_stay, issued=issued))
        changed = Counted(award_changes(*of, changes(), ids_stay=ids_stay, issued=issued))
        awards = self._upload(awards_key, award_changes_file(changed))
        return replace(
            final,
            difference_key=difference_key,
            difference_sha256=difference.sha256,
            award_changes=changed.count,
            award_changes_key=awards_key,
            award_changes_sha256=awards.sha256,
        )

    def _upload(self, key: str, chunks: Iterable[bytes]) -> Stored:
        with passing_as_unavailable():
            abort_left_over(self._s3, self._bucket, key)
            return store(self._s3, self._bucket, key, CSV, chunks)


def _count_differing(read: Callable[[int], tuple[bool, int, Sequence[object]]], expected: Iterable[object]) -> int:
    """How many lines of the cache are not the expected ones.

    Args:
        read: returns the page from an index on: whether the window is complete, how many lines it has, and the page's.
        expected: all lines.

    Raises:
        NotComparable: if the window is not complete in the cache.
    """
    source, start, differing = iter(expected), 0, 0
    while True:
        is_complete, total, found = read(start)
        if not is_complete:
            raise NotComparable("the window is being rebuilt")
        wanted = list(islice(source, PAGE_ENTRIES))
        differing += sum(one != other for one, other in zip_longest(found, wanted))
        start += PAGE_ENTRIES
        if len(wanted) < PAGE_ENTRIES:
            return differing + max(0, total - start)


def _manifest(final: FinalResult, leaderboard: Leaderboard, window: Window) -> Manifest:
    """The manifest that an export of the whole window has, too: its file is the result's."""
    return Manifest(
        leaderboard_id=final.leaderboard_id,
        window=describe(leaderboard, window),
        status=WindowStatus.FINAL,
        counts_from=counts_from(leaderboard),
        rules_version=final.rules_version,
        result_version=final.version,
        audit_sequence=final.audit_sequence,
        format=ExportFormat.CSV,
        compression=Compression.NONE,
        part=ExportPart(),
        object=final.object_key,
        rows=final.players,
        players=final.players,
        filters=leaderboard.filters,
        sum_of_points=final.sum_of_points,
        bytes=final.bytes,
        sha256=final.sha256,
        code_version=final.code_version,
        created_at=format_instant(final.finalised_at_ms),
    )
