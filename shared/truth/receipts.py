"""Receipts of redriven records in the registry table: when the broker appended each at first.

Redrive writes one before it sends a record again, so ingest needn't believe a record what any producer could claim.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from shared.domain.rules import LATENESS_MAX_MS
from shared.truth import keys
from shared.truth.conditions import update_if
from shared.truth.queries import BATCH_GET_KEYS_MAX, batch_get

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from shared.retries import Backoff

KEPT_MS: Final = LATENESS_MAX_MS + 40 * 86_400_000
"""How long after it was appended a record may need its receipt: no day takes records for longer than that."""
_EARLIER = "attribute_not_exists(pk) OR appended_at > :appended"
_WRITE = "SET appended_at = :appended, expires_at = :expires"


class Receipts:
    """Reads and writes receipts. A receipt stands for a record's value, wherever in the topic it stands.

    Methods raise Unavailable if DynamoDB throttles or is out of reach.
    """

    def __init__(self, client: "DynamoDBClient", table: str, backoff: "Backoff") -> None:
        self._client = client
        self._table = table
        self._backoff = backoff

    def write(self, value: bytes, appended_at_ms: int) -> None:
        """Write when the broker appended a record; of several times the earliest stays."""
        values = {":appended": appended_at_ms, ":expires": (appended_at_ms + KEPT_MS) // 1000}
        pk, sk = _place(value)
        key: dict[str, Any] = {"pk": {"S": pk}, "sk": {"S": sk}}
        update_if(self._client, self._table, key, _WRITE, _EARLIER, values=values)

    def appended_at_ms(self, values: Iterable[bytes]) -> dict[bytes, int]:
        """When the broker appended the records of some values at first; those without receipt are not in the answer."""
        asked = {_place(value): value for value in values}
        places = list(asked)
        found: dict[bytes, int] = {}
        for start in range(0, len(places), BATCH_GET_KEYS_MAX):
            chunk = places[start : start + BATCH_GET_KEYS_MAX]
            for item in batch_get(self._client, self._table, chunk, self._backoff):
                found[asked[item["pk"]["S"], item["sk"]["S"]]] = int(item["appended_at"]["N"])
        return found


def _place(value: bytes) -> tuple[str, str]:
    return keys.receipt_partition(sha256(value).hexdigest()), keys.RECEIPT
