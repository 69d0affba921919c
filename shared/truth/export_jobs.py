"""Export jobs in the registry table: one under way for each request."""

from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from shared.truth import keys
from shared.truth.failures import ConditionFailed, passing_as_unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DEAD_AFTER_MS: Final = 60_000
"""A running job without a heartbeat for this long has died with its process; so has a job that was not queued in it."""
QUEUED_MS: Final = 8 * 3_600_000
"""How long a queued job may wait: its message is delivered at most five times, 90 minutes apart, before it is a dead
letter (template.yaml). Until then no other job replaces it."""
ABANDONED_MAX: Final = 100
"""Keys that a job is to clean up after, some 100 bytes each. So many in a row come to nothing only if all do."""


SHEET_ROWS_MAX: Final = 1_048_575
"""Rows of a sheet of XLSX, without the header
(https://support.microsoft.com/en-us/office/excel-specifications-and-limits-1672b34d-7043-467e-8e27-269d656771c3)."""


class TooManyRows(ValueError):
    """A sheet takes no more than SHEET_ROWS_MAX rows."""

    field = "format"


def check_rows(rows: int) -> None:
    """Raise TooManyRows if a sheet can't take so many rows."""
    if rows > SHEET_ROWS_MAX:
        raise TooManyRows(f"must not be xlsx for {rows:,} rows: a sheet has {SHEET_ROWS_MAX:,}; choose a part, or csv")


class ExportFormat(StrEnum):
    """Formats of an export."""

    CSV = "csv"
    NDJSON = "ndjson"
    PARQUET = "parquet"
    XLSX = "xlsx"
    """For people: a spreadsheet changes nothing of it, and takes 1,048,575 rows."""


class Compression(StrEnum):
    """Of the file as a whole; of Parquet, of its pages."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"


class ExportPart(Struct, frozen=True, rename="camel"):
    """Which entries of a window; all if nothing is said. At most one of the first three, with or without `attr`."""

    tier: str | None = None
    top_n: int | None = None
    top_basis_points: int | None = None
    """Ranks up to ⌈N·b/10,000⌉; hundredths of a percent."""
    attr: dict[str, str] | UnsetType = UNSET
    """Filter → the value that players carry, by the filters' names; all of them at once. The first `top_n` or
    `top_basis_points` are then those among these players. Left out without any, so that the requests of before keep
    their digests."""


class ExportRequest(Struct, frozen=True):
    """What a caller asks for; the same request has one job under way."""

    window_id: str
    format: ExportFormat = ExportFormat.CSV
    compression: Compression = Compression.NONE
    part: ExportPart = ExportPart()

    @property
    def digest(self) -> str:
        """Distinguishes requests for one window, e.g. `csv-4f53cda18c2baa0c`."""
        return f"{self.format}-{sha256(msgspec.json.encode(self)).hexdigest()[:16]}"


class ExportState(StrEnum):
    """A job is queued, then running, then done or failed. After a failed one the next request starts another."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class ExportJob(Struct, frozen=True, kw_only=True):
    """One export of a window, and how far it is."""

    id: str
    leaderboard_id: str
    request: ExportRequest
    object_key: str
    created_at_ms: int
    state: ExportState = ExportState.QUEUED
    heartbeat_at_ms: int = 0
    """When its last heartbeat was."""
    is_sent: bool = False
    """Whether its message is on the queue."""
    runner: str = ""
    """Token of the process that runs it."""
    rows_written: int = 0
    rows: int | None = None
    final: bool = False
    """Whether the window had its result when the job was started: then the file is right for ever."""
    result_version: int = 0
    """Which version of it; 0 while there is none."""
    sha256: str | None = None
    error: str | None = None
    """Why it failed, for the caller."""
    tries_again: bool = False
    """Whether its message makes a failed one run again; not once another job has taken its place."""
    abandoned: tuple[str, ...] = ()
    """Objects of the jobs and tries before it that came to nothing: what is left of them goes when this one runs."""
    url: str | None = None
    """Presigned when the job is read; not stored. So is the next."""
    manifest_url: str | None = None

    @property
    def with_abandoned(self) -> tuple[str, ...]:
        """What is to be cleaned up after if this job, too, comes to nothing."""
        return (*self.abandoned, self.object_key)[-ABANDONED_MAX:]

    def is_alive(self, now_ms: int) -> bool:
        """Whether a worker is going to finish it."""
        if self.state not in (ExportState.QUEUED, ExportState.RUNNING):
            return False
        waits = self.state is ExportState.QUEUED and self.is_sent
        return now_ms - self.heartbeat_at_ms < (QUEUED_MS if waits else DEAD_AFTER_MS)


class JobTaken(Exception):
    """Another process has the job, or another job is the request's latest, since it was read."""


class ExportJobs:
    """Reads and conditional writes of jobs.

    Methods raise Unavailable if DynamoDB throttles or is out of reach.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def job(self, leaderboard_id: str, export_id: str) -> ExportJob | None:
        """A job by its id."""
        return self._get(leaderboard_id, keys.export_sort(export_id))

    def latest(self, leaderboard_id: str, request: ExportRequest) -> ExportJob | None:
        """The job that was last started for a request."""
        place = self._get(leaderboard_id, keys.export_request_sort(request.window_id, request.digest))
        return None if place is None else self.job(leaderboard_id, place.id)

    def start(self, job: ExportJob, instead_of: ExportJob | None) -> None:
        """Write a new job and make it the request's latest.

        Unless the one before is done, it is given up: whoever still has it finds that out by its next write.

        Raises:
            JobTaken: if another one became that, or another worker resumed the one before, since `instead_of` was read.
        """
        request = keys.export_request_sort(job.request.window_id, job.request.digest)
        place: dict[str, Any] = self._item(job, request) | {"current": {"S": job.id}}
        put: dict[str, Any] = {"TableName": self._table, "Item": place}
        if instead_of is None:
            put["ConditionExpression"] = "attribute_not_exists(pk)"
        else:
            put["ConditionExpression"] = "#current = :before"
            put["ExpressionAttributeNames"] = {"#current": "current"}
            put["ExpressionAttributeValues"] = {":before": {"S": instead_of.id}}
        new = {"TableName": self._table, "Item": self._item(job, keys.export_sort(job.id))}
        actions: Any = [{"Put": put}, {"Put": new | {"ConditionExpression": "attribute_not_exists(pk)"}}]
        if instead_of is not None and instead_of.state is not ExportState.DONE:
            actions.append({"Put": self._replacing(_given_up(instead_of, job.created_at_ms), instead_of)})
        try:
            with passing_as_unavailable():
                self._client.transact_write_items(TransactItems=actions)
        except ConditionFailed as failed:
            raise JobTaken(job.id) from failed

    def update(self, job: ExportJob, read: ExportJob) -> None:
        """Write a job if it is still as it was read: same state, runner and beat.

        Raises:
            JobTaken: if it is not.
        """
        try:
            with passing_as_unavailable():
                self._client.put_item(**self._replacing(job, read))
        except ConditionFailed as failed:
            raise JobTaken(job.id) from failed

    def _get(self, leaderboard_id: str, sort: str) -> ExportJob | None:
        key: Any = {"pk": {"S": keys.leaderboard_partition(leaderboard_id)}, "sk": {"S": sort}}
        with passing_as_unavailable():
            answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        item = answer.get("Item")
        return None if item is None else msgspec.json.decode(item["body"]["S"], type=ExportJob)

    def _replacing(self, job: ExportJob, read: ExportJob) -> Any:
        return {
            "TableName": self._table,
            "Item": self._item(job, keys.export_sort(job.id)),
            "ConditionExpression": "version = :read",
            "ExpressionAttributeValues": {":read": {"S": _version(read)}},
        }

    def _item(self, job: ExportJob, sort: str) -> dict[str, Any]:
        return {
            "pk": {"S": keys.leaderboard_partition(job.leaderboard_id)},
            "sk": {"S": sort},
            "body": {"S": msgspec.json.encode(job).decode()},
            "version": {"S": _version(job)},
        }


def _given_up(job: ExportJob, now_ms: int) -> ExportJob:
    return replace(
        job,
        state=ExportState.FAILED,
        runner="",
        heartbeat_at_ms=now_ms,
        tries_again=False,
        error=job.error or "its process has died; another job has replaced it",
    )


def _version(job: ExportJob) -> str:
    """What distinguishes two states of a job."""
    return f"{job.state}:{job.runner}:{job.heartbeat_at_ms}:{job.rows_written}"
