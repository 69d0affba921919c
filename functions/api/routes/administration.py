"""Administration of players, live windows and dead letters; every action is in the audit log with who, when and why."""

from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from fastapi import FastAPI, Request, Response

from functions.api.bodies import (
    CorrectionBody,
    DisqualifyBody,
    PseudonymiseBody,
    ReasonBody,
    RebuildBody,
    RedriveBody,
    ReinstateBody,
)
from functions.api.contract import described, operation
from functions.api.edge import caller
from functions.api.models import AuditLogQuery
from functions.api.params import Finder, read_query, to_event_id, to_user_id
from functions.api.problems import FinalResultExists, InvalidRequest, NeverDisqualified, UnknownPlayer
from functions.api.views import answer
from functions.api.views.audit import (
    AmendmentView,
    AuditEntryView,
    AuditLogView,
    DisqualificationView,
    DisqualifiedView,
    PseudonymView,
    PurgeView,
    RebuildView,
    RedrivenView,
    to_amendment_view,
    to_audit_entry_view,
    to_disqualification_view,
    to_disqualified_view,
    to_rebuild_view,
)
from shared.admin.amendments import Amendments
from shared.admin.disqualifications import Disqualifications, DisqualifiedPlayers
from shared.admin.pseudonyms import Pseudonymisation
from shared.admin.purges import HasResult, Purges
from shared.domain.audit import AuditAction
from shared.domain.events import format_instant
from shared.domain.rejections import Rejection
from shared.messaging.dead_letters import RedriveFilter
from shared.rebuild.builder import WindowBuilder
from shared.rebuild.requests import RebuildRequests
from shared.truth.audit_log import AuditLog

if TYPE_CHECKING:
    from shared.admin.redrive import Redrive  # loads the Kafka client

REDRIVE_TIME_MS: Final = 15_000
"""How long one request sends dead letters back; API Gateway gives up after 30 s."""
_DISQUALIFY: Final = "/leaderboards/{id}/players/{userId:path}/disqualify"
_REINSTATE: Final = "/leaderboards/{id}/players/{userId:path}/reinstate"
_VOID: Final = "/leaderboards/{id}/players/{userId:path}/events/{eventId:path}/void"
_CORRECTIONS: Final = "/leaderboards/{id}/players/{userId:path}/corrections"
_DISQUALIFIED: Final = "/leaderboards/{id}/disqualified"
_AUDIT_LOG: Final = "/leaderboards/{id}/audit-log"
_REBUILD: Final = "/leaderboards/{id}/rebuild"
_REDRIVE: Final = "/leaderboards/{id}/redrive"
_PSEUDONYMISE: Final = "/leaderboards/{id}/players/{userId:path}/pseudonymise"
_PURGE: Final = "/leaderboards/{id}/purge"
MOVE_TIME_MS: Final = 3_000
"""How long one request moves what it has begun to; closing does the rest."""
STAYS: Final = (
    "exports that were made before, until they expire",
    "records on the topic and dead letters, until they expire",
    "backups of the tables, until they expire",
    "logs, until they expire",
    "reasons in the audit log that people wrote it into",
)
"""What keeps a user id beside the files of results."""
_FRESH: Final = {"cache-control": "no-store"}
_TAGS: Final[list[str | Enum]] = ["administration"]


class UseCases(Protocol):
    """What is called here."""

    @property
    def amendments(self) -> Amendments: ...
    @property
    def audit_log(self) -> AuditLog: ...
    @property
    def disqualifications(self) -> Disqualifications: ...
    @property
    def disqualified_players(self) -> DisqualifiedPlayers: ...
    @property
    def pseudonymisation(self) -> Pseudonymisation: ...
    @property
    def purges(self) -> Purges: ...
    @property
    def rebuild_requests(self) -> RebuildRequests: ...
    @property
    def redrive(self) -> "Redrive": ...
    @property
    def window_builder(self) -> WindowBuilder: ...


def register(app: FastAPI, use_cases: UseCases, finder: Finder) -> None:
    """Audit entries of players."""

    @app.post(_DISQUALIFY, tags=_TAGS)
    @operation(
        responses={
            200: described(DisqualificationView, "The player is disqualified, by this entry or by an earlier one")
        }
    )
    async def disqualify_player(request: Request, body: DisqualifyBody) -> Response:
        """Take a player out of every ranking. Their events stay; a result that they stand in gets another version.

        With `from` and `to` only the events of those days are out: the player keeps the scores and awards of the
        others. In a window that has both, only the scores of the other days count. Days add up over several requests.
        A player without events can be disqualified in advance; `known` is false then, and with `strict` it is a 404.
        Of a deleted leaderboard, too: its results are corrected like any other's.
        """
        user_id = to_user_id(request.path_params["userId"])
        leaderboard = finder.leaderboard(request, now=True, or_deleted=True)
        run = body.to_run()
        use_cases.pseudonymisation.check(leaderboard, user_id)
        known = use_cases.disqualifications.is_known(leaderboard, user_id)
        if body.strict and not known:
            raise UnknownPlayer(f"{user_id!r} has no events on {leaderboard.id}; nobody was disqualified")
        entry, _ = use_cases.disqualifications.disqualify(
            leaderboard,
            user_id,
            caller(request).subject,
            body.reason,
            run=run,
            check=lambda: use_cases.pseudonymisation.check(leaderboard, user_id),
        )
        return answer(to_disqualification_view(entry, known=known), 200, _FRESH)

    _register_reinstatement(app, use_cases, finder)


def _register_reinstatement(app: FastAPI, use_cases: UseCases, finder: Finder) -> None:
    @app.post(_REINSTATE, tags=_TAGS)
    @operation(
        responses={
            200: described(
                AuditEntryView,
                "The player is back, by this entry or by an earlier one",
                example="AuditEntryView of reinstate",
            )
        }
    )
    async def reinstate_player(request: Request, body: ReinstateBody) -> Response:
        """Put a disqualified player back, with everything that they have scored meanwhile.

        With `from` and `to` only the events of those days count again, whatever they were disqualified for; those of
        other days stay out.
        """
        user_id = to_user_id(request.path_params["userId"])
        leaderboard = finder.leaderboard(request, now=True, or_deleted=True)
        use_cases.pseudonymisation.check(leaderboard, user_id)
        entry, _ = use_cases.disqualifications.reinstate(
            leaderboard,
            user_id,
            caller(request).subject,
            body.reason,
            run=body.to_run(),
            check=lambda: use_cases.pseudonymisation.check(leaderboard, user_id),
        )
        if entry is None:
            raise NeverDisqualified(f"{user_id!r} was never disqualified in {leaderboard.id}")
        return answer(to_audit_entry_view(entry), 200, _FRESH)


def register_amendments(app: FastAPI, use_cases: UseCases, finder: Finder) -> None:
    """Voids and corrections."""

    @app.post(_VOID, tags=_TAGS)
    @operation(responses={200: described(AmendmentView, "The event is void, by this entry or by an earlier one")})
    async def void_event(request: Request, body: ReasonBody) -> Response:
        """Take one event back, whenever it was. It stays in the ledger, marked, and counts nothing.

        Windows that are going on follow at once; a result that it changes gets another version. Sent again, it says
        `already`. The topic can't bring the event back: its record is a duplicate.
        """
        user_id = to_user_id(request.path_params["userId"])
        event_id = to_event_id(request.path_params["eventId"])
        leaderboard = finder.leaderboard(request, now=True)
        use_cases.pseudonymisation.check(leaderboard, user_id)
        done = use_cases.amendments.void(leaderboard, user_id, event_id, caller(request).subject, body.reason)
        return answer(to_amendment_view(done.entry, already=done.already), 200, _FRESH)

    _register_corrections(app, use_cases, finder)


def _register_corrections(app: FastAPI, use_cases: UseCases, finder: Finder) -> None:
    @app.post(_CORRECTIONS, tags=_TAGS)
    @operation(
        responses={
            200: described(
                AmendmentView,
                "The event counts, by this entry or by an earlier one",
                example="AmendmentView of correct",
            )
        }
    )
    async def add_correction(request: Request, body: CorrectionBody) -> Response:
        """Add an event of any day that is over or going on, without the topic; it is voided like any other.

        Windows that are going on follow at once; a result that it changes gets another version. Sent again with the
        same `eventId`, it says `already`.
        """
        user_id = to_user_id(request.path_params["userId"])
        leaderboard = finder.leaderboard(request, now=True)
        use_cases.pseudonymisation.check(leaderboard, user_id)
        try:
            event = body.to_event(leaderboard.id, user_id)
        except Rejection as rejection:
            raise InvalidRequest(rejection.detail.removeprefix("occurredAt").lstrip(": "), "occurredAt") from None
        done = use_cases.amendments.correct(leaderboard, event, caller(request).subject, body.reason)
        return answer(to_amendment_view(done.entry, already=done.already), 200, _FRESH)


def register_audit_log(app: FastAPI, use_cases: UseCases, finder: Finder) -> None:
    """The audit log, and who is disqualified."""

    @app.get(_DISQUALIFIED, tags=_TAGS)
    @operation(responses={200: described(DisqualifiedView, "All of them, by id")})
    async def list_disqualified(request: Request) -> Response:
        """Who is disqualified now, also of a deleted leaderboard."""
        leaderboard = finder.leaderboard(request, or_deleted=True)
        out = use_cases.disqualified_players.now(leaderboard.id)
        return answer(to_disqualified_view(leaderboard.id, out), 200, _FRESH)

    @app.get(_AUDIT_LOG, tags=_TAGS)
    @operation(AuditLogQuery, {200: described(AuditLogView, "A page of the audit log, the first entry first")})
    async def list_audit_log(request: Request) -> Response:
        """The audit log: who did what, when and why. A deleted leaderboard keeps its own."""
        query = read_query(request, AuditLogQuery)
        leaderboard_id = finder.leaderboard(request, or_deleted=True).id
        found = list(use_cases.audit_log.read(leaderboard_id, query.after, query.limit + 1))
        page = [to_audit_entry_view(entry) for entry in found[: query.limit]]
        following = page[-1].number if len(found) > len(page) else None
        return answer(AuditLogView(leaderboard_id=leaderboard_id, entries=page, next_after=following), 200, _FRESH)


def register_rebuild(app: FastAPI, use_cases: UseCases, finder: Finder) -> None:
    """The cache of a leaderboard."""

    @app.post(_REBUILD, tags=_TAGS, status_code=202)
    @operation(
        responses={
            202: described(AuditEntryView, "It will be done within moments", example="AuditEntryView of rebuild")
        }
    )
    async def start_rebuild(request: Request, body: RebuildBody) -> Response:
        """Forget what the cache holds of the leaderboard, so that it is rebuilt; with `window` that window alone.

        Until that is done, reads answer from snapshots and say so.
        """
        leaderboard = finder.leaderboard(request, now=True)
        window = body.to_window()
        subject = None if window is None else window.id
        entry = use_cases.disqualifications.record(
            leaderboard.id, AuditAction.REBUILD, caller(request).subject, reason=body.reason, subject=subject
        )
        use_cases.rebuild_requests.request(leaderboard, window)
        return answer(to_audit_entry_view(entry), 202, _FRESH)

    @app.get(_REBUILD, tags=_TAGS)
    @operation(responses={200: described(RebuildView, "How far they are")})
    async def get_rebuild(request: Request) -> Response:
        """Whether the live windows hold all of the truth, or how far their rebuild is."""
        leaderboard = finder.leaderboard(request, now=True)
        return answer(
            to_rebuild_view(leaderboard.id, use_cases.window_builder.rebuild_progress(leaderboard)), 200, _FRESH
        )


def register_redrive(app: FastAPI, use_cases: UseCases, finder: Finder) -> None:
    """Dead letters."""

    @app.post(_REDRIVE, tags=_TAGS)
    @operation(responses={200: described(RedrivenView, "What became of them")})
    async def redrive_dead_letters(request: Request, body: RedriveBody) -> Response:
        """Send dead letters of the leaderboard back to the topic; ask again until it is `complete`."""
        leaderboard = finder.leaderboard(request, now=True)
        entry = use_cases.disqualifications.record(
            leaderboard.id, AuditAction.REDRIVE, caller(request).subject, reason=body.reason, subject=body.rejected_as
        )
        started_ms = finder.now_ms()
        done = use_cases.redrive.run(
            RedriveFilter(body.rejected_as, leaderboard.id), lambda: finder.now_ms() - started_ms < REDRIVE_TIME_MS
        )
        return answer(
            RedrivenView(
                audit_entry=to_audit_entry_view(entry),
                sent=done.sent,
                failed=done.failed,
                left=done.left,
                too_late=done.too_late,
                complete=done.complete,
            ),
            200,
            _FRESH,
        )


def register_purge(app: FastAPI, use_cases: UseCases, finder: Finder) -> None:
    """Starting over."""

    @app.post(_PURGE, tags=_TAGS, status_code=202)
    @operation(responses={202: described(PurgeView, "It starts over at `countsFrom`")})
    async def purge_leaderboard(request: Request, body: ReasonBody) -> Response:
        """Empty a leaderboard that has no final result yet: from `countsFrom` on, nothing of before counts.

        Its definition, periods, disqualified players and audit log stay; the ledger keeps what counted before, apart.
        Asking again before `countsFrom` changes nothing.
        """
        leaderboard = finder.leaderboard(request, now=True)
        try:
            entry, purged = use_cases.purges.purge(leaderboard, caller(request).subject, body.reason)
        except HasResult as error:
            raise FinalResultExists(f"{error}: they may be paid from; create another leaderboard instead") from error
        view = PurgeView(
            audit_entry=None if entry is None else to_audit_entry_view(entry),
            leaderboard_id=purged.id,
            counts_from=format_instant(purged.last_start_ms),
        )
        return answer(view, 202, _FRESH)


def register_pseudonyms(app: FastAPI, use_cases: UseCases, finder: Finder) -> None:
    """Forgetting who somebody is."""

    @app.post(_PSEUDONYMISE, tags=_TAGS)
    @operation(responses={200: described(PseudonymView, "The player is known by this pseudonym alone")})
    async def pseudonymise_player(request: Request, body: PseudonymiseBody) -> Response:
        """Replace a player's id by a pseudonym, in everything that can still change: scores and awards stay.

        Events that come later under the id count for the pseudonym; reads by the id find nothing. Whoever asks again
        gets the same answer; nothing else tells which id a pseudonym stands for. `stays` lists what still names it. A
        player without events gets one, too; `known` is false then, and with `strict` it is a 404.
        """
        user_id = to_user_id(request.path_params["userId"])
        leaderboard = finder.leaderboard(request, now=True, or_deleted=True)
        moves, started_ms = use_cases.pseudonymisation, finder.now_ms()
        if body.strict and not moves.is_known(leaderboard, user_id):
            raise UnknownPlayer(f"{user_id!r} has no events on {leaderboard.id}; nobody got a pseudonym")
        done = moves.pseudonymise(
            leaderboard,
            user_id,
            caller(request).subject,
            body.reason,
            lambda: finder.now_ms() - started_ms < MOVE_TIME_MS,
        )
        view = PseudonymView(
            audit_entry=to_audit_entry_view(done.entry),
            leaderboard_id=leaderboard.id,
            pseudonym=done.pseudonym,
            known=done.known,
            complete=done.is_done,
            stays=[*moves.files(leaderboard, done.entry.number), *STAYS],
        )
        return answer(view, 200, _FRESH)
