"""The registry: definitions of leaderboards, their rules' history, their periods."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.attributes import BooleanAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.connection import Connection
from pynamodb.exceptions import DoesNotExist, PynamoDBException
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from shared.domain.calendar import Day, Window
from shared.domain.periods import Period
from shared.domain.rules import Leaderboard
from shared.truth import keys
from shared.truth.failures import ConditionFailed, meaning
from shared.truth.items import period_text
from shared.truth.work import new_stamp

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

READ_TIMEOUT_MS: Final = 5_000
RETRIES: Final = 2
"""As many as the other client of DynamoDB makes."""
VERSIONS_AT_ONCE: Final = 10
"""Versions of rules that one request reads, some 1 KB each; mostly it is the one before."""


def _system_ms() -> int:
    return time.time_ns() // 1_000_000


class Conflict(Exception):
    """Another caller changed the item since it was read. Read it again, then decide."""


@contextmanager
def _passing() -> Iterator[None]:
    """Turns PynamoDB's errors into what they mean, see `meaning`: by the client's error, of which it keeps a part."""
    try:
        yield
    except PynamoDBException as error:
        cause = error.cause
        if isinstance(cause, ClientError) and isinstance(cause.__cause__, ClientError):
            cause = cause.__cause__
        if isinstance(cause, ClientError | BotoCoreError):
            meant = meaning(cause)
            if meant is not cause:
                raise meant from error
        raise


class _Record(Model):
    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    body = UnicodeAttribute(null=True)
    version = NumberAttribute(null=True)
    has_events = BooleanAttribute(null=True)
    sealing_through = NumberAttribute(null=True)
    seals_at = NumberAttribute(null=True)
    sealed_through = NumberAttribute(null=True)
    results_from = NumberAttribute(null=True)
    has_results = NumberAttribute(null=True)
    last_start = NumberAttribute(null=True)
    nothing_owed_version = NumberAttribute(null=True)
    pseudonyms = NumberAttribute(null=True)
    moving = UnicodeAttribute(null=True)
    stamp = NumberAttribute(null=True)


class Registry:
    """Reads (strongly consistent) and conditional writes of the registry table."""

    def __init__(
        self,
        table: str,
        *,
        region: str,
        host: str | None = None,
        client: "DynamoDBClient | None" = None,
        now_ms: Callable[[], int] = _system_ms,
    ) -> None:
        """Of one table.

        Args:
            table: its name.
            region: of AWS.
            host: the endpoint, for anything but AWS.
            client: what sends all requests. Without it PynamoDB makes two of its own, of some 25,000 objects each.
            now_ms: by this time a leaderboard that was purged is about the scores of the moment when it is read.
        """
        self._now_ms = now_ms
        limits = {"connect_timeout_seconds": 1.0, "read_timeout_seconds": READ_TIMEOUT_MS / 1000}
        limits["max_retry_attempts"] = RETRIES
        meta: Any = type("Meta", (), {"table_name": table, "region": region, "host": host, **limits})
        self._record: type[_Record] = type("BoundRecord", (_Record,), {"Meta": meta})
        self._connection = Connection(region=region, host=host, **limits)  # type: ignore[arg-type]
        if client is not None:
            for connection in (self._connection, self._record._get_connection().connection):
                connection._client = client  # type: ignore[assignment]

    @_passing()
    def leaderboard(self, leaderboard_id: str) -> Leaderboard | None:
        """The definition, also of an archived leaderboard; None if there never was one."""
        try:
            return self._to_leaderboard(self._record.get(keys.LEADERBOARDS, leaderboard_id, consistent_read=True))
        except DoesNotExist:
            return None

    @_passing()
    def leaderboards(self, limit: int, after: str | None = None, *, archived: bool = False) -> list[Leaderboard]:
        """Up to `limit` leaderboards by id, from the one that follows `after`; if `archived`, archived ones too."""
        condition = self._record.sk > after if after else None
        records = self._record.query(keys.LEADERBOARDS, condition, consistent_read=True, page_size=limit)
        return list(islice((one for one in map(self._to_leaderboard, records) if archived or not one.archived), limit))

    def save(self, leaderboard: Leaderboard, *, has_events_as_read: bool = False) -> None:
        """Write a version of a definition and its place in the rules' history, both or none.

        Args:
            leaderboard: its `version` is 1 for a new one, else one more than the version that was read.
            has_events_as_read: the change is only allowed while the leaderboard has no events.

        Raises:
            Conflict: if it was changed, created or (with `has_events_as_read`) got events since it was read; or if the
                day from which it is in force has begun sealing: windows that end with it may have their result.
        """
        if leaderboard.version == 1:
            condition: Condition = self._record.pk.does_not_exist()
        else:
            condition = self._record.version == leaderboard.version - 1
            if has_events_as_read:
                condition &= self._record.has_events.does_not_exist()
            if leaderboard.effective_from is not None:
                condition &= self._goes_on(leaderboard.effective_from)
        self._save(leaderboard, condition)

    def save_purge(self, leaderboard: Leaderboard) -> None:
        """Write the version of a definition with another start, unless the leaderboard has a final result by then.

        Raises:
            Conflict: if it was changed since it was read, or has a result.
        """
        condition = (self._record.version == leaderboard.version - 1) & self._record.has_results.does_not_exist()
        self._save(leaderboard, condition, [self._record.last_start.set(leaderboard.last_start_ms)])

    @_passing()
    def _save(self, leaderboard: Leaderboard, condition: Condition, more: Sequence[Action] = ()) -> None:
        body = msgspec.json.encode(msgspec.structs.replace(leaderboard, since_ms=0)).decode()
        record = self._record(keys.LEADERBOARDS, leaderboard.id)
        cls = self._record
        history = cls(
            keys.leaderboard_partition(leaderboard.id),
            keys.rules_sort(leaderboard.version),
            body=body,
            version=leaderboard.version,
        )
        try:
            with _passing(), TransactWrite(connection=self._connection) as transaction:
                actions = [cls.body.set(body), cls.version.set(leaderboard.version), *more]
                transaction.update(record, actions=actions, condition=condition)
                transaction.save(history, condition=cls.pk.does_not_exist())
        except ConditionFailed as failed:
            raise Conflict(str(failed)) from failed

    @_passing()
    def lock_rules(self, leaderboard: Leaderboard) -> Leaderboard:
        """Fix aggregation, order and shards for good; done before the first event of a leaderboard is written.

        Raises:
            Conflict: if the definition has changed since it was read.
        """
        record = self._record(keys.LEADERBOARDS, leaderboard.id)
        condition = self._record.version == leaderboard.version
        try:
            with _passing():
                record.update(actions=[self._record.has_events.set(True)], condition=condition)
        except ConditionFailed as failed:
            raise Conflict(str(failed)) from failed
        return msgspec.structs.replace(leaderboard, has_events=True)

    @_passing()
    def rules(self, leaderboard_id: str, version: int) -> Leaderboard | None:
        """The definition as it stood at a version."""
        try:
            partition = keys.leaderboard_partition(leaderboard_id)
            return self._to_leaderboard(self._record.get(partition, keys.rules_sort(version), consistent_read=True))
        except DoesNotExist:
            return None

    @_passing()
    def rules_for(self, leaderboard: Leaderboard, window: Window) -> Leaderboard | None:
        """The version before this one that was in force when the window's last day ended; None if all are gone."""
        cls, partition = self._record, keys.leaderboard_partition(leaderboard.id)
        earlier = cls.sk.between(keys.rules_sort(1), keys.rules_sort(leaderboard.version - 1))
        records = cls.query(
            partition, earlier, consistent_read=True, scan_index_forward=False, page_size=VERSIONS_AT_ONCE
        )
        return next((one for one in map(_to_leaderboard, records) if one.counts_for(window)), None)

    @_passing()
    def save_period(self, leaderboard_id: str, period: Period, *, before: Period | None = None) -> None:
        """Create a period, or change it from what it was before. If its last day refuses events already, its window is
        noted as due with it; otherwise whoever closes that day finds the period.

        Raises:
            Conflict: if it was changed, created or deleted since it was read, or would leave a window that has a
                result. A result is written on condition of its period, so that only one of the two comes about.
        """
        cls, going_on = self._record, self._goes_on(period.last)
        try:
            with _passing(), TransactWrite(connection=self._connection) as transaction:
                transaction.condition_check(cls, keys.LEADERBOARDS, leaderboard_id, condition=going_on)
                self._change_period(transaction, leaderboard_id, before, period)
        except ConditionFailed:
            due = cls(keys.WORK, keys.due_sort(leaderboard_id, period.window.id), stamp=new_stamp())
            try:
                with _passing(), TransactWrite(connection=self._connection) as transaction:
                    self._change_period(transaction, leaderboard_id, before, period)
                    transaction.save(due)
            except ConditionFailed as failed:
                raise Conflict(str(failed)) from failed

    @_passing()
    def delete_period(self, leaderboard_id: str, period: Period) -> None:
        """Forget a period as it was read. What it ranked stays in the truth.

        Raises:
            Conflict: if it was changed or deleted since it was read, or its window has a result.
        """
        try:
            with _passing(), TransactWrite(connection=self._connection) as transaction:
                self._change_period(transaction, leaderboard_id, period, None)
        except ConditionFailed as failed:
            raise Conflict(str(failed)) from failed

    def _change_period(
        self, transaction: TransactWrite, leaderboard_id: str, before: Period | None, after: Period | None
    ) -> None:
        """Have a transaction write or delete a period, if it is as before and no result is left behind."""
        cls, partition = self._record, keys.leaderboard_partition(leaderboard_id)
        unchanged = cls.pk.does_not_exist() if before is None else cls.body == period_text(before)
        if after is not None:
            record = cls(partition, keys.period_sort(after.id), body=period_text(after))
            transaction.save(record, condition=unchanged)
            if before is None:  # an id is that of a period or of a series
                series = keys.series_sort(leaderboard_id, after.id)
                transaction.condition_check(cls, keys.SERIES, series, condition=cls.pk.does_not_exist())
        elif before is not None:
            transaction.delete(cls(partition, keys.period_sort(before.id)), condition=unchanged)
        if before is not None and (after is None or after.window != before.window):
            final = keys.final_sort(before.window.id)
            transaction.condition_check(cls, partition, final, condition=cls.pk.does_not_exist())

    @_passing()
    def period(self, leaderboard_id: str, period_id: str) -> Period | None:
        """A registered period, None if there is none of this id."""
        try:
            partition = keys.leaderboard_partition(leaderboard_id)
            return _to_period(self._record.get(partition, keys.period_sort(period_id), consistent_read=True))
        except DoesNotExist:
            return None

    @_passing()
    def periods(self, leaderboard_id: str) -> list[Period]:
        """All registered periods of a leaderboard, by id."""
        condition = self._record.sk.startswith(keys.period_sort(""))
        partition = keys.leaderboard_partition(leaderboard_id)
        return [_to_period(record) for record in self._record.query(partition, condition, consistent_read=True)]

    def _goes_on(self, day: Day) -> Condition:
        """That a leaderboard's day is neither sealing nor sealed."""
        cls, number = self._record, int(day)
        going_on: Condition = cls.sealing_through.does_not_exist() | (cls.sealing_through < number)
        going_on &= cls.sealed_through.does_not_exist() | (cls.sealed_through < number)
        return going_on

    def _to_leaderboard(self, record: _Record) -> Leaderboard:
        found = _to_leaderboard(record)
        return found.at(self._now_ms()) if found.starts_ms else found


def _to_leaderboard(record: _Record) -> Leaderboard:
    definition = msgspec.json.decode(record.body or "", type=Leaderboard)
    sealed_through = _day(record.sealed_through)
    return msgspec.structs.replace(
        definition,
        has_events=bool(record.has_events),
        sealing_through=sealed_through if record.sealing_through is None else _day(record.sealing_through),
        seals_at_ms=None if record.seals_at is None else int(record.seals_at),
        sealed_through=sealed_through,
        results_from=_day(record.results_from),
        pseudonyms=int(record.pseudonyms or 0),
        moving=record.moving,
        nothing_owed=definition.archived and record.nothing_owed_version == definition.version,
    )


def _day(number: float | None) -> Day | None:
    return None if number is None else Day(int(number))


def _to_period(record: _Record) -> Period:
    return msgspec.json.decode(record.body or "", type=Period)
