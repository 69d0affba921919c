"""The register of dead letters on a real DynamoDB engine."""

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from shared.domain.calendar import DAY_MS
from shared.domain.records import Record, Source
from shared.domain.rejections import Reason, Rejection
from shared.ingest.letters import to_letter
from shared.messaging.dead_letters import RejectedRecord
from shared.truth import keys, letters
from shared.truth.letters import KEPT_MS, Choice, LetterRegister, Place, Refusal, RegisteredLetter
from shared.truth.tables import Tables, create_tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW_MS = 1_795_430_000_000
TABLE = "register-of-letters"
REASONS = (Reason.INVALID, Reason.TOO_LATE, Reason.MALFORMED)


@pytest.fixture(scope="module")
def client(dynamodb: "DynamoDBClient") -> "DynamoDBClient":
    create_tables(dynamodb, Tables(registry=TABLE))
    return dynamodb


@pytest.fixture
def register(client: "DynamoDBClient") -> LetterRegister:
    """An empty one."""
    for item in client.scan(TableName=TABLE)["Items"]:
        client.delete_item(TableName=TABLE, Key={"pk": item["pk"], "sk": item["sk"]})
    return LetterRegister(client, TABLE)


def letter(number: int, reason: Reason = Reason.INVALID, event_id: str = "e", board: str = "cup") -> RegisteredLetter:
    value = f'{{"eventId": "{event_id}", "leaderboardId": "{board}", "userId": "ann#b"}}'.encode()
    record = Record(Source("scores", number % 3, number, NOW_MS + number // 2), b"k", value)
    return to_letter(RejectedRecord(record, Rejection(reason, "why"), None), NOW_MS)


def write(register: LetterRegister, written: list[RegisteredLetter]) -> None:
    """In as many requests as it takes."""
    for start in range(0, len(written), letters.REQUEST_LETTERS_MAX):
        register.write(written[start : start + letters.REQUEST_LETTERS_MAX])


def read(register: LetterRegister, choice: Choice, limit: int, now_ms: int = NOW_MS) -> list[RegisteredLetter]:
    """All pages."""
    found: list[RegisteredLetter] = []
    after: Place | None = None
    while True:
        page = register.page(choice, limit, after, now_ms)
        assert len(page.letters) <= limit
        found += page.letters
        if page.following is None:
            return found
        assert after is None or page.following < after
        after = page.following


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
def test_pages_show_each_letter_once_the_last_append_first(register: LetterRegister, limit: int) -> None:
    written = [letter(number, REASONS[number % 7 % 3]) for number in range(20)]
    written.append(replace(written[5], reason=Reason.SCORE_OVERFLOW))  # of the same record
    write(register, written)

    found = read(register, Choice(), limit)

    assert found == sorted(written, key=lambda one: one.place, reverse=True)
    only = read(register, Choice(Reason.TOO_LATE), limit)
    assert only == [one for one in found if one.reason is Reason.TOO_LATE]


def test_a_letter_that_is_written_again_stays_one(register: LetterRegister) -> None:
    again = replace(letter(1), rejected_at_ms=NOW_MS + DAY_MS)
    register.write([letter(1), letter(1)])
    register.write([again])

    assert read(register, Choice(), 10) == [again]


@pytest.mark.parametrize("limit", [1, 3, 50])
def test_filters_find_what_lies_deep_though_a_page_reads_few(
    register: LetterRegister, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letters, "FILTERED_MAX", 4)
    written = [letter(number, REASONS[number % 3], f"e-{number % 5}", f"b-{number % 2}") for number in range(24)]
    write(register, written)
    newest = sorted(written, key=lambda one: one.place, reverse=True)

    assert read(register, Choice(event_id="e-3"), limit) == [one for one in newest if one.event_id == "e-3"]
    assert read(register, Choice(leaderboard_id="b-1"), limit) == [one for one in newest if one.leaderboard_id == "b-1"]
    both = Choice(Reason.MALFORMED, "b-0", "e-2")
    assert read(register, both, limit) == [
        one for one in newest if (one.reason, one.leaderboard_id, one.event_id) == (Reason.MALFORMED, "b-0", "e-2")
    ]
    assert read(register, Choice(event_id="none"), limit) == []


def test_a_letter_goes_with_its_message(register: LetterRegister, client: "DynamoDBClient") -> None:
    register.write([letter(1)])
    place = letter(1).place
    key = {"pk": {"S": keys.letters_partition(place.reason)}, "sk": {"S": place.sort}}

    item = client.get_item(TableName=TABLE, Key=key)["Item"]

    assert item["expires_at"] == {"N": str((NOW_MS + 14 * DAY_MS) // 1000)}
    assert read(register, Choice(), 10, NOW_MS + KEPT_MS - 1_000) != []
    assert read(register, Choice(), 10, NOW_MS + KEPT_MS) == [], "whenever DynamoDB removes it"


def test_letters_only_in_the_queue_are_counted_as_long_as_it_keeps_them(register: LetterRegister) -> None:
    register.count_unregistered(3, NOW_MS)
    register.count_unregistered(4, NOW_MS)
    register.count_unregistered(5, NOW_MS + 3 * DAY_MS)

    assert register.unregistered(NOW_MS + 3 * DAY_MS) == 12
    assert register.unregistered(NOW_MS + 16 * DAY_MS) == 5


def test_one_read_finds_why_an_event_was_rejected_last(register: LetterRegister) -> None:
    register.write([letter(1, Reason.MALFORMED), letter(2, Reason.TOO_LATE), letter(3, Reason.INVALID, "other")])
    register.write([letter(4, Reason.INVALID, board="cup-2")])

    found = register.refusal("cup", "ann#b", "e", NOW_MS)

    assert found == Refusal(
        reason=Reason.TOO_LATE,
        detail="why",
        topic="scores",
        partition=2,
        offset=2,
        appended_at_ms=NOW_MS + 1,
        rejected_at_ms=NOW_MS,
    )
    others = [("cup", "ann", "e"), ("cup", "ann#b", "e-2"), ("cu", "ann#b", "e")]
    assert [register.refusal(*event, NOW_MS) for event in others] == [None] * 3
    assert register.refusal("cup", "ann#b", "e", NOW_MS + KEPT_MS) is None, "as long as its letter"


def test_a_whole_request_of_letters_fits(register: LetterRegister) -> None:
    written = [letter(number, event_id=f"e-{number}") for number in range(letters.REQUEST_LETTERS_MAX)]

    assert register.write(written) == 0

    assert len(read(register, Choice(), 50)) == len(written)
    assert all(register.refusal("cup", "ann#b", str(one.event_id), NOW_MS) for one in written)


def test_only_letters_that_are_left_over_are_counted() -> None:
    class Busy:
        """A DynamoDB that takes no more than the first item."""

        def batch_write_item(self, RequestItems: dict[str, list[object]]) -> dict[str, object]:
            return {"UnprocessedItems": {TABLE: RequestItems[TABLE][1:]}}

    busy = LetterRegister(Busy(), TABLE)  # type: ignore[arg-type]

    assert busy.write([letter(number, event_id=f"e-{number}") for number in range(3)]) == 2
