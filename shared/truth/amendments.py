"""Voids and corrections: ledger, standings and audit log in one transaction."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from shared.domain.audit import AuditEntry
from shared.domain.calendar import Day
from shared.domain.events import ScoreEvent
from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing
from shared.truth import keys
from shared.truth.audit_log import AuditLog
from shared.truth.commits import day_item, standing_put
from shared.truth.failures import Cancelled, ConditionFailed, passing_as_unavailable
from shared.truth.items import LedgerEntry, ledger_item
from shared.truth.tables import Tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_ABSENT: Final = "attribute_not_exists(pk)"
_COUNTS: Final = "attribute_exists(pk) AND attribute_not_exists(voided_by)"
_OPEN: Final = (
    "(attribute_not_exists(sealing_through) OR sealing_through < :day)"
    " AND (attribute_not_exists(sealed_through) OR sealed_through < :day)"
)


class Contended(Exception):
    """Ledger, standings, audit log or day changed since they were read. Nothing was written: read again, and decide."""


class AmendmentWrites:
    """Writes an audit entry, the event that it is about, and the standings that follow, all or nothing.

    So an audit entry says of every standing whether it holds the amendment: whoever reads an audit sequence first and
    standings afterwards knows by a later entry that these may be ahead.
    """

    def __init__(self, client: "DynamoDBClient", tables: Tables, audit_log: AuditLog) -> None:
        self._client = client
        self._tables = tables
        self._audit_log = audit_log

    def void(self, leaderboard: Leaderboard, audit: AuditEntry, standings: Mapping[Day, Standing]) -> None:
        """Mark an event as void.

        Args:
            leaderboard: whose event.
            audit: names player and event.
            standings: as they shall be, each one version above the one that was read.

        Raises:
            Contended: if the event is void already, or a standing or the audit log has changed.
            Unavailable: if DynamoDB throttles or is out of reach; it may have been written.
        """
        assert audit.user_id is not None  # noqa: S101
        key = {
            "pk": {"S": keys.ledger_partition(leaderboard.scores_id, audit.user_id)},
            "sk": {"S": audit.subject},
        }
        mark = {
            "TableName": self._tables.ledger,
            "Key": key,
            "UpdateExpression": "SET voided_by = :entry",
            "ConditionExpression": _COUNTS,
            "ExpressionAttributeValues": {":entry": {"N": str(audit.number)}},
        }
        self._write(leaderboard, audit, [{"Update": mark}], standings)

    def correct(
        self, leaderboard: Leaderboard, audit: AuditEntry, event: ScoreEvent, standings: Mapping[Day, Standing]
    ) -> None:
        """Add an event to the ledger that no record brought.

        Args:
            leaderboard: as it was read. A day that is open then must be so still: it must not start sealing meanwhile.
            audit: names player and event.
            event: of an id that the ledger doesn't hold.
            standings: as they shall be, each one version above the one that was read.

        Raises:
            Contended: if the ledger holds the event id, or a standing, the day or the audit log has changed.
            Unavailable: if DynamoDB throttles or is out of reach; it may have been written.
        """
        entry = LedgerEntry(event, None, added_by=audit.number)
        put = {
            "TableName": self._tables.ledger,
            "Item": ledger_item(entry, leaderboard.scores_id),
            "ConditionExpression": _ABSENT,
        }
        actions: list[dict[str, Any]] = [{"Put": put}]
        day = leaderboard.calendar.day_of(event.occurred_at_ms)
        if not leaderboard.rejects(day):
            check = {
                "TableName": self._tables.registry,
                "Key": {"pk": {"S": keys.LEADERBOARDS}, "sk": {"S": leaderboard.id}},
                "ConditionExpression": _OPEN,
                "ExpressionAttributeValues": {":day": {"N": str(int(day))}},
            }
            actions.append({"ConditionCheck": check})
        noted = {"TableName": self._tables.standings, "Item": day_item(leaderboard.scores_id, day)}
        actions.append({"Put": noted})
        self._write(leaderboard, audit, actions, standings)

    def _write(
        self,
        leaderboard: Leaderboard,
        audit: AuditEntry,
        actions: Sequence[Mapping[str, Any]],
        standings: Mapping[Day, Standing],
    ) -> None:
        assert audit.user_id is not None  # noqa: S101
        table, user_id = self._tables.standings, audit.user_id
        puts = [standing_put(table, leaderboard, user_id, day, one) for day, one in standings.items()]
        wanted: Any = [*self._audit_log.actions(leaderboard.id, audit), *actions, *puts]
        try:
            with passing_as_unavailable():
                self._client.transact_write_items(TransactItems=wanted)
        except ConditionFailed as failed:
            raise Contended(str(failed)) from failed
        except Cancelled as cancelled:
            if cancelled.is_in_conflict:
                raise Contended(str(cancelled)) from cancelled
            raise
