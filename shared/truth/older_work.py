"""Moves work that older versions noted, beside each leaderboard, to the list of all leaderboards' work.

They looked at every registered period in every run; a period that was over and had no result yet is noted as due.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from shared.domain.periods import Period
from shared.truth import keys
from shared.truth.failures import passing_as_unavailable
from shared.truth.finals import FinalResults
from shared.truth.queries import items
from shared.truth.work import due_item, work_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

AGAIN_MS: Final = 3_600_000
"""When it is done once more: while a new version is rolled out, functions of the older one go on for some minutes."""
_KINDS: Final = ("due#", "notice#", "open-act#")


class OlderWork:
    """Moves what there is, harmless any number of times; once that is noted, nothing is left to do."""

    def __init__(self, client: "DynamoDBClient", table: str, finals: FinalResults) -> None:
        self._client = client
        self._table = table
        self._finals = finals

    def move(self, now_ms: int) -> None:
        """Move all of it unless that was done, twice and an hour apart.

        Raises:
            Unavailable: if DynamoDB throttles or is out of reach; the next call goes on.
        """
        key: Any = work_key(keys.WORK_MOVED)
        with passing_as_unavailable():
            moved = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        if moved is not None and ("again_at" not in moved or now_ms < int(moved["again_at"]["N"])):
            return
        for leaderboard in items(self._client, self._table, keys.LEADERBOARDS):
            self._move(leaderboard["sk"]["S"])
            self._note_periods(leaderboard)
        note = key | ({"again_at": {"N": str(now_ms + AGAIN_MS)}} if moved is None else {})
        with passing_as_unavailable():
            self._client.put_item(TableName=self._table, Item=note)

    def _move(self, leaderboard_id: str) -> None:
        for kind in _KINDS:
            for item in self._of(leaderboard_id, kind):
                sort = item["sk"]["S"]
                if kind == "due#":
                    there: Any = due_item(leaderboard_id, sort.removeprefix(kind))
                else:
                    there = {**item, **work_key(keys.work_sort(leaderboard_id, sort))}
                key: Any = {name: item[name] for name in ("pk", "sk")}
                with passing_as_unavailable():
                    self._client.put_item(TableName=self._table, Item=there)
                    self._client.delete_item(TableName=self._table, Key=key)

    def _note_periods(self, leaderboard: Mapping[str, Any]) -> None:
        leaderboard_id = leaderboard["sk"]["S"]
        days = (leaderboard[name]["N"] for name in ("sealing_through", "sealed_through") if name in leaderboard)
        through = max(map(int, days), default=-1)
        found = self._of(leaderboard_id, keys.period_sort("")) if through >= 0 else iter(())
        periods = [msgspec.json.decode(item["body"]["S"], type=Period) for item in found]
        over = dict.fromkeys(period.window for period in periods if period.last <= through)
        if over:
            known = {*self._finals.windows(leaderboard_id)}
            self._finals.mark_due(leaderboard_id, [window for window in over if window not in known])

    def _of(self, leaderboard_id: str, kind: str) -> Iterator[Mapping[str, Any]]:
        partition = keys.leaderboard_partition(leaderboard_id)
        return items(self._client, self._table, partition, "begins_with(sk, :sk)", sk=kind)
