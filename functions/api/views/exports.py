"""Views of export jobs."""

from msgspec import Struct

from shared.domain.events import format_instant
from shared.truth.export_jobs import ExportJob


class ExportView(Struct, rename="camel", kw_only=True):
    """An export job."""

    id: str
    leaderboard_id: str
    window_id: str
    format: str
    state: str
    """`queued`, `running`, `done` or `failed`."""
    rows_written: int
    rows: int | None
    url: str | None
    manifest: str | None
    """URL of what the file has to be; null until it is made."""
    sha256: str | None
    error: str | None
    created_at: str


def to_export_view(leaderboard_id: str, job: ExportJob) -> ExportView:
    return ExportView(
        id=job.id,
        leaderboard_id=leaderboard_id,
        window_id=job.request.window_id,
        format=job.request.format,
        state=job.state,
        rows_written=job.rows_written,
        rows=job.rows,
        url=job.url,
        manifest=job.manifest_url,
        sha256=job.sha256,
        error=job.error,
        created_at=format_instant(job.created_at_ms),
    )
