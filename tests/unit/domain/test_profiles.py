"""Which profiles a player may have, and which of several stays."""

import json
from itertools import permutations
from typing import Any

import pytest

from shared.domain.profiles import (
    EVENT_BYTES_MAX,
    FENCE,
    InvalidProfile,
    KeptProfile,
    Profile,
    event_profile_text,
    kept_of,
    profile_text,
)


def test_a_profile_is_stored_with_all_members_and_without_spaces() -> None:
    text = profile_text(Profile("Ada ✨", "fox/3.png", {"b": [1, 2.5, None, True], "a": "<b>"}))
    assert text == '{"name":"Ada ✨","avatar":"fox/3.png","metadata":{"b":[1,2.5,null,true],"a":"<b>"}}'
    assert profile_text(Profile(name="A")) == '{"name":"A","avatar":null,"metadata":null}'
    assert profile_text(Profile()) == ""


@pytest.mark.parametrize(
    ("profile", "field"),
    [
        (Profile(name=""), "name"),
        (Profile(name="   "), "name"),
        (Profile(name="x" * 65), "name"),
        (Profile(name="a\nb"), "name"),
        (Profile(name="a\x7fb"), "name"),
        (Profile(name="a\u202eb"), "name"),
        (Profile(name="a\u2028b"), "name"),
        (Profile(name="a\ud800b"), "name"),
        (Profile(avatar=""), "avatar"),
        (Profile(avatar="javascript:x"), "avatar"),
        (Profile(avatar="//host/x"), "avatar"),
        (Profile(avatar="fox\n"), "avatar"),
        (Profile(avatar="a" * 65), "avatar"),
        (Profile(metadata={"a": "x" * 505}), "metadata"),
        (Profile(metadata={"a": "x\x00"}), "metadata"),
        (Profile(metadata={"a\x1b": 1}), "metadata"),
        (Profile(metadata={"a": [{"b": "\u2066"}]}), "metadata"),
        (Profile(metadata={"a": float("inf")}), "metadata"),
        (Profile(metadata={"a": float("nan")}), "metadata"),
        (Profile(metadata={"a": "\ud800"}), "metadata"),
    ],
)
def test_what_no_profile_may_have_is_refused_by_its_field(profile: Profile, field: str) -> None:
    with pytest.raises(InvalidProfile) as refused:
        profile_text(profile)
    assert refused.value.field == field
    assert str(refused.value).startswith("must ")


def test_limits_are_inclusive_and_count_characters_of_names_but_bytes_of_metadata() -> None:
    assert profile_text(Profile(name="é" * 64))
    assert profile_text(Profile(metadata={"a": "x" * 504}))
    with pytest.raises(InvalidProfile):
        profile_text(Profile(metadata={"a": "é" * 253}))
    assert profile_text(Profile(metadata={})) == '{"name":null,"avatar":null,"metadata":{}}'


@pytest.mark.parametrize(
    "raw",
    [
        b"1",
        b'"Ada"',
        b"[]",
        b'{"name": 1}',
        b'{"metadata": []}',
        b'{"metadata": {"a": 1e999}}',
        b'{"name": "\\ud800"}',
        b'{"metadata": ' + b'{"a":' * 3_000 + b"1" + b"}" * 3_000 + b"}",
        b'{"name": "Ada"}' + b" " * EVENT_BYTES_MAX,
        b'{"name": "a\\u0000b"}',
    ],
)
def test_whatever_an_event_sends_is_a_profile_or_an_invalid_one(raw: bytes) -> None:
    with pytest.raises(InvalidProfile):
        event_profile_text(raw)


def test_the_profile_of_an_event_is_that_of_the_api_and_other_members_are_not_read() -> None:
    body: dict[str, Any] = {"name": 'A"da', "metadata": {"z": 12345678901234567890123, "a": 1.0}, "level": 7}
    assert event_profile_text(json.dumps(body).encode()) == profile_text(Profile(body["name"], None, body["metadata"]))
    assert event_profile_text(b"{}") == ""


def test_the_newest_stays_in_every_order_and_of_one_time_one_of_them() -> None:
    offered = [KeptProfile(5, "b"), KeptProfile(5, "a"), KeptProfile(5, ""), KeptProfile(4, "z"), KeptProfile(10, "")]
    for order in permutations(offered):
        assert kept_of(max(one.value for one in order)) == KeptProfile(10, "")
    for order in permutations(offered[:4]):
        assert kept_of(max(one.value for one in order)) == KeptProfile(5, "b")


def test_a_fence_is_newer_than_every_profile_and_is_none() -> None:
    assert kept_of(FENCE.value) == FENCE
    assert FENCE.is_fence
    assert FENCE.profile is None
    assert FENCE.value > KeptProfile(2**53 - 1, "z" * 900).value
