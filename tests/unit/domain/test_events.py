"""Reading score events: every field at its limit and one past it."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from shared.domain.calendar import day_of, parse_day
from shared.domain.events import POINTS_MAX, ScoreEvent, decode, format_instant, parse_instant
from shared.domain.rejections import Reason, Rejection
from tests.support import oracle

SCHEMA = json.loads(Path("events/score-event.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=FormatChecker())

EVENT: dict[str, Any] = {
    "eventId": "e-1",
    "leaderboardId": "autumn-cup",
    "userId": "u-42",
    "points": 25,
    "occurredAt": "2026-11-23T10:15:30.123Z",
    "attributes": {"country": "DE"},
}
MIDNIGHT = "2026-11-24T00:00:00Z"


def event(**changes: Any) -> dict[str, Any]:
    return EVENT | changes


def without(field: str) -> dict[str, Any]:
    return {name: value for name, value in EVENT.items() if name != field}


def encode(value: Any) -> bytes:
    return json.dumps(value).encode()


def with_points(literal: str) -> bytes:
    return encode(event(points="@")).replace(b'"@"', literal.encode())


def rejection(value: bytes | None) -> Rejection:
    with pytest.raises(Rejection) as caught:
        decode(value)
    return caught.value


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    for example in SCHEMA["examples"]:
        decode(encode(example))


def test_every_field_arrives() -> None:
    assert decode(encode(EVENT)) == ScoreEvent(
        "e-1", "autumn-cup", "u-42", 25, parse_day("2026-11-23") * 86_400_000 + 36_930_123, {"country": "DE"}
    )


VALID = {
    "no attributes": without("attributes"),
    "unknown fields": event(extra={"deep": [1, None, {"points": "x"}]}, Points="x"),
    "points at the lower limit": event(points=-POINTS_MAX),
    "points at the upper limit": event(points=POINTS_MAX),
    "points zero": event(points=0),
    "event id of 1 character": event(eventId="e"),
    "event id of 128 characters": event(eventId="e" * 128),
    "event id of 128 characters outside the basic plane": event(eventId="\U0001f600" * 128),
    "event id with control characters": event(eventId="\u0000\n"),
    "leaderboard id of 1 character": event(leaderboardId="0"),
    "leaderboard id of 64 characters": event(leaderboardId="a" * 63 + "-"),
    "user id of 1 byte": event(userId="#"),
    "user id of 128 bytes": event(userId="u" * 128),
    "user id of 128 bytes in 64 characters": event(userId="é" * 64),
    "user id of 128 bytes in 32 characters": event(userId="\U0001f600" * 32),
    "user id just past the control characters": event(userId=" \u00a0\u2028"),
    "attributes empty": event(attributes={}),
    "16 attributes": event(attributes={f"a{number}": "" for number in range(16)}),
    "attribute name of 64 characters": event(attributes={"n" * 64: ""}),
    "attribute value of 256 characters": event(attributes={"n": "é" * 256}),
    "occurredAt of 1970": event(occurredAt="1970-01-01T00:00:00Z"),
    "occurredAt of 2100": event(occurredAt="2100-12-31T23:59:59.999999Z"),
    "occurredAt with an offset": event(occurredAt="2026-11-24T05:30:00+05:30"),
    "occurredAt with the largest offset": event(occurredAt="2026-11-24T23:59:00+23:59"),
    "occurredAt of a leap day": event(occurredAt="2028-02-29T12:00:00Z"),
    "occurredAt with a space and lower case": event(occurredAt="2026-11-23 10:15:30z"),
}


@pytest.mark.parametrize("value", VALID.values(), ids=VALID)
def test_what_is_within_the_limits_is_read_and_valid_by_the_schema(value: dict[str, Any]) -> None:
    decode(encode(value))
    oracle.parse(encode(value))

    VALIDATOR.validate(value)


INVALID: dict[str, tuple[str, Any]] = {
    "points past the lower limit": ("points", event(points=-POINTS_MAX - 1)),
    "points past the upper limit": ("points", event(points=POINTS_MAX + 1)),
    "points far past 64 bits": ("points", event(points=10**400)),
    "points with a fraction": ("points", event(points=1.5)),
    "points as text": ("points", event(points="25")),
    "points as a truth value": ("points", event(points=True)),
    "points null": ("points", event(points=None)),
    "points missing": ("points", without("points")),
    "event id empty": ("eventId", event(eventId="")),
    "event id of 129 characters": ("eventId", event(eventId="e" * 129)),
    "event id a number": ("eventId", event(eventId=7)),
    "event id missing": ("eventId", without("eventId")),
    "leaderboard id empty": ("leaderboardId", event(leaderboardId="")),
    "leaderboard id of 65 characters": ("leaderboardId", event(leaderboardId="a" * 65)),
    "leaderboard id in upper case": ("leaderboardId", event(leaderboardId="Cup")),
    "leaderboard id with a hyphen first": ("leaderboardId", event(leaderboardId="-cup")),
    "leaderboard id with what separates keys": ("leaderboardId", event(leaderboardId="cup#1")),
    "leaderboard id missing": ("leaderboardId", without("leaderboardId")),
    "user id empty": ("userId", event(userId="")),
    "user id of 129 bytes": ("userId", event(userId="u" * 129)),
    "user id with the first control character": ("userId", event(userId="a\u0000")),
    "user id with a line break": ("userId", event(userId="a\nb")),
    "user id with the last control character of ASCII": ("userId", event(userId="a\u001f")),
    "user id with a delete": ("userId", event(userId="\u007f")),
    "user id with the last control character": ("userId", event(userId="\u009f")),
    "user id missing": ("userId", without("userId")),
    "occurredAt without offset": ("occurredAt", event(occurredAt="2026-11-23T10:15:30")),
    "occurredAt without seconds": ("occurredAt", event(occurredAt="2026-11-23T10:15Z")),
    "occurredAt a date": ("occurredAt", event(occurredAt="2026-11-23")),
    "occurredAt with an empty fraction": ("occurredAt", event(occurredAt="2026-11-23T10:15:30.Z")),
    "occurredAt with an offset without colon": ("occurredAt", event(occurredAt="2026-11-23T10:15:30+0100")),
    "occurredAt with an offset of a day": ("occurredAt", event(occurredAt="2026-11-23T10:15:30+24:00")),
    "occurredAt with an offset of 60 minutes": ("occurredAt", event(occurredAt="2026-11-23T10:15:30+05:60")),
    "occurredAt with an offset of 99 minutes": ("occurredAt", event(occurredAt="2026-11-23T10:15:30-00:99")),
    "occurredAt with hour 24": ("occurredAt", event(occurredAt="2026-11-23T24:00:00Z")),
    "occurredAt in a leap second": ("occurredAt", event(occurredAt="2016-12-31T23:59:60Z")),
    "occurredAt with month 13": ("occurredAt", event(occurredAt="2026-13-01T00:00:00Z")),
    "occurredAt with wide digits": ("occurredAt", event(occurredAt="２026-11-23T10:15:30Z")),
    "occurredAt a number": ("occurredAt", event(occurredAt=1_795_428_930)),
    "occurredAt missing": ("occurredAt", without("occurredAt")),
    "17 attributes": ("attributes", event(attributes={f"a{number}": "" for number in range(17)})),
    "attribute without name": ("attributes", event(attributes={"": "x"})),
    "attribute name of 65 characters": ("attributes", event(attributes={"n" * 65: ""})),
    "attribute value of 257 characters": ("attributes", event(attributes={"n": "x" * 257})),
    "attribute value a number": ("attributes", event(attributes={"n": 1})),
    "attributes a list": ("attributes", event(attributes=[])),
    "attributes null": ("attributes", event(attributes=None)),
}
BEYOND_THE_SCHEMA: dict[str, tuple[str, bytes]] = {
    "user id of 129 bytes in 65 characters": ("userId", encode(event(userId="é" * 64 + "u"))),
    "occurredAt on a day that is not in the calendar": ("occurredAt", encode(event(occurredAt="2026-02-29T00:00:00Z"))),
    "occurredAt one instant before 1970": ("occurredAt", encode(event(occurredAt="1969-12-31T23:59:59.9999999Z"))),
    "occurredAt before 1970 by its offset": ("occurredAt", encode(event(occurredAt="1970-01-01T00:00:00+00:01"))),
    "occurredAt of 2101": ("occurredAt", encode(event(occurredAt="2101-01-01T00:00:00Z"))),
    "occurredAt of 2101 by its offset": ("occurredAt", encode(event(occurredAt="2100-12-31T23:59:59-00:01"))),
    # Python's own $ lets one line break pass, ECMA's, which JSON Schema goes by, does not
    "occurredAt with a line break after it": ("occurredAt", encode(event(occurredAt="2026-11-23T10:15:30Z\n"))),
    "leaderboard id with a line break after it": ("leaderboardId", encode(event(leaderboardId="cup\n"))),
    "points as a whole number with a fraction": ("points", with_points("25.0")),
    "points with an exponent": ("points", with_points("1e3")),
}
NO_DOUBLES: dict[str, tuple[str, bytes]] = {
    "points past a double": ("points", with_points("1e999")),
    "points of 5,000 digits": ("points", with_points("9" * 5_000)),
    "a wrong field before a number past a double": ("eventId", encode(event(eventId=7))[:-1] + b', "extra": 1e999}'),
    "a wrong field before a number of 5,000 digits": (
        "eventId",
        encode(event(eventId=7))[:-1] + b', "extra": ' + b"9" * 5_000 + b"}",
    ),
}
"""JSON all the same: it sets no limit to numbers."""


@pytest.mark.parametrize(("field", "value"), INVALID.values(), ids=INVALID)
def test_what_is_past_a_limit_is_invalid_by_name_and_by_the_schema(field: str, value: Any) -> None:
    refused = rejection(encode(value))

    assert refused.reason is Reason.INVALID
    assert field in refused.detail
    assert not VALIDATOR.is_valid(value)
    with pytest.raises(oracle.Rejected, match=r"^invalid$"):
        oracle.parse(encode(value))


@pytest.mark.parametrize(("field", "value"), BEYOND_THE_SCHEMA.values(), ids=BEYOND_THE_SCHEMA)
def test_what_the_schema_cannot_say_is_invalid_all_the_same(field: str, value: bytes) -> None:
    refused = rejection(value)

    assert refused.reason is Reason.INVALID
    assert field in refused.detail
    without_formats = Draft202012Validator(SCHEMA)
    assert without_formats.is_valid(json.loads(value)), "if the schema says it now, say so in its description"
    with pytest.raises(oracle.Rejected, match=r"^invalid$"):
        oracle.parse(value)


@pytest.mark.parametrize(("field", "value"), NO_DOUBLES.values(), ids=NO_DOUBLES)
def test_a_number_of_any_size_is_json_and_invalid_at_most(field: str, value: bytes) -> None:
    refused = rejection(value)

    assert refused.reason is Reason.INVALID
    assert field in refused.detail
    with pytest.raises(oracle.Rejected, match=r"^invalid$"):
        oracle.parse(value)


WHOLE = encode(EVENT)
DEEP = b"[" * 100_000 + b"]" * 100_000
MALFORMED: dict[str, bytes | None] = {
    "a tombstone": None,
    "nothing": b"",
    "text": b"not json",
    "an event cut off": WHOLE[:-1],
    "an event cut off after a field that is invalid": b'{"eventId": 7, "leaderboardId": "autumn-cup"',
    "two events": WHOLE + WHOLE,
    "a byte order mark": b"\xef\xbb\xbf" + WHOLE,
    "single quotes": WHOLE.replace(b'"', b"'"),
    "NaN": with_points("NaN"),
    "a leading zero": with_points("025"),
    "a plus sign": with_points("+25"),
    "null": b"null",
    "a list": b"[]",
    "a list of events": b"[" + WHOLE + b"]",
    "a string": b'"event"',
    "a number": b"25",
    "a number past a double": b"1e999",
    "a truth value": b"true",
    "UTF-16": WHOLE.decode().encode("utf-16"),
    "invalid UTF-8 in a field": WHOLE.replace(b"u-42", b"u-\xff"),
    "invalid UTF-8 in a field that is not read": WHOLE[:-1] + b', "extra": "\xff"}',
    "invalid UTF-8 in the name of a field that is not read": WHOLE[:-1] + b', "\xff": 1}',
    "an overlong encoding": WHOLE.replace(b"u-42", b"u-\xc0\x80"),
    "half a character encoded": WHOLE.replace(b"u-42", b"u-\xed\xa0\x80"),
    "half a character escaped": WHOLE.replace(b"u-42", b"u-\\ud83d"),
    "brackets 100,000 deep": DEEP,
    "brackets 100,000 deep after a field that is invalid": b'{"eventId": 7, "extra": ' + DEEP + b"}",
    "half a character escaped after a field that is invalid": b'{"eventId": 7, "extra": "\\ud83d"}',
    "brackets 100,000 deep in a field that is not read": WHOLE[:-1] + b', "extra": ' + DEEP + b"}",
}


@pytest.mark.parametrize("value", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_json_object_in_utf_8_is_malformed(value: bytes | None) -> None:
    assert rejection(value).reason is Reason.MALFORMED
    with pytest.raises(oracle.Rejected, match=r"^malformed$"):
        oracle.parse(value)


def test_a_whole_character_escaped_in_two_halves_is_one_character() -> None:
    value = encode(event(userId="\U0001f600" * 32))

    assert b"\\ud83d\\ude00" in value
    assert decode(value).user_id == "\U0001f600" * 32


TWICE = {
    "a field with another value": WHOLE[:-1] + b', "points": 26}',
    "a field with the same value": WHOLE[:-1] + b', "points": 25}',
    "a field that is escaped": WHOLE[:-1] + b', "p\\u006fints": 26}',
    "a field with a space before its colon": WHOLE[:-1] + b', "points" : 26}',
    "an attribute": WHOLE.replace(b'"country": "DE"', b'"country": "DE", "country": "FR"'),
    "an attribute of attributes that are there twice": WHOLE[:-1]
    + b', "attributes": {"country": "DE", "country": "FR"}}',
    "attributes": WHOLE[:-1] + b', "attributes": {}, "attributes": {}}',
    "a field that is not read": WHOLE[:-1] + b', "extra": 1, "extra": 1}',
    "a field within one that is not read": WHOLE[:-1] + b', "extra": [{"a": 1, "b": {}, "a": 2}]}',
    "an invalid field": WHOLE[:-1] + b', "points": "26"}',
}


@pytest.mark.parametrize("value", TWICE.values(), ids=TWICE)
def test_a_name_that_is_there_twice_makes_an_event_malformed(value: bytes) -> None:
    assert rejection(value).reason is Reason.MALFORMED
    assert "unique" in rejection(value).detail
    with pytest.raises(oracle.Rejected, match=r"^malformed$"):
        oracle.parse(value)


NOT_TWICE = {
    "a name that is a text elsewhere": event(eventId="points", userId='"points": 1, "points": 2'),
    "attributes named like fields": event(attributes={"points": "1", "eventId": "points", ":": '"'}),
    "a field that is not read": event(extra={"points": 1, "more": [{"points": 2}, {"points": 3}]}),
    "a number of more digits than Python reads": event(extra=10**4_200),
    "no attributes": without("attributes"),
    "empty attributes": event(attributes={}),
}


@pytest.mark.parametrize("value", NOT_TWICE.values(), ids=NOT_TWICE)
def test_names_that_only_look_like_twice_are_read(value: dict[str, Any]) -> None:
    assert decode(encode(value)).points == value["points"]


INSTANTS = {
    "1970-01-01T00:00:00Z": 0,
    "1970-01-01T00:00:00.001Z": 1,
    "1970-01-01T00:00:00.0019999Z": 1,
    "1970-01-01T00:00:00.1Z": 100,
    "1970-01-01T00:00:00.12Z": 120,
    "1970-01-01T01:00:00+01:00": 0,
    "1970-01-01T01:00:00.999999-00:00": 3_600_999,
    "1970-01-01T00:00:00-23:59": 86_340_000,
    "2000-02-29T00:00:00Z": 951_782_400_000,
    "2100-12-31T23:59:59.999Z": 4_133_980_799_999,
    "2101-01-01T00:00:59.999+00:01": 4_133_980_799_999,
}


@pytest.mark.parametrize(("text", "milliseconds"), INSTANTS.items(), ids=list(INSTANTS))
def test_an_instant_is_read_to_the_millisecond(text: str, milliseconds: int) -> None:
    assert parse_instant(text) == milliseconds
    assert oracle.instant(text) == milliseconds


@pytest.mark.parametrize("fraction", ["9", "99", "999", "9999", "9999999", "9" * 50])
def test_a_fraction_before_midnight_stays_in_its_day_however_fine(fraction: str) -> None:
    before = parse_instant(f"2026-11-23T23:59:59.{fraction}Z")

    assert day_of(before) == parse_day("2026-11-23")
    assert day_of(parse_instant(MIDNIGHT)) == parse_day("2026-11-24")


def test_the_offset_decides_the_day() -> None:
    assert day_of(parse_instant("2026-11-24T00:59:59.999+01:00")) == parse_day("2026-11-23")
    assert day_of(parse_instant("2026-11-24T01:00:00+01:00")) == parse_day("2026-11-24")
    assert day_of(parse_instant("2026-11-23T23:00:00-01:00")) == parse_day("2026-11-24")


@pytest.mark.parametrize("milliseconds", [0, 1, 999, 1_000, 951_782_400_123, 4_133_980_799_999])
def test_an_instant_written_reads_back(milliseconds: int) -> None:
    assert parse_instant(format_instant(milliseconds)) == milliseconds


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"occurredAt": "2026-11-23T11:15:30.1239+01:00"}, True),
        ({"extra": 1}, True),
        ({"points": 26}, False),
        ({"occurredAt": "2026-11-23T10:15:30.124Z"}, False),
        ({"attributes": {}}, False),
        ({"attributes": {"country": "FR"}}, False),
    ],
)
def test_the_same_content_is_what_counts_not_how_it_was_written(change: dict[str, Any], same: bool) -> None:
    assert decode(encode(EVENT)).same_content(decode(encode(event(**change)))) is same


def test_attributes_in_another_order_are_the_same_and_none_are_as_good_as_empty() -> None:
    one, other = event(attributes={"a": "1", "b": "2"}), event(attributes={"b": "2", "a": "1"})

    assert decode(encode(one)).same_content(decode(encode(other)))
    assert decode(encode(without("attributes"))).same_content(decode(encode(event(attributes={}))))


HUGE = 1_000_000
HUGE_VALUES = {
    "fraction of no date": event(occurredAt="2026-13-01T00:00:00." + "1" * HUGE + "Z"),
    "occurredAt": event(occurredAt="x" * HUGE),
    "user id": event(userId="u" * HUGE),
    "event id": event(eventId="e" * HUGE),
    "leaderboard id": event(leaderboardId="l" * HUGE),
    "attribute name": event(attributes={"n" * HUGE: ""}),
}


@pytest.mark.parametrize("value", HUGE_VALUES.values(), ids=HUGE_VALUES)
def test_what_is_said_of_a_huge_field_fits_a_message_of_the_queue(value: dict[str, Any]) -> None:
    assert len(rejection(encode(value)).detail) < 1_000
