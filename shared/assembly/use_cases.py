"""One property per use case, put together from parts."""

from functools import cached_property
from typing import TYPE_CHECKING

from shared.admin.amendments import Amendments
from shared.admin.as_of import AmendedPlayers
from shared.admin.disqualifications import Disqualifications, DisqualifiedPlayers
from shared.admin.gauges import Gauges
from shared.admin.profiles import PlayerProfiles
from shared.admin.pseudonyms import Pseudonymisation
from shared.admin.purges import Purges
from shared.admin.series import Occurrences
from shared.assembly.parts import Parts
from shared.cache.answer_counts import AnswerCounts
from shared.cache.profiles import ProfileCache
from shared.cache.range_budget import RangeBudget, RangeLimits
from shared.cache.searches import WindowSearches
from shared.cache.waits import Waits
from shared.closing.preview import Previews
from shared.closing.reports import ReportRecorder
from shared.closing.state import ClosingStates
from shared.exports.jobs import Exports
from shared.ingest.committer import Committer
from shared.ingest.letters import Letters
from shared.ingest.profiles import EventProfiles
from shared.ingest.projector import Projector
from shared.ingest.service import Ingest
from shared.lookups.pseudonyms import Pseudonyms
from shared.lookups.results import Results
from shared.reads.corrections import Corrections
from shared.reads.cursors import Cursors
from shared.reads.event_status import EventLookup
from shared.reads.fallback import Fallback
from shared.reads.players import Players
from shared.reads.profiles import PageProfiles
from shared.reads.rankings import Rankings
from shared.reads.result_versions import ResultVersions
from shared.rebuild.anti_entropy import Repair
from shared.rebuild.builder import IDLE_MS, WindowBuilder
from shared.rebuild.on_demand import OnDemandBuilds
from shared.rebuild.requests import RebuildRequests
from shared.rebuild.snapshots import WindowSnapshots
from shared.truth.amendments import AmendmentWrites
from shared.truth.commits import Commits
from shared.truth.pseudonyms import PseudonymWrites
from shared.truth.snapshots import Snapshots

if TYPE_CHECKING:
    from shared.admin.redrive import Redrive
    from shared.closing.coverage import Coverage
    from shared.closing.lag import Lag
    from shared.closing.service import Closing
    from shared.exports.runner import ExportRunner
    from shared.scores.submissions import Submissions


class Assembly(Parts):
    """Every use case of the service, each made when it is first used."""

    @cached_property
    def waits(self) -> Waits:
        """Who may wait for a change."""
        return Waits(self.cache, self.settings.waits_max, self.new_token)

    @cached_property
    def searches(self) -> WindowSearches:
        """Searches in cached windows."""
        return WindowSearches(self.cache)

    @cached_property
    def cursors(self) -> Cursors:
        """Cursors of rankings.

        Raises:
            InvalidSettings: if there is no key to sign them with.
        """
        return Cursors(self.settings.cursor_signing_key)

    @cached_property
    def result_versions(self) -> ResultVersions:
        """Versions of results."""
        return ResultVersions(self.final_results, self.downloads)

    @cached_property
    def closing_states(self) -> ClosingStates:
        """What closing has still to do, and what it waits for."""
        return ClosingStates(
            registry=self.registry,
            work=self.work_list,
            reports=self.closing_reports,
            final_results=self.final_results,
            reads=self.reads,
            now_ms=self.now_ms,
        )

    @cached_property
    def previews(self) -> Previews:
        """Awards as if a window closed now."""
        return Previews(self.rankings, self.results, self.closing_states)

    @cached_property
    def report_recorder(self) -> ReportRecorder:
        """Records what a run of closing found blocked."""
        return ReportRecorder(self.closing_reports, self.now_ms)

    @cached_property
    def rebuild_requests(self) -> RebuildRequests:
        """Rebuilds that an operator requests."""
        return RebuildRequests(self.cache, self.repairs, self.now_ms)

    @cached_property
    def answer_counts(self) -> AnswerCounts:
        """What the API answers."""
        return AnswerCounts(lambda: self.cache)

    @cached_property
    def gauges(self) -> Gauges:
        """What a scrape shows."""
        return Gauges(
            topic=self.settings.kafka_topic,
            progress=self.progress,
            telemetry=self.telemetry,
            registry=self.registry,
            work=self.work_list,
            cache=self.cache,
            waits=self.waits,
            answers=self.answer_counts,
            dead_letters=self.dead_letters,
            queues={"repairs": self.repairs, "ranges": self.range_builds, "exports": self.export_queue},
            now_ms=self.now_ms,
        )

    @cached_property
    def window_builder(self) -> WindowBuilder:
        """Windows from the truth."""
        return WindowBuilder(
            reads=self.reads,
            cache=self.cache,
            leases=self.builds,
            registry=self.registry,
            disqualified_players=self.disqualified_players,
            now_ms=self.now_ms,
            new_token=self.new_token,
        )

    @cached_property
    def range_budget(self) -> RangeBudget:
        """What ranges that are built on demand may take."""
        settings = self.settings
        memory_bytes = settings.ranges_memory_mb << 20
        limits = RangeLimits(memory_bytes, settings.ranges_cache_percent, settings.ranges_caller_reads)
        return RangeBudget(self.cache, limits, IDLE_MS)

    @cached_property
    def on_demand_builds(self) -> OnDemandBuilds:
        """Windows that are built when a reader requests them."""
        return OnDemandBuilds(
            builder=self.window_builder,
            leases=self.builds,
            cache=self.cache,
            registry=self.registry,
            reads=self.reads,
            budget=self.range_budget,
            queue=lambda: self.range_builds,  # whose client few reads need
            now_ms=self.now_ms,
            new_token=self.new_token,
        )

    @cached_property
    def disqualified_players(self) -> DisqualifiedPlayers:
        """Who is disqualified."""
        return DisqualifiedPlayers(self.audit_log, self.work_list)

    @cached_property
    def disqualifications(self) -> Disqualifications:
        """Disqualifies and reinstates."""
        return Disqualifications(
            audit_log=self.audit_log,
            disqualified_players=self.disqualified_players,
            registry=self.registry,
            reads=self.reads,
            cache=self.cache,
            now_ms=self.now_ms,
        )

    @cached_property
    def occurrences(self) -> Occurrences:
        """Registers occurrences of series."""
        return Occurrences(self.series, self.registry, self.now_ms)

    @cached_property
    def purges(self) -> Purges:
        """Purges leaderboards."""
        return Purges(
            registry=self.registry,
            leaderboards=self.leaderboards,
            final_results=self.final_results,
            disqualifications=self.disqualifications,
            audit_log=self.audit_log,
            delay_ms=self.settings.purge_delay_s * 1000,
            now_ms=self.now_ms,
        )

    @cached_property
    def pseudonym_writes(self) -> PseudonymWrites:
        """Pseudonyms in the truth."""
        return PseudonymWrites(self.dynamodb, self.tables, self.audit_log)

    @cached_property
    def pseudonyms(self) -> Pseudonyms:
        """By which pseudonyms players are known; the key is missed only where a leaderboard has one."""
        return Pseudonyms(self.pseudonym_writes.all, lambda: self.settings.pseudonym_secret)

    @cached_property
    def pseudonymisation(self) -> Pseudonymisation:
        """Moves players to pseudonyms."""
        return Pseudonymisation(
            writes=self.pseudonym_writes,
            pseudonyms=self.pseudonyms,
            registry=self.registry,
            reads=self.reads,
            audit_log=self.audit_log,
            disqualifications=self.disqualifications,
            disqualified_players=self.disqualified_players,
            final_results=self.final_results,
            snapshots=Snapshots(self.dynamodb, self.tables.registry),
            profiles=self.profiles,
            work_list=self.work_list,
            cache=self.cache,
            fence_ms=self.settings.pseudonym_fence_s * 1000,
            now_ms=self.now_ms,
        )

    @cached_property
    def player_profiles(self) -> PlayerProfiles:
        """Sets and shows profiles."""
        return PlayerProfiles(self.profiles, self.pseudonymisation, lambda: self.profile_cache, self.now_ms)

    @cached_property
    def profile_cache(self) -> ProfileCache:
        """Profiles in the cache."""
        return ProfileCache(self.cache)

    @cached_property
    def page_profiles(self) -> PageProfiles:
        """Profiles of the players on a page."""
        return PageProfiles(self.profiles, lambda: self.profile_cache, self.now_ms)

    @cached_property
    def amended_players(self) -> AmendedPlayers:
        """Standings as of an audit entry."""
        return AmendedPlayers(self.audit_log, self.reads)

    @cached_property
    def amendments(self) -> Amendments:
        """Voids and corrects."""
        return Amendments(
            writes=AmendmentWrites(self.dynamodb, self.tables, self.audit_log),
            audit_log=self.audit_log,
            disqualifications=self.disqualifications,
            leaderboards=self.leaderboards,
            registry=self.registry,
            reads=self.reads,
            backoff=self.backoff,
            now_ms=self.now_ms,
        )

    @cached_property
    def rankings(self) -> Rankings:
        """Reads of rankings."""
        fallback = Fallback(self.snapshots, self.reads, self.disqualified_players, self.now_ms)
        return Rankings(
            cache=self.cache,
            searches=self.searches,
            on_demand=self.on_demand_builds,
            repairs=self.repairs,
            results=self.results,
            corrections=Corrections(self.results, self.disqualified_players, self.work_list),
            fallback=fallback,
            now_ms=self.now_ms,
        )

    @cached_property
    def players(self) -> Players:
        """Reads of one player."""
        return Players(
            rankings=self.rankings,
            searches=self.searches,
            reads=self.reads,
            registry=self.registry,
            results=self.results,
            disqualified_players=self.disqualified_players,
            now_ms=self.now_ms,
            lookup=self.lookup,
        )

    @cached_property
    def event_lookup(self) -> EventLookup:
        """What became of one event."""
        return EventLookup(self.reads, self.progress, self.letter_register, self.settings.kafka_topic, self.now_ms)

    @cached_property
    def results(self) -> Results:
        """Which windows are final."""
        return Results(self.final_results, self.registry, self.now_ms, self.lookup)

    @cached_property
    def snapshots(self) -> WindowSnapshots:
        """Snapshots of windows."""
        store = Snapshots(self.dynamodb, self.tables.registry)
        return WindowSnapshots(
            cache=self.cache,
            store=store,
            reads=self.reads,
            registry=self.registry,
            disqualified_players=self.disqualified_players,
            now_ms=self.now_ms,
        )

    @cached_property
    def exports(self) -> Exports:
        """Exports, as functions/api starts and shows them."""
        return Exports(
            jobs=self.export_jobs,
            results=self.results,
            downloads=self.downloads,
            queue=self.export_queue,
            now_ms=self.now_ms,
        )

    @cached_property
    def export_runner(self) -> "ExportRunner":
        """Exports, as functions/export makes them."""
        from shared.exports.runner import ExportRunner  # noqa: PLC0415 - loads DuckDB

        return ExportRunner(
            jobs=self.export_jobs,
            leaderboards=self.leaderboards,
            results=self.results,
            disqualified_players=self.disqualified_players,
            amended_players=self.amended_players,
            reads=self.reads,
            s3=self.s3,
            bucket=self.settings.export_bucket,
            now_ms=self.now_ms,
            new_token=self.new_token,
        )

    @cached_property
    def coverage(self) -> "Coverage":
        """What is committed of the topic, for functions/close."""
        from shared.closing.coverage import Coverage  # noqa: PLC0415

        return Coverage(self.progress, self.losses, self.topic, self.now_ms)

    @cached_property
    def closing(self) -> "Closing":
        """The use case of functions/close."""
        from shared.closing.finalizer import Finalizer  # noqa: PLC0415
        from shared.closing.sealing import DaySealing  # noqa: PLC0415
        from shared.closing.service import Closing  # noqa: PLC0415
        from shared.closing.steps import ClosingSteps  # noqa: PLC0415

        finalizer = Finalizer(
            reads=self.reads,
            cache=self.cache,
            builder=self.window_builder,
            final_results=self.final_results,
            registry=self.registry,
            pseudonyms=self.pseudonym_writes,
            disqualified_players=self.disqualified_players,
            amended_players=self.amended_players,
            s3=self.s3,
            bucket=self.settings.export_bucket,
            now_ms=self.now_ms,
        )
        work = ClosingSteps(
            registry=self.registry,
            final_results=self.final_results,
            work=self.work_list,
            audit_log=self.audit_log,
            disqualifications=self.disqualifications,
            pseudonymisation=self.pseudonymisation,
            finalizer=finalizer,
            notifications=self.notifications,
            now_ms=self.now_ms,
        )
        return Closing(
            registry=self.registry,
            coverage=self.coverage,
            days=DaySealing(
                registry=self.registry, final_results=self.final_results, reads=self.reads, now_ms=self.now_ms
            ),
            work=work,
            work_list=self.work_list,
            series=self.series,
            occurrences=self.occurrences,
            rounds=self.rounds,
            now_ms=self.now_ms,
        )

    @cached_property
    def lag(self) -> "Lag":
        """What functions/close notes for a scrape."""
        from shared.closing.lag import Lag  # noqa: PLC0415

        return Lag(self.topic, self.progress, self.telemetry, self.now_ms)

    @cached_property
    def redrive(self) -> "Redrive":
        """The use case of functions/redrive."""
        from shared.admin.redrive import Redrive  # noqa: PLC0415

        return Redrive(
            dead_letters=self.dead_letters,
            topic=self.topic,
            leaderboards=self.leaderboards,
            reads=self.reads,
            receipts=self.receipts,
            run_parallel=self.run_parallel,
            now_ms=self.now_ms,
        )

    @cached_property
    def submissions(self) -> "Submissions":
        """Scores over HTTP."""
        from shared.scores.submissions import Submissions  # noqa: PLC0415 - loads the Kafka client

        return Submissions(
            leaderboards=self.leaderboards,
            reads=self.reads,
            cache=self.cache,
            topic=self.topic,
            pseudonyms=self.pseudonyms,
            now_ms=self.now_ms,
        )

    @cached_property
    def repair(self) -> Repair:
        """The use case of functions/repair."""
        return Repair(
            registry=self.registry,
            leaderboards=self.leaderboards,
            reads=self.reads,
            cache=self.cache,
            builder=self.window_builder,
            on_demand=self.on_demand_builds,
            snapshots=self.snapshots,
            rounds=self.rounds,
            now_ms=self.now_ms,
        )

    @cached_property
    def commits(self) -> Commits:
        """Writes of events."""
        return Commits(self.dynamodb, self.tables)

    @cached_property
    def projector(self) -> Projector:
        """From the truth to the live windows."""
        return Projector(self.cache, self.repairs, self.run_parallel, self.now_ms)

    @cached_property
    def letters(self) -> Letters:
        """Puts dead letters into their register."""
        return Letters(self.letter_register, self.now_ms)

    @cached_property
    def event_profiles(self) -> EventProfiles:
        """Keeps the profiles that events bring."""
        return EventProfiles(self.profiles, lambda: self.profile_cache, self.run_parallel)

    @cached_property
    def ingest(self) -> Ingest:
        """The use case of functions/ingest."""
        return Ingest(
            leaderboards=self.leaderboards,
            committer=Committer(self.commits, self.reads, self.run_parallel, self.backoff),
            projector=self.projector,
            dead_letters=self.dead_letters,
            letters=self.letters,
            profiles=self.event_profiles,
            receipts=self.receipts,
            pseudonyms=self.pseudonyms,
            progress=self.progress,
            run_parallel=self.run_parallel,
            now_ms=self.now_ms,
        )
