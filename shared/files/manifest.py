"""The manifest that is stored beside each file of a ranking."""

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from shared.domain.calendar import Window, WindowStatus, format_day
from shared.domain.events import format_instant
from shared.domain.rules import Leaderboard
from shared.truth.export_jobs import Compression, ExportFormat, ExportPart

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Manifest(Struct, frozen=True, rename="camel", kw_only=True):
    """Describes the file of a ranking, so that a payer can check it."""

    leaderboard_id: str
    window: dict[str, str | None]
    status: WindowStatus
    counts_from: str | None = None
    """Events of before don't count, since the leaderboard was purged; null if it never was."""
    rules_version: int
    result_version: int
    """0 while the window is not final."""
    audit_sequence: int
    """The entry of the audit log as of which players were disqualified."""
    format: ExportFormat
    compression: Compression
    part: ExportPart
    object: str
    rows: int
    players: int
    """Of the whole window, which ranks and percentiles refer to."""
    filters: tuple[str, ...] = ()
    """Filters of the leaderboard, whose values are the columns `attr.<filter>`."""
    attr_players: int | None = None
    """Of a part by `attr`: how many players carry its values, which `attr_rank` counts. None of any other file."""
    sum_of_points: str
    """Of the rows; a decimal integer, as text, since it may be past what a double holds."""
    bytes: int
    sha256: str
    code_version: str
    created_at: str

    def put(self, s3: "S3Client", bucket: str) -> None:
        """Store it beside its file. Raises what S3 raises."""
        body = msgspec.json.encode(self)
        s3.put_object(Bucket=bucket, Key=manifest_key(self.object), Body=body, ContentType="application/json")


def counts_from(leaderboard: Leaderboard) -> str | None:
    """From when on events count among the scores that a file ranks."""
    return format_instant(leaderboard.since_ms) if leaderboard.since_ms else None


def manifest_key(object_key: str) -> str:
    """The key of a file's manifest."""
    return f"{object_key}.manifest.json"


def describe(leaderboard: Leaderboard, window: Window) -> dict[str, str | None]:
    """A window of a leaderboard, as a manifest describes it: with its dates, and the instants that they stand for."""
    calendar, all_time = leaderboard.calendar, window.is_all_time
    start_ms, end_ms = calendar.start_ms(window), calendar.end_ms(window)
    return {
        "kind": window.kind,
        "id": window.id,
        "from": None if all_time else format_day(window.first),
        "to": None if all_time else format_day(window.last),
        "startsAt": None if start_ms is None else format_instant(start_ms),
        "endsAt": None if end_ms is None else format_instant(end_ms),
        "timeZone": leaderboard.time_zone,
        "dayStartsAt": leaderboard.day_starts_at,
        "tzdata": calendar.tzdata or None,
    }
