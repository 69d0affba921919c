"""Exports of whole rankings: asked for here, made by functions/export."""

import asyncio
import time
from enum import Enum
from typing import Final, Protocol

from fastapi import FastAPI, Request, Response
from msgspec import UNSET

from functions.api.conditional import affordable_ms, applied, willing_ms
from functions.api.contract import Answered, described, operation
from functions.api.models import ExportQuery
from functions.api.params import Finder, is_export_id, read_export_query
from functions.api.problems import InvalidRequest, UnknownExport
from functions.api.views import answer
from functions.api.views.exports import ExportView, to_export_view
from shared.cache.waits import Waits
from shared.domain.calendar import Window
from shared.domain.rules import Leaderboard
from shared.exports.jobs import Exports
from shared.truth.export_jobs import Compression, ExportFormat, ExportJob, ExportPart, ExportRequest

ASK_AGAIN_S: Final = 1
LOOK_EVERY_S: Final = 0.25
"""How often a waiting request checks, with one GetItem."""
_ASK: Final = "/leaderboards/{id}/export"
_JOB: Final = "/leaderboards/{id}/exports/{exportId}"


class UseCases(Protocol):
    """What is called here."""

    @property
    def exports(self) -> Exports: ...
    @property
    def waits(self) -> Waits: ...


def register(app: FastAPI, use_cases: UseCases, finder: Finder) -> None:
    """Export jobs."""
    tags: list[str | Enum] = ["exports"]

    @app.get(_ASK, tags=tags)
    @operation(
        ExportQuery,
        {202: described(ExportView, "Being made"), 303: Answered("Made: Location is the file")},
        waits=True,
        labelled="several at once, too. `topN` and `topPercent` then count among these players, and the file has their "
        "ranks among themselves as well: `attr_rank`, `attr_competition_rank`",
    )
    async def start_export(request: Request) -> Response:
        """The file of a window, or the job that makes it. With `Prefer: wait=20`, `curl -L` follows to most files."""
        query, labels = read_export_query(request)
        leaderboard = finder.leaderboard(request)
        window = finder.window(leaderboard, query)
        job = use_cases.exports.request(leaderboard, window, _to_request(window, query, labels))
        headers: dict[str, str] = {}
        wait_ms = willing_ms(request)
        if wait_ms is not None:
            with use_cases.waits.granted(affordable_ms(request, wait_ms)) as granted:
                if granted:
                    headers |= applied(wait_ms)
                    job = await _ended(use_cases, leaderboard, job, affordable_ms(request, wait_ms))
        if job.state == "done" and job.url is not None:
            return answer(to_export_view(leaderboard.id, job), 303, headers | {"location": job.url})
        headers["location"] = f"/leaderboards/{leaderboard.id}/exports/{job.id}"
        return answer(to_export_view(leaderboard.id, job), 202, headers | {"retry-after": str(ASK_AGAIN_S)})

    @app.get(_JOB, tags=tags)
    @operation(responses={200: described(ExportView, "The job")})
    async def get_export(request: Request) -> Response:
        """How far an export is; with `url` and `manifest` once it is done."""
        leaderboard = finder.leaderboard(request)
        export_id = request.path_params["exportId"]
        found = use_cases.exports.job(leaderboard.id, export_id) if is_export_id(export_id) else None
        if found is None:
            raise UnknownExport(f"{leaderboard.id} has no such export")
        return answer(to_export_view(leaderboard.id, found))


async def _ended(use_cases: UseCases, leaderboard: Leaderboard, job: ExportJob, wait_ms: int) -> ExportJob:
    """The job once it is done or failed, or when the time is over."""
    end_s = time.monotonic() + wait_ms / 1000
    while job.state in ("queued", "running") and time.monotonic() + LOOK_EVERY_S <= end_s:
        await asyncio.sleep(LOOK_EVERY_S)
        job = use_cases.exports.job(leaderboard.id, job.id) or job
    return job


def _to_request(window: Window, query: ExportQuery, labels: dict[str, str]) -> ExportRequest:
    """Raises InvalidRequest, naming what can't be chosen."""
    if len(query.chosen) > 1:
        raise InvalidRequest(f"must not be given with {query.chosen[0]}", query.chosen[1])
    if query.format is ExportFormat.XLSX and query.compression not in (None, Compression.NONE):
        raise InvalidRequest("must be none with format=xlsx, which is compressed by itself", "compression")
    usual = Compression.ZSTD if query.format is ExportFormat.PARQUET else Compression.NONE
    part = ExportPart(query.tier, query.top_n, query.top_percent, labels or UNSET)
    return ExportRequest(window.id, query.format, query.compression or usual, part)
