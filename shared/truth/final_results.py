"""Sealed days, windows that are due, their final results, and the outbox of notifications, in the registry table."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from shared.domain.calendar import Day, Window, parse_id
from shared.domain.periods import Period
from shared.domain.rules import Leaderboard
from shared.truth import keys
from shared.truth.commits import TRANSACTION_ITEMS_MAX
from shared.truth.failures import ConditionFailed, passing_as_unavailable
from shared.truth.items import period_text
from shared.truth.queries import items
from shared.truth.work import due_item, work_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DUE_MAX: Final = TRANSACTION_ITEMS_MAX - 1
"""Windows that become due in one transaction, beside the leaderboard that they belong to."""

_NOT_YET = "attribute_not_exists(pk)"
_PRESENT = "attribute_exists(pk)"
_UNCHANGED = "body = :body"
_STARTABLE = "version = :version AND (attribute_not_exists(sealing_through) OR sealing_through < :through)"
_SEALING = "sealing_through = :through AND attribute_not_exists(seals_at)"
_NEVER_PURGED = "attribute_exists(pk) AND attribute_not_exists(last_start)"
_PURGED_AS_READ = "attribute_exists(pk) AND last_start = :start"
_SAME_VERSION = "version = :version"
_SEALABLE = "attribute_not_exists(sealed_through) OR sealed_through < :through"


class FinalResult(Struct, frozen=True, kw_only=True):
    """The result of a window: where its ranking is, and by which rules it was ranked."""

    leaderboard_id: str
    window_id: str
    rules_version: int
    version: int = 1
    """Counts the results of the window: another follows when a disqualification changes it, and this one stays."""
    audit_sequence: int = 0
    """The audit entry as of which players were disqualified."""
    players: int
    sum_of_points: str
    """A decimal integer; as text, since it may be past what a double holds."""
    object_key: str
    """CSV in ranking order, as an export of the window has it."""
    bytes: int
    sha256: str
    """Of the object, in hex."""
    award_count: int = 0
    """Players in a tier."""
    tiers: tuple[str, ...] | None = None
    """The tiers that the window was ranked with; none if nobody is owed anything. None in results of before."""
    awards_key: str
    """CSV with an award id for each of them."""
    awards_sha256: str
    award_ids_stay: bool = False
    """Whether every version of this result names awards alike. Not if the first one was written while the id of an
    award depended on the version: a payer may have booked ids that no later version can name."""
    difference_key: str | None = None
    """CSV of what differs from the version before; None for the first."""
    difference_sha256: str | None = None
    award_changes: int = 0
    """Awards that were revoked or granted by comparison with the version before."""
    award_changes_key: str | None = None
    """CSV of them; None for the first version."""
    award_changes_sha256: str | None = None
    code_version: str
    finalised_at_ms: int


class Announcements(Struct, frozen=True):
    """Which versions of a window's result were announced. One that is in neither was so before that was noted, or found
    no topic that would have taken its notification."""

    at_ms: Mapping[int, int]
    """Version → when the topic had taken its notification, in ms."""
    waiting: frozenset[int]
    """Versions whose notifications are in the outbox."""


class AlreadyDone(Exception):
    """Another run has sealed these days or written this result, or the rules or the audit log have changed since they
    were read."""


class FinalResults:
    """Reads and conditional writes; what is sealed or final stays so.

    Methods raise Unavailable if DynamoDB throttles or is out of reach.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def start_sealing(self, leaderboard: Leaderboard, through: Day) -> None:
        """Let every day up to `through` reject events, if the rules are still as they were read.

        Args:
            leaderboard: as it was read.
            through: the last day to reject events.

        Raises:
            AlreadyDone: if the rules were changed, or that day rejects events already.
            Unavailable: if DynamoDB throttles or is out of reach; it may have been written.
        """
        change = "SET sealing_through = :through REMOVE seals_at"
        self._transact([self._update(leaderboard, change, _STARTABLE, version=leaderboard.version, through=through)])

    def seal_at(self, leaderboard: Leaderboard, through: Day, at_ms: int) -> None:
        """Record when the days that are sealing may be sealed, once it is known that they reject events.

        Raises:
            AlreadyDone: if it is recorded already, or other days are sealing now.
        """
        change = "SET seals_at = :at"
        self._transact([self._update(leaderboard, change, _SEALING, through=through, at=at_ms)])

    def seal(
        self, leaderboard: Leaderboard, through: Day, due: Sequence[Window], results_from: Day | None = None
    ) -> None:
        """Seal days that are sealing, up to `through`, and mark the windows as due that end with them.

        Args:
            leaderboard: as it was read.
            through: the last day to seal.
            due: at most DUE_MAX windows.
            results_from: see Leaderboard.results_from; None leaves it as it is.

        Raises:
            AlreadyDone: if the day was sealed since.
        """
        assert leaderboard.rejects(through)  # noqa: S101
        change, values = "SET sealed_through = :through", {"through": int(through)}
        if results_from is not None:
            change, values = f"{change}, results_from = :results", values | {"results": int(results_from)}
        seal = self._update(leaderboard, change, _SEALABLE, **values)
        marks = [{"Put": {"TableName": self._table, "Item": due_item(leaderboard.id, window.id)}} for window in due]
        self._transact([seal, *marks])

    def record_nothing_owed(self, leaderboard: Leaderboard) -> None:
        """Record that an archived leaderboard has no days left to seal. Whoever restores it makes another version, for
        which this doesn't hold.

        Raises:
            AlreadyDone: if its definition was changed.
        """
        assert leaderboard.archived  # noqa: S101
        change = "SET nothing_owed_version = :version"
        self._transact([self._update(leaderboard, change, _SAME_VERSION, version=leaderboard.version)])

    def mark_published(
        self, leaderboard_id: str, window_id: str, version: int, announced_at_ms: int | None = None
    ) -> None:
        """Take a result's notification out of the outbox, and note when the topic had taken it, if anybody was told.

        Raises:
            Unavailable: if DynamoDB throttles or is out of reach; it may have been written.
        """
        key = work_key(keys.notification_sort(leaderboard_id, window_id, version))
        done: list[dict[str, Any]] = [{"Delete": {"TableName": self._table, "Key": key}}]
        if announced_at_ms is not None:
            note = self._key(leaderboard_id, keys.announced_sort(window_id, version))
            note["announced_at"] = {"N": str(announced_at_ms)}
            done.append({"Put": {"TableName": self._table, "Item": note}})
        self._transact(done)

    def announcements(self, leaderboard_id: str, window_id: str) -> Announcements:
        """What is known of the announcements of a window's result.

        First what waits, then what is noted: one that leaves the outbox in between is in both, not in neither.
        """
        prefix = keys.notifications_sort(leaderboard_id, window_id)
        waiting = items(self._client, self._table, keys.WORK, "begins_with(sk, :sk)", sk=prefix)
        versions = frozenset(int(item["sk"]["S"].removeprefix(prefix)) for item in waiting)
        prefix = keys.announced_sort(window_id, None)
        noted = self._query(leaderboard_id, prefix)
        at_ms = {int(item["sk"]["S"].removeprefix(prefix)): int(item["announced_at"]["N"]) for item in noted}
        return Announcements(at_ms, versions - at_ms.keys())

    def _query(self, leaderboard_id: str, prefix: str) -> list[Mapping[str, Any]]:
        partition = keys.leaderboard_partition(leaderboard_id)
        return list(items(self._client, self._table, partition, "begins_with(sk, :sk)", sk=prefix))

    def final(self, leaderboard_id: str, window_id: str) -> FinalResult | None:
        """The latest version of a window's result; None while it has none."""
        item = self._get(leaderboard_id, keys.final_sort(window_id))
        if item is not None and "versions" in item:
            item = self._get(leaderboard_id, keys.version_sort(window_id, int(item["versions"]["N"])))
        return None if item is None else _decode(item)

    def version(self, leaderboard_id: str, window_id: str, version: int) -> FinalResult | None:
        """One version of a window's result; None if there is none."""
        sort = keys.final_sort(window_id) if version == 1 else keys.version_sort(window_id, version)
        item = self._get(leaderboard_id, sort)
        return None if item is None else _decode(item)

    def versions(self, leaderboard_id: str, window_id: str) -> list[FinalResult]:
        """Every version of a window's result, the first one first."""
        first = self._get(leaderboard_id, keys.final_sort(window_id))
        later = self._query(leaderboard_id, keys.version_sort(window_id, None))
        return [] if first is None else [_decode(first), *map(_decode, later)]

    def windows(self, leaderboard_id: str) -> list[Window]:
        """Windows that have a result."""
        prefix = keys.final_sort("")
        return [parse_id(item["sk"]["S"].removeprefix(prefix)) for item in self._query(leaderboard_id, prefix)]

    def mark_due(self, leaderboard_id: str, windows: Iterable[Window]) -> None:
        """Mark windows as due, or due again, for when their days are sealed; harmless twice."""
        for window in windows:
            item: Any = due_item(leaderboard_id, window.id)
            with passing_as_unavailable():
                self._client.put_item(TableName=self._table, Item=item)

    def write(self, final: FinalResult, period: Period | None = None, last_start_ms: int = 0) -> None:
        """Write a version of a window's result, put its notification into the outbox, and clear that it is due.

        The first version is noted with the leaderboard, which can't be purged from then on.

        Args:
            final: the result.
            period: for whose sake a range is final, as it was read. None for any other window, and for a later version.
            last_start_ms: `Leaderboard.last_start_ms` as it was when the window was ranked.

        Raises:
            AlreadyDone: if it has that version, if an audit entry has followed the one as of which it was ranked, if
                the period was changed or deleted since it was read, or if the leaderboard was purged.
            Unavailable: if DynamoDB throttles or is out of reach; it may have been written.
        """
        body = {"body": {"S": msgspec.json.encode(final).decode()}}
        key = self._key(final.leaderboard_id, keys.final_sort(final.window_id))
        if final.version == 1:
            put = {"TableName": self._table, "Item": key | body, "ConditionExpression": _NOT_YET}
            result = [{"Put": put}, self._note_result(final.leaderboard_id, last_start_ms)]
        else:
            version = self._key(final.leaderboard_id, keys.version_sort(final.window_id, final.version)) | body
            count = {
                "TableName": self._table,
                "Key": key,
                "UpdateExpression": "SET versions = :version",
                "ConditionExpression": _PRESENT,
                "ExpressionAttributeValues": {":version": {"N": str(final.version)}},
            }
            put = {"TableName": self._table, "Item": version, "ConditionExpression": _NOT_YET}
            result = [{"Update": count}, {"Put": put}]
        notification = work_key(keys.notification_sort(final.leaderboard_id, final.window_id, final.version))
        due = self._clear_due(final.leaderboard_id, final.window_id, final.audit_sequence)
        registered = [] if period is None else [self._is_registered(final.leaderboard_id, period)]
        self._transact([*result, *due, *registered, {"Put": {"TableName": self._table, "Item": notification}}])

    def _is_registered(self, leaderboard_id: str, period: Period) -> dict[str, Any]:
        check = {
            "TableName": self._table,
            "Key": self._key(leaderboard_id, keys.period_sort(period.id)),
            "ConditionExpression": _UNCHANGED,
            "ExpressionAttributeValues": {":body": {"S": period_text(period)}},
        }
        return {"ConditionCheck": check}

    def _note_result(self, leaderboard_id: str, last_start_ms: int) -> dict[str, Any]:
        started = {":start": {"N": str(last_start_ms)}} if last_start_ms else {}
        update = {
            "TableName": self._table,
            "Key": {"pk": {"S": keys.LEADERBOARDS}, "sk": {"S": leaderboard_id}},
            "UpdateExpression": "SET has_results = :one",
            "ConditionExpression": _PURGED_AS_READ if started else _NEVER_PURGED,
            "ExpressionAttributeValues": {":one": {"N": "1"}} | started,
        }
        return {"Update": update}

    def clear_due(self, leaderboard_id: str, window_id: str, audit_sequence: int) -> None:
        """Mark a window as due no more: as of an audit entry, its result is what it should be.

        Raises:
            AlreadyDone: if another audit entry has followed.
        """
        self._transact(self._clear_due(leaderboard_id, window_id, audit_sequence))

    def _clear_due(self, leaderboard_id: str, window_id: str, audit_sequence: int) -> list[dict[str, Any]]:
        """Audit entries are numbered without gaps, so that none has followed if there is none of the next number."""
        due = work_key(keys.due_sort(leaderboard_id, window_id))
        following = self._key(leaderboard_id, keys.audit_entry_sort(audit_sequence + 1))
        check = {"TableName": self._table, "Key": following, "ConditionExpression": _NOT_YET}
        return [{"Delete": {"TableName": self._table, "Key": due}}, {"ConditionCheck": check}]

    def _update(self, leaderboard: Leaderboard, change: str, condition: str, **values: int) -> dict[str, Any]:
        update = {
            "TableName": self._table,
            "Key": {"pk": {"S": keys.LEADERBOARDS}, "sk": {"S": leaderboard.id}},
            "UpdateExpression": change,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": {f":{name}": {"N": str(value)} for name, value in values.items()},
        }
        return {"Update": update}

    def _get(self, leaderboard_id: str, sort: str) -> Mapping[str, Any] | None:
        key: Any = self._key(leaderboard_id, sort)
        with passing_as_unavailable():
            return self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")

    def _transact(self, actions: Sequence[Mapping[str, Any]]) -> None:
        wanted: Any = actions
        try:
            with passing_as_unavailable():
                self._client.transact_write_items(TransactItems=wanted)
        except ConditionFailed as failed:
            raise AlreadyDone(str(failed)) from failed

    def _key(self, leaderboard_id: str, sort: str) -> dict[str, Any]:
        return {"pk": {"S": keys.leaderboard_partition(leaderboard_id)}, "sk": {"S": sort}}


def _decode(item: Mapping[str, Any]) -> FinalResult:
    return msgspec.json.decode(item["body"]["S"], type=FinalResult)
