"""A leaderboard spread over several Redis primaries, as docs/scale.md describes it, ranks as one sorted list does."""

from bisect import bisect_left
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

SCORES = st.integers(-5, 5) | st.integers(-(2**53) + 1, 2**53 - 1)
BOARDS = st.dictionaries(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8),
    st.tuples(SCORES, st.integers(0, 3) | st.integers(0, 2**48 - 1)),
    min_size=1,
    max_size=60,
)
Key = tuple[int, bytes]
"""Score and member of the sorted set, in whose order Redis keeps it."""


def key(user_id: str, points: int, reached_at_ms: int) -> Key:
    return -points, reached_at_ms.to_bytes(6, "big") + user_id.encode()


def spread(board: dict[str, tuple[int, int]], shards: int) -> list[list[Key]]:
    sets: list[list[Key]] = [[] for _ in range(shards)]
    for user_id, (points, reached_at_ms) in board.items():
        sets[crc32(user_id.encode()) % shards].append(key(user_id, points, reached_at_ms))
    return [sorted(one) for one in sets]


def rank(sets: list[list[Key]], wanted: Key) -> int:
    """1 + the sum over all shards of what stands before."""
    return 1 + sum(bisect_left(one, wanted) for one in sets)


def at_offset(sets: list[list[Key]], offset: int) -> Key:
    """The entry with `offset` entries before it: in each shard the ranks grow with the place, so each is bisected."""
    for one in sets:
        place = bisect_left(range(len(one)), offset + 1, key=lambda index: rank(sets, one[index]))
        if place < len(one) and rank(sets, one[place]) == offset + 1:
            return one[place]
    raise AssertionError("no shard has it")


@given(BOARDS, st.integers(1, 7))
def test_the_sum_of_what_stands_before_in_each_shard_is_the_exact_rank(
    board: dict[str, tuple[int, int]], shards: int
) -> None:
    sets = spread(board, shards)
    # the ranking's rule in plain words: score, then who reached it first, then the user id by bytes
    ranking = sorted(board, key=lambda user: (-board[user][0], board[user][1], user.encode()))

    assert [rank(sets, key(user, *board[user])) for user in ranking] == list(range(1, len(board) + 1))


@given(BOARDS, st.integers(1, 7), st.data())
def test_every_offset_has_one_entry_whatever_the_shards(
    board: dict[str, tuple[int, int]], shards: int, data: st.DataObject
) -> None:
    offset = data.draw(st.integers(0, len(board) - 1))

    found = at_offset(spread(board, shards), offset)

    ranking = sorted(board, key=lambda user: (-board[user][0], board[user][1], user.encode()))
    assert found == key(ranking[offset], *board[ranking[offset]])
