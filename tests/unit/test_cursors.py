"""Cursors can't be forged, nor used for another ranking."""

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from functions.api.models import CURSOR_CHARACTERS_MAX
from shared.domain.events import INSTANT_END_MS, POINTS_MAX, USER_ID_BYTES_MAX
from shared.reads.cursors import FILTERS_BYTES, Cursor, Cursors, InvalidCursor

CURSOR = Cursor("cup", "2026-W48", backward=False, user_id="Zoë/🎮", points=-25, reached_at_ms=1_795_430_000_000)
CURSORS = Cursors(b"k" * 32)


@given(
    st.builds(
        Cursor,
        st.just("cup"),
        st.sampled_from(["all-time", "2026-W48", "2026-11-01..2026-11-15"]),
        st.booleans(),
        st.text(min_size=1, max_size=32),
        st.integers(-POINTS_MAX, POINTS_MAX),
        st.integers(0, INSTANT_END_MS - 1),
    )
)
def test_a_cursor_is_read_as_it_was_written(cursor: Cursor) -> None:
    assert CURSORS.read(CURSORS.write(cursor), "cup") == cursor


def test_the_longest_cursor_is_within_what_the_api_takes() -> None:
    longest = Cursor(
        "a" * 64, "2026-11-01..2026-11-15", backward=True, user_id="a" * USER_ID_BYTES_MAX, points=-POINTS_MAX,
        reached_at_ms=INSTANT_END_MS, filters=b"\xff" * FILTERS_BYTES,
    )  # fmt: skip
    assert len(CURSORS.write(longest)) <= CURSOR_CHARACTERS_MAX


def test_no_character_of_a_cursor_can_be_changed_left_out_or_added() -> None:
    text = CURSORS.write(CURSOR)
    changed = [text[:at] + other + text[at + 1 :] for at in range(len(text)) for other in "A9_" if text[at] != other]
    shorter = [text[:at] + text[at + 1 :] for at in range(len(text))]
    for forged in [*changed, *shorter, text + "A", text + "=", text + "\n", " " + text, text[:20], "", "A", "=", "é"]:
        with pytest.raises(InvalidCursor):
            CURSORS.read(forged, "cup")


def test_a_cursor_of_another_key_or_leaderboard_is_refused() -> None:
    with pytest.raises(InvalidCursor, match="of this service"):
        Cursors(b"x" * 32).read(CURSORS.write(CURSOR), "cup")
    with pytest.raises(InvalidCursor, match="another leaderboard"):
        CURSORS.read(CURSORS.write(CURSOR), "cup2")


@pytest.mark.parametrize("content", [[], ["cup"], {"a": 1}, 7, [*msgspec.structs.astuple(CURSOR)[:-1], 99]])
def test_a_cursor_of_another_release_is_refused_not_misread(content: object) -> None:
    encoded = msgspec.msgpack.encode(content)
    text = base64.urlsafe_b64encode(encoded + CURSORS._signature(encoded)).rstrip(b"=").decode()
    with pytest.raises(InvalidCursor, match="of this release"):
        CURSORS.read(text, "cup")


def test_the_direction_is_part_of_what_is_signed() -> None:
    assert CURSORS.write(CURSOR) != CURSORS.write(replace(CURSOR, backward=True))
