"""What is registered of a dead letter, and what becomes of ingest where that fails."""

import base64
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from infra.local.config import InvalidConfiguration
from infra.local.letters import chosen, line
from shared.domain.records import Record, Source
from shared.domain.rejections import Reason, Rejection
from shared.ingest import rejection_log
from shared.ingest.letters import KEY_BYTES_MAX, REGISTERED_MAX, VALUE_BYTES_MAX, Letters, to_letter
from shared.ingest.outcomes import OutcomeKind
from shared.ingest.service import Ingest
from shared.messaging.dead_letters import INLINE_BYTES_MAX, RejectedRecord
from shared.messaging.queues import QueueUnavailable
from shared.truth.failures import Unavailable
from shared.truth.letters import Choice, InvalidPlace, RegisteredLetter, parse_place
from tests.support.pseudonyms import NO_PROFILES

NOW_MS = 1_795_430_000_000
EVENT = b'{"eventId": "e-1", "leaderboardId": "cup", "userId": "ann", "points": "x"}'


class Register:
    """Letters in memory; fails where a test says."""

    def __init__(self) -> None:
        self.requests: list[int] = []
        self.failure: Exception | None = None
        self.fails_from = 0
        self.left_over = 0
        self.counted = 0

    def write(self, letters: Sequence[RegisteredLetter]) -> int:
        if self.failure is not None and len(self.requests) >= self.fails_from:
            raise self.failure
        self.requests.append(len(letters))
        return self.left_over

    def count_unregistered(self, count: int, _now_ms: int) -> None:
        if self.failure is not None:
            raise self.failure
        self.counted += count


def letters(register: Any) -> Letters:
    return Letters(register, lambda: NOW_MS)


def rejected(value: bytes | None = EVENT, key: bytes | None = b"cup:ann", offset: int = 7) -> RejectedRecord:
    record = Record(Source("scores", 3, offset, NOW_MS - 10), key, value)
    return RejectedRecord(record, Rejection(Reason.INVALID, "points"), None)


def registered(value: bytes | None = EVENT, key: bytes | None = b"cup:ann") -> RegisteredLetter:
    return to_letter(rejected(value, key), NOW_MS)


def test_a_letter_names_place_reason_and_what_its_value_says_of_itself() -> None:
    letter = registered()

    assert (letter.topic, letter.partition, letter.offset) == ("scores", 3, 7)
    assert (letter.reason, letter.detail) == (Reason.INVALID, "points")
    assert letter.event == ("cup", "ann", "e-1")
    assert letter.key is not None
    assert (letter.key.text, letter.key.is_base64, letter.key.is_truncated) == ("cup:ann", False, False)
    assert letter.value is not None
    assert (letter.value.text, letter.value.size) == (EVENT.decode(), len(EVENT))


def test_bytes_that_are_no_utf_8_are_kept_in_base64() -> None:
    letter = registered(b"\xff\xfe")

    assert letter.value is not None
    assert letter.value.is_base64
    assert base64.b64decode(letter.value.text) == b"\xff\xfe"


def test_a_long_value_is_cut_at_a_character_and_says_so() -> None:
    value = b"x" + "é".encode() * VALUE_BYTES_MAX

    letter = registered(value, b"k" * (KEY_BYTES_MAX + 1))

    assert letter.value is not None
    assert letter.key is not None
    assert letter.value.is_truncated
    assert letter.value.size == len(value)
    assert letter.value.text == "x" + "é" * (VALUE_BYTES_MAX // 2 - 1)
    assert letter.key.is_truncated
    assert len(letter.key.text) == KEY_BYTES_MAX


def test_a_whole_value_that_ends_within_a_character_is_kept_in_base64() -> None:
    letter = registered("é".encode()[:1])

    assert letter.value is not None
    assert letter.value.is_base64


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"[]",
        b"\xff",
        b'{"eventId": 1, "leaderboardId": {}}',
        b'{"eventId": "", "leaderboardId": ""}',
        b'{"eventId": "\\ud800", "leaderboardId": "' + b"x" * 129 + b'"}',
        b'{"a":' * 30_000,
        b'{"eventId": "e-1", "padding": "' + b"x" * INLINE_BYTES_MAX + b'"}',
    ],
)
def test_a_value_without_ids_that_a_filter_takes_is_registered_without(value: bytes | None) -> None:
    letter = registered(value, None)

    assert (letter.event_id, letter.leaderboard_id) == (None, None)
    assert letter.key is None
    assert (letter.value is None) is (value is None)


@pytest.mark.parametrize(
    "value",
    [
        b'{"eventId": "e-1", "leaderboardId": "cup"}',
        b'{"eventId": "e-1", "userId": "ann"}',
        b'{"leaderboardId": "cup", "userId": "ann"}',
        b'{"eventId": "e-1", "leaderboardId": "cup", "userId": 7}',
        b'{"eventId": "e-1", "leaderboardId": "cup#ann", "userId": "ann"}',
    ],
)
def test_a_letter_has_an_event_only_if_somebody_could_ask_for_it(value: bytes) -> None:
    assert registered(value).event is None


def test_a_call_registers_a_hundred_letters_in_nine_requests_and_counts_the_others() -> None:
    register = Register()
    one = letters(register)

    one.register([rejected(offset=number) for number in range(REGISTERED_MAX + 3)])

    assert register.requests == [12] * 8 + [4]
    assert register.counted == 3
    assert [one.take_unregistered(), one.take_unregistered()] == [3, 0]


def test_what_dynamodb_leaves_over_is_counted_and_not_tried_again() -> None:
    register = Register()
    register.left_over = 2

    letters(register).register([rejected()] * 5)

    assert (register.requests, register.counted) == ([5], 2)


class Lines:
    """The log of what is rejected; the clock stands where a test puts it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ms = NOW_MS
        self.told: list[tuple[str, dict[str, Any]]] = []
        logger = SimpleNamespace(warning=lambda message, extra: self.told.append((message, extra)))
        monkeypatch.setattr(rejection_log, "logger", logger)
        self._letters = Letters(Register(), lambda: self.now_ms)  # type: ignore[arg-type]

    def of(self, *records: RejectedRecord) -> list[tuple[str, dict[str, Any]]]:
        self.told.clear()
        self._letters.register(records)
        return [*self.told]

    def counts(self, records: int) -> tuple[int, int]:
        """How many of so many records have a line, and how many the last line says were left out."""
        told = self.of(*[rejected(offset=number) for number in range(records)])
        left_out = told.pop()[1]["leftOut"] if told and "leftOut" in told[-1][1] else 0
        return len(told), left_out


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    return Lines(monkeypatch)


def test_a_rejected_record_has_a_line_with_event_reason_and_place(lines: Lines) -> None:
    (line,) = lines.of(rejected())

    assert line == (
        "record rejected",
        {
            "reason": "invalid",
            "detail": "points",
            "topic": "scores",
            "partition": 3,
            "offset": 7,
            "leaderboard": "cup",
            "event": "e-1",
        },
    )


def test_a_record_without_ids_has_a_line_by_its_place_and_no_content(lines: Lines) -> None:
    ((_, extra),) = lines.of(rejected(b"\xff secret", b"cup:secret"))

    assert (extra["leaderboard"], extra["event"], extra["offset"]) == (None, None, 7)
    assert "secret" not in str(extra)


def test_lines_are_limited_by_call_and_minute_and_the_rest_is_counted(lines: Lines) -> None:
    assert [lines.counts(one) for one in (1, 20, 21, 200, 1)] == [(1, 0), (20, 0), (20, 1), (19, 181), (0, 1)]

    lines.now_ms += 60_000
    assert lines.counts(25) == (20, 5)


def test_nothing_rejected_has_no_line(lines: Lines) -> None:
    assert lines.counts(0) == (0, 0)


@pytest.mark.parametrize("failure", [Unavailable("throttled"), ValueError("a fault of ours")])
def test_no_failure_of_the_register_is_raised_or_followed_by_another_request(failure: Exception) -> None:
    register = Register()
    register.failure, register.fails_from = failure, 1
    one = letters(register)

    one.register([rejected(offset=number) for number in range(60)])

    assert register.requests == [12]
    assert one.take_unregistered() == 48


def ingest(send: Any, register: Any) -> tuple[Ingest, list[str]]:
    steps: list[str] = []

    def sent(_letters: Any) -> None:
        steps.append("send")
        send()

    def registered(some: Sequence[RejectedRecord]) -> None:
        steps.append("register")
        letters(register).register(some)

    parts: Any = SimpleNamespace(
        commit=lambda *_: {},
        settle_refused=lambda *_: {},
        project=lambda *_: set(),
        send=sent,
        register=registered,
        advance=lambda *_: steps.append("advance"),
    )
    service = Ingest(
        leaderboards=parts,
        committer=parts,
        projector=parts,
        dead_letters=parts,
        letters=parts,
        profiles=NO_PROFILES,
        receipts=parts,
        pseudonyms=parts,
        progress=parts,
        run_parallel=lambda calls: [call() for call in calls],
        now_ms=lambda: 0,
    )
    return service, steps


def test_ingest_goes_on_where_the_register_fails() -> None:
    register = Register()
    register.failure = Unavailable("throttled")
    service, steps = ingest(lambda: None, register)

    candidates = service.ingest([rejected(b"[]").record])

    assert [one.kind for one in candidates] == [OutcomeKind.REJECTED]
    assert steps == ["send", "register", "advance"]


def test_nothing_is_registered_that_the_queue_has_not_taken() -> None:
    def fail() -> None:
        raise QueueUnavailable("away")

    service, steps = ingest(fail, Register())

    candidates = service.ingest([rejected(b"[]").record])

    assert [one.kind for one in candidates] == [OutcomeKind.RETRY]
    assert steps == ["send"]


def test_a_batch_without_letters_asks_nothing_for_them() -> None:
    service, steps = ingest(lambda: None, Register())

    service.ingest([])

    assert steps == []


def test_a_place_is_read_as_it_was_written() -> None:
    place = registered().place

    assert parse_place(place.to_text()) == place


@pytest.mark.parametrize("text", ["", "x", "é", "====", base64.urlsafe_b64encode(b"1#t#2#3#invalid").decode()])
def test_other_texts_are_no_place(text: str) -> None:
    with pytest.raises(InvalidPlace):
        parse_place(text)


def test_a_place_of_no_reason_is_none() -> None:
    text = registered().place.sort + "#none"
    with pytest.raises(InvalidPlace):
        parse_place(base64.urlsafe_b64encode(text.encode()).decode())


def test_a_line_shows_a_letter_without_what_steers_a_terminal() -> None:
    shown = line(to_letter(rejected(b'\x1b[2J"\xc2\x9b'), NOW_MS))

    assert "\x1b" not in shown
    assert "\x9b" not in shown
    assert shown.startswith("2026-11-23T")
    assert "scores/3/7 invalid: points · key 'cup:ann' · value '\\x1b[2J\"\\x9b'" in shown
    assert "value none" in line(registered(None))
    assert "value base64 /w==" in line(registered(b"\xff"))
    assert line(registered(b"x" * 5_000)).endswith("'…")


def test_make_dead_letters_takes_a_reason_a_leaderboard_and_an_event() -> None:
    assert chosen({"REASON": "", "LEADERBOARD": "", "EVENT": ""}) == Choice()
    assert chosen({"REASON": "too_late", "LEADERBOARD": "cup", "EVENT": "e"}) == Choice(Reason.TOO_LATE, "cup", "e")
    with pytest.raises(InvalidConfiguration, match="REASON must be one of malformed"):
        chosen({"REASON": "late"})
