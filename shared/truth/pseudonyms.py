"""Pseudonyms in the truth: which there are, and the transactions that move a player from their id to one.

1. `begin`: one transaction makes the pseudonym known, and moves the standings of all time. They leave an empty standing
   under the id, marked as moved. Since every write of a player's events is conditional on their standing of all time,
   none goes to the id any more.
2. `move_days`: the standings of days.
3. `move_events`: the ledger, page by page. Profiles do not move: `fence_profiles` forgets them.
4. `rename`: audit entries; `issue`: ids of awards that may have been paid.
5. `finish`: the player is moved. `clear` takes away what is left of the id, once nothing can go by it.

Each is a transaction of its own, or harmless twice. Every event is in the ledger of one of the two names, and in the
standings of one.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from shared.domain.audit import AuditEntry
from shared.domain.calendar import Day
from shared.domain.profiles import FENCE
from shared.domain.pseudonyms import Move
from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing
from shared.truth import keys
from shared.truth.audit_log import AuditLog
from shared.truth.commits import TRANSACTION_ITEMS_MAX
from shared.truth.failures import Cancelled, ConditionFailed, passing_as_unavailable
from shared.truth.items import Item, LedgerEntry, ledger_item, standing_item, standing_key
from shared.truth.profiles import profile_item
from shared.truth.queries import items
from shared.truth.tables import Tables
from shared.truth.work import work_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PAIRS_MAX: Final = TRANSACTION_ITEMS_MAX // 2
"""Items that one transaction moves: each is put and deleted, or replaced."""
_ABSENT: Final = "attribute_not_exists(pk)"
_PRESENT: Final = "attribute_exists(pk)"
_VERSION: Final = "version = :read"
_FIRST: Final = "attribute_exists(pk) AND attribute_not_exists(pseudonyms)"
_NOBODY_MOVES: Final = "pseudonyms = :count AND attribute_not_exists(moving)"
_MOVES: Final = "moving = :pseudonym"

Held = tuple[Leaderboard, Day, Standing]
"""A standing, and with which of a leaderboard's scores it counts."""


class Overtaken(Exception):
    """What was read has changed since. Nothing was written: read again, and decide."""


class PseudonymWrites:
    """Reads and writes of pseudonyms.

    Methods raise Unavailable if DynamoDB throttles or is out of reach; what they write may be written then.
    """

    def __init__(self, client: "DynamoDBClient", tables: Tables, audit_log: AuditLog) -> None:
        self._client = client
        self._tables = tables
        self._audit_log = audit_log

    def all(self, leaderboard_id: str) -> dict[str, int]:
        """Every pseudonym of a leaderboard, and which one it was, from 1."""
        partition, prefix = keys.leaderboard_partition(leaderboard_id), keys.pseudonym_sort("")
        found = items(self._client, self._tables.registry, partition, "begins_with(sk, :sk)", sk=prefix)
        return {item["sk"]["S"].removeprefix(prefix): int(item["number"]["N"]) for item in found}

    def begin(
        self,
        leaderboard: Leaderboard,
        move: Move,
        audit: AuditEntry,
        renamed: Iterable[AuditEntry],
        standings: Sequence[Held],
    ) -> None:
        """Make a pseudonym known, and move the standings of all time.

        Args:
            leaderboard: as it was read; nobody is being moved.
            move: who is moved.
            audit: the entry of the move, which names the pseudonym.
            renamed: earlier entries by which the player is disqualified or back, with the pseudonym in place of the id.
            standings: those of all time, of all scores that may get events; of version 0 where there is none.

        Raises:
            Overtaken: if one of the standings or the audit log has changed, or another player is being moved.
            ValueError: if that is more than one transaction takes.
        """
        log = [self._put_entry(move.leaderboard_id, entry) for entry in renamed]
        count = leaderboard.pseudonyms
        values = {":pseudonym": {"S": move.pseudonym}, ":one": {"N": "1"}}
        values |= {":count": {"N": str(count)}} if count else {}
        change = "SET moving = :pseudonym ADD pseudonyms :one"
        definition = self._definition(move, change, _NOBODY_MOVES if count else _FIRST, values)
        key = self._registry_key(move.leaderboard_id, keys.pseudonym_sort(move.pseudonym))
        item = key | {"number": {"N": str(count + 1)}}
        known = {"Put": {"TableName": self._tables.registry, "Item": item, "ConditionExpression": _ABSENT}}
        work = {"Put": {"TableName": self._tables.registry, "Item": self._work(move)}}
        moved = [action for one in standings for action in self._moved(move, *one)]
        wanted = [*self._audit_log.actions(move.leaderboard_id, audit), *log, definition, known, work, *moved]
        if len(wanted) > TRANSACTION_ITEMS_MAX:
            raise ValueError(f"{len(wanted)} items at once")
        self._write(wanted)

    def fence_profiles(self, move: Move, scores_ids: Iterable[str]) -> None:
        """Forget the player's profiles, and let none be written under the id until `clear`; harmless twice.

        Nothing is written once the move has ended: a process that was held up would bring back an id that is gone.
        """
        check = {
            "TableName": self._tables.registry,
            "Key": _definition_key(move),
            "ConditionExpression": _MOVES,
            "ExpressionAttributeValues": {":pseudonym": {"S": move.pseudonym}},
        }
        for scores_id in scores_ids:
            put = {"TableName": self._tables.registry, "Item": profile_item(scores_id, move.user_id, FENCE)}
            wanted: Any = [{"ConditionCheck": check}, {"Put": put}]
            try:
                with passing_as_unavailable():
                    self._client.transact_write_items(TransactItems=wanted)
            except ConditionFailed:
                return

    def move_days(self, move: Move, standings: Sequence[Held]) -> None:
        """Move at most PAIRS_MAX standings of days.

        Raises:
            Overtaken: if one of them is moved already.
        """
        self._write([action for one in standings for action in self._moved(move, *one)])

    def move_events(self, move: Move, scores_id: str, entries: Sequence[LedgerEntry]) -> None:
        """Move at most PAIRS_MAX events of the ledger, with their records and marks.

        Raises:
            Overtaken: if one of them is moved already.
        """
        table, actions = self._tables.ledger, list[dict[str, Any]]()
        for entry in entries:
            named = replace(entry, event=replace(entry.event, user_id=move.pseudonym))
            put = {"TableName": table, "Item": ledger_item(named, scores_id), "ConditionExpression": _ABSENT}
            place = {"pk": {"S": keys.ledger_partition(scores_id, move.user_id)}, "sk": {"S": entry.event.event_id}}
            delete = {"TableName": table, "Key": place, "ConditionExpression": _PRESENT}
            actions += [{"Put": put}, {"Delete": delete}]
        self._write(actions)

    def rename(self, move: Move, entry: AuditEntry) -> None:
        """Put the pseudonym in place of the id into an audit entry, and into what closing has to do for it."""
        body = msgspec.json.encode(replace(entry, user_id=move.pseudonym)).decode()
        log = self._registry_key(move.leaderboard_id, keys.audit_entry_sort(entry.number))
        work = work_key(keys.open_audit_entry_sort(move.leaderboard_id, entry.number))
        for key in (log, work):  # it may be applied
            self._rewrite(key | {"body": {"S": body}})

    def issue(self, move: Move, window_id: str, award_ids: Mapping[str, str]) -> None:
        """Keep the ids of the awards that the player may have got in a window, by tier."""
        key = self._registry_key(move.leaderboard_id, keys.issued_sort(window_id, move.pseudonym))
        item: Any = key | {"award_ids": {"M": {tier: {"S": one} for tier, one in award_ids.items()}}}
        with passing_as_unavailable():
            self._client.put_item(TableName=self._tables.registry, Item=item)

    def issued(self, leaderboard_id: str, window_id: str) -> dict[str, dict[str, str]]:
        """Pseudonym → tier → id of the award that the player may have got in a window before."""
        partition, prefix = keys.leaderboard_partition(leaderboard_id), keys.issued_sort(window_id, "")
        found = items(self._client, self._tables.registry, partition, "begins_with(sk, :sk)", sk=prefix)
        return {
            item["sk"]["S"].removeprefix(prefix): {tier: one["S"] for tier, one in item["award_ids"]["M"].items()}
            for item in found
        }

    def finish(self, move: Move) -> None:
        """Say that the player is moved, and since when; harmless twice.

        Args:
            move: as it is now, with the time of its end. That is noted first: who reads that the move has ended finds
                it, so that the id is fenced off for long enough from there.

        No transaction: one that is cancelled by another's conflict has not said it, though nobody else has either.
        """
        self._rewrite(self._work(move))
        update: Any = self._definition(move, "REMOVE moving", _MOVES, {":pseudonym": {"S": move.pseudonym}})["Update"]
        try:
            with passing_as_unavailable():
                self._client.update_item(**update)
        except ConditionFailed:
            return

    def _rewrite(self, item: Item) -> None:
        """Replace the body of an item of the registry, if it is still there."""
        with suppress(ConditionFailed), passing_as_unavailable():
            self._client.update_item(
                TableName=self._tables.registry,
                Key={name: item[name] for name in ("pk", "sk")},
                UpdateExpression="SET body = :body",
                ConditionExpression=_PRESENT,
                ExpressionAttributeValues={":body": item["body"]},
            )

    def clear(self, move: Move, places: Iterable[tuple[Leaderboard, Day]]) -> None:
        """Delete what fenced the id off; harmless twice."""
        for leaderboard, day in places:
            partition, sort = standing_key(leaderboard, move.user_id, day)
            with passing_as_unavailable():
                self._client.delete_item(
                    TableName=self._tables.standings, Key={"pk": {"S": partition}, "sk": {"S": sort}}
                )

    def forget(self, move: Move) -> None:
        """Take the player off the work list: with this the id is gone."""
        with passing_as_unavailable():
            self._client.delete_item(
                TableName=self._tables.registry, Key=work_key(keys.move_sort(move.leaderboard_id, move.pseudonym))
            )

    def _moved(self, move: Move, leaderboard: Leaderboard, day: Day, standing: Standing) -> list[dict[str, Any]]:
        """A standing to the pseudonym; it leaves an empty one behind, which no write that goes by it gets past."""
        table, read = self._tables.standings, standing.version
        fence = Standing(0, 0, 0, version=read + 1, moved=True)
        put: dict[str, Any] = {
            "TableName": table,
            "Item": standing_item(leaderboard, move.user_id, day, fence),
            "ConditionExpression": _VERSION if read else _ABSENT,
        }
        if not read:
            return [{"Put": put}]
        put["ExpressionAttributeValues"] = {":read": {"N": str(read)}}
        own = standing_item(leaderboard, move.pseudonym, day, standing)
        return [{"Put": put}, {"Put": {"TableName": table, "Item": own, "ConditionExpression": _ABSENT}}]

    def _put_entry(self, leaderboard_id: str, entry: AuditEntry) -> dict[str, Any]:
        key = self._registry_key(leaderboard_id, keys.audit_entry_sort(entry.number))
        return {
            "Put": {
                "TableName": self._tables.registry,
                "Item": key | {"body": {"S": msgspec.json.encode(entry).decode()}},
                "ConditionExpression": _PRESENT,
            }
        }

    def _definition(self, move: Move, change: str, condition: str, values: Mapping[str, Any]) -> dict[str, Any]:
        update = {
            "TableName": self._tables.registry,
            "Key": _definition_key(move),
            "UpdateExpression": change,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": values,
        }
        return {"Update": update}

    def _work(self, move: Move) -> Item:
        body = {"body": {"S": msgspec.json.encode(move).decode()}}
        return work_key(keys.move_sort(move.leaderboard_id, move.pseudonym)) | body

    def _registry_key(self, leaderboard_id: str, sort: str) -> Item:
        return {"pk": {"S": keys.leaderboard_partition(leaderboard_id)}, "sk": {"S": sort}}

    def _write(self, actions: Sequence[Mapping[str, Any]]) -> None:
        wanted: Any = actions
        try:
            with passing_as_unavailable():
                self._client.transact_write_items(TransactItems=wanted)
        except ConditionFailed as failed:
            raise Overtaken(str(failed)) from failed
        except Cancelled as cancelled:
            if cancelled.is_in_conflict:
                raise Overtaken(str(cancelled)) from cancelled
            raise


def _definition_key(move: Move) -> Item:
    return {"pk": {"S": keys.LEADERBOARDS}, "sk": {"S": move.leaderboard_id}}
