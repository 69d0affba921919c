"""The register of dead letters in the registry table: what was refused, to be found without the queue.

The queue alone keeps what redrive sends again; nothing depends on this register. An item goes after as many days as a
message of the queue, whether the letter was sent again or not.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from shared.domain.calendar import DAY_MS, day_of, format_day
from shared.domain.events import LEADERBOARD_ID_PATTERN
from shared.domain.rejections import Reason
from shared.truth import keys
from shared.truth.failures import passing_as_unavailable
from shared.truth.queries import items
from shared.truth.tables import EXPIRY

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEPT_MS: Final = 14 * DAY_MS
"""As long as the queue keeps its messages."""
REQUEST_LETTERS_MAX: Final = 12
"""Letters of one request, with two items each; it may have 25,
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html."""
FILTERED_MAX: Final = 1_000
"""Letters of each reason that one page with a filter reads; DynamoDB stops at 1 MB of them, too."""
_BOARD: Final = re.compile(LEADERBOARD_ID_PATTERN)
_PLACE: Final = re.compile(r"(?P<sort>[0-9]{20}#[A-Za-z0-9._-]{1,249}#[0-9]{8,10}#[0-9]{20})#(?P<reason>[a-z_]{1,40})")


class InvalidPlace(ValueError):
    """A text that names no place in the register."""


class Excerpt(Struct, frozen=True):
    """The beginning of a key or value."""

    text: str
    """As UTF-8 has it; in base64 where the bytes are none."""
    is_base64: bool
    size: int
    """Bytes of the whole."""
    is_truncated: bool


class Refusal(Struct, frozen=True, kw_only=True):
    """Why a record of an event was rejected, and which."""

    reason: Reason
    detail: str
    topic: str
    partition: int
    offset: int
    appended_at_ms: int
    rejected_at_ms: int


class RegisteredLetter(Refusal, frozen=True, kw_only=True):
    """What is kept of a dead letter. `topic`, `partition` and `offset` are those of the record that was rejected; its
    time is as it came, any number where it is its producer's.
    """

    leaderboard_id: str | None
    """As far as the value could be read; likewise `user_id` and `event_id`."""
    user_id: str | None = None
    event_id: str | None
    key: Excerpt | None
    value: Excerpt | None

    @property
    def event(self) -> tuple[str, str, str] | None:
        """Leaderboard, player and event, where the value names all three as somebody could ask for them."""
        board, user_id, event_id = self.leaderboard_id, self.user_id, self.event_id
        if board is None or user_id is None or event_id is None or _BOARD.fullmatch(board) is None:
            return None
        return board, user_id, event_id

    @property
    def place(self) -> "Place":
        """Where it is in the register."""
        sort = keys.letter_sort(self.appended_at_ms, self.topic, self.partition, self.offset)
        return Place(sort, self.reason)


class Place(Struct, frozen=True, order=True):
    """A place in the register; later appends are greater."""

    sort: str
    reason: Reason

    def to_text(self) -> str:
        """As `parse_place` reads it."""
        return base64.urlsafe_b64encode(f"{self.sort}#{self.reason}".encode()).rstrip(b"=").decode()


class Choice(Struct, frozen=True):
    """Which letters are asked for; all of them if nothing is said."""

    reason: Reason | None = None
    leaderboard_id: str | None = None
    event_id: str | None = None


class LetterPage(Struct, frozen=True):
    """Letters, the last append first."""

    letters: Sequence[RegisteredLetter]
    following: Place | None
    """The place after which the next page begins; None if there is no other. A page with a filter may be short, even
    empty, and have one."""


class LetterRegister:
    """Writes and reads the register.

    Methods raise Unavailable if DynamoDB throttles or is out of reach.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def write(self, letters: Sequence[RegisteredLetter]) -> int:
        """Write up to REQUEST_LETTERS_MAX letters in one request; one that is written again replaces itself.

        Returns:
            How many DynamoDB left over; they are not tried again.
        """
        written = [*map(_item, letters), *(_refusal_item(letter) for letter in letters if letter.event is not None)]
        by_place = {(item["pk"]["S"], item["sk"]["S"]): item for item in written}  # a request may not name one twice
        request: Any = {self._table: [{"PutRequest": {"Item": item}} for item in by_place.values()]}
        with passing_as_unavailable():
            answer = self._client.batch_write_item(RequestItems=request)
        left: Any = answer.get("UnprocessedItems", {}).get(self._table, ())
        partitions = {keys.letters_partition(reason) for reason in Reason}
        return sum(one["PutRequest"]["Item"]["pk"]["S"] in partitions for one in left)

    def refusal(self, leaderboard_id: str, user_id: str, event_id: str, now_ms: int) -> Refusal | None:
        """Why the last record of an event that was registered was rejected; one request, of one item.

        None if no such letter is known: it may have been left out, have expired, or not have said whose event it is.
        """
        key: Any = _refusal_key(leaderboard_id, user_id, event_id)
        with passing_as_unavailable():
            item = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        if item is None or int(item[EXPIRY]["N"]) <= now_ms // 1000:
            return None
        return msgspec.json.decode(item["body"]["S"], type=Refusal)

    def count_unregistered(self, count: int, now_ms: int) -> None:
        """Count letters of today that are only in the queue. A request that is repeated may count twice."""
        key: Any = {"pk": {"S": keys.UNREGISTERED_LETTERS}, "sk": {"S": format_day(day_of(now_ms))}}
        with passing_as_unavailable():
            self._client.update_item(
                TableName=self._table,
                Key=key,
                UpdateExpression=f"SET {EXPIRY} = :expiry ADD letters :count",
                ExpressionAttributeValues={":count": {"N": str(count)}, ":expiry": {"N": _expiry(now_ms + DAY_MS)}},
            )

    def unregistered(self, now_ms: int) -> int:
        """How many letters of the days that the queue keeps were counted as being only there."""
        first, last = format_day(day_of(now_ms - KEPT_MS)), format_day(day_of(now_ms + DAY_MS))
        condition = "sk BETWEEN :first AND :last"
        found = items(self._client, self._table, keys.UNREGISTERED_LETTERS, condition, first=first, last=last)
        return sum(int(item["letters"]["N"]) for item in found)

    def page(self, choice: Choice, limit: int, after: Place | None, now_ms: int) -> LetterPage:
        """A page of the letters that are chosen.

        Each reason is a partition of its own: without `reason` this is one query for each. A page reads `limit` letters
        of each, or up to FILTERED_MAX if it has to look for a leaderboard or an event.
        """
        reasons = list(Reason) if choice.reason is None else [choice.reason]
        found: list[RegisteredLetter] = []
        seen_to: list[Place] = []
        for reason in reasons:
            answer = self._query(reason, choice, limit, after, now_ms)
            found += [_letter(item) for item in answer["Items"]]
            last = answer.get("LastEvaluatedKey")
            if last is not None:
                seen_to.append(Place(last["sk"]["S"], reason))
        # below this place, letters of another reason may be missing
        floor = max(seen_to, default=None)
        whole = [letter for letter in found if floor is None or letter.place >= floor]
        whole.sort(key=lambda letter: letter.place, reverse=True)
        if len(whole) > limit:
            return LetterPage(whole[:limit], whole[limit - 1].place)
        return LetterPage(whole, floor)

    def _query(self, reason: Reason, choice: Choice, limit: int, after: Place | None, now_ms: int) -> Mapping[str, Any]:
        wanted = {"leaderboard_id": choice.leaderboard_id, "event_id": choice.event_id}
        filters = {name: value for name, value in wanted.items() if value is not None}
        values: dict[str, Any] = {":pk": {"S": keys.letters_partition(reason)}, ":now": {"N": str(now_ms // 1000)}}
        values |= {f":{name}": {"S": value} for name, value in filters.items()}
        condition = "pk = :pk"
        if after is not None:
            condition += " AND sk <= :after" if reason < after.reason else " AND sk < :after"
            values[":after"] = {"S": after.sort}
        with passing_as_unavailable():
            return self._client.query(
                TableName=self._table,
                KeyConditionExpression=condition,
                # DynamoDB may take days to let an item go
                FilterExpression=" AND ".join([f"{EXPIRY} > :now", *(f"{name} = :{name}" for name in filters)]),
                ExpressionAttributeValues=values,
                ScanIndexForward=False,
                ConsistentRead=True,
                Limit=FILTERED_MAX if filters else limit,
            )


def parse_place(text: str) -> Place:
    """The place of a text.

    Raises:
        InvalidPlace: unless `Place.to_text` could have written it.
    """
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii")
        match = _PLACE.fullmatch(decoded)
        if match is None:
            raise InvalidPlace
        return Place(match["sort"], Reason(match["reason"]))
    except (binascii.Error, ValueError):
        raise InvalidPlace("is not a cursor of this service") from None


def _item(letter: RegisteredLetter) -> dict[str, Any]:
    place = letter.place
    named = {"leaderboard_id": letter.leaderboard_id, "event_id": letter.event_id}
    return {
        "pk": {"S": keys.letters_partition(place.reason)},
        "sk": {"S": place.sort},
        "body": {"S": msgspec.json.encode(letter).decode()},
        EXPIRY: {"N": _expiry(letter.rejected_at_ms)},
    } | {name: {"S": value} for name, value in named.items() if value is not None}


def _refusal_key(leaderboard_id: str, user_id: str, event_id: str) -> dict[str, Any]:
    return {"pk": {"S": keys.refusals_partition(leaderboard_id, user_id)}, "sk": {"S": event_id}}


def _refusal_item(letter: RegisteredLetter) -> dict[str, Any]:
    """What is kept beside a letter that names its event, so that one read finds it."""
    assert letter.event is not None  # noqa: S101 - it is asked for these
    body = msgspec.json.encode(msgspec.convert(letter, Refusal, from_attributes=True)).decode()
    return _refusal_key(*letter.event) | {"body": {"S": body}, EXPIRY: {"N": _expiry(letter.rejected_at_ms)}}


def _letter(item: Mapping[str, Any]) -> RegisteredLetter:
    return msgspec.json.decode(item["body"]["S"], type=RegisteredLetter)


def _expiry(from_ms: int) -> str:
    return str((from_ms + KEPT_MS) // 1000)
