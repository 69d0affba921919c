"""The files of a result: the ranking, as an export of the window has it, what is to be paid for it, and what differs
from the version before.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from shared.domain.awards import award_id
from shared.domain.events import format_instant
from shared.domain.labels import columns_of
from shared.domain.ranking import Entry

T = TypeVar("T")

COLUMNS: Final = ("rank", "competition_rank", "user_id", "score", "reached_at", "percentile", "tier")
AWARD_COLUMNS: Final = ("award_id", "user_id", "tier", "rank", "competition_rank", "score")
DIFFERENCE_COLUMNS: Final = (
    "user_id",
    "rank_before",
    "rank_after",
    "score_before",
    "score_after",
    "tier_before",
    "tier_after",
    "award_id_before",
    "award_id_after",
)
AWARD_CHANGE_COLUMNS: Final = ("action", "user_id", "tier", "award_id")
REVOKE: Final = "revoke"
GRANT: Final = "grant"
LINES_PER_CHUNK: Final = 2_000

Issued = Mapping[str, Mapping[str, str]]
"""Pseudonym → tier → id of the award that the player may have got by their id: it stays in every version."""
NONE_ISSUED: Final[Issued] = {}

Change = tuple[Entry | None, Entry | None]
"""A player's entry in the version before and in this one; None where the player has none."""


def ranking_file(
    entries: Iterable[Entry], filters: Sequence[str] = (), values: Iterable[Sequence[str | None]] = ()
) -> Iterator[bytes]:
    """CSV (RFC 4180, UTF-8) of a ranking, in chunks: the bytes of a whole export.

    Args:
        entries: in ranking order.
        filters: of the leaderboard; each has a column.
        values: of each entry, in the order of the filters; not read without filters.
    """
    if not filters:
        return _csv(COLUMNS, (_line(entry) for entry in entries))
    lines = ((*_line(entry), *carried) for entry, carried in zip(entries, values, strict=True))
    return _csv((*COLUMNS, *columns_of(filters)), lines)


def awards_file(
    leaderboard_id: str, window_id: str, entries: Iterable[Entry], issued: Issued = NONE_ISSUED
) -> Iterator[bytes]:
    """CSV with a line for each player in a tier; other entries get none. Who books by award id pays none twice."""
    return _csv(
        AWARD_COLUMNS,
        (
            (
                issued_or_new(issued, leaderboard_id, window_id, one.user_id, one.tier),
                one.user_id,
                one.tier,
                one.rank,
                one.competition_rank,
                one.score,
            )
            for one in entries
            if one.tier is not None
        ),
    )


def difference_file(
    leaderboard_id: str, window_id: str, changes: Iterable[Change], *, ids_stay: bool, issued: Issued = NONE_ISSUED
) -> Iterator[bytes]:
    """CSV with a line for each player whose rank, score or tier is another than in the version before.

    Those who are in both versions and those who came, in the order of this one; then those who left, in that of the
    version before. Fields are empty where a player has no entry or no tier. A payer who has paid by the version before
    settles the difference by the two award ids, which are one where only rank or score is another.

    Args:
        leaderboard_id: whose result.
        window_id: of which window.
        changes: entries before and now of all players who have one, in ranking order.
        ids_stay: whether the versions before name awards as this one does; if not, the id before stays empty.
        issued: ids of before a pseudonym.
    """

    def award(entry: Entry | None) -> str | None:
        if entry is None or entry.tier is None:
            return None
        return issued_or_new(issued, leaderboard_id, window_id, entry.user_id, entry.tier)

    lines = (
        (_user(was, now), *_pairwise(was, now), award(was) if ids_stay else None, award(now))
        for was, now in leaving_last(changes)
        if _shown(was) != _shown(now)
    )
    return _csv(DIFFERENCE_COLUMNS, lines)


def award_changes(
    leaderboard_id: str, window_id: str, changes: Iterable[Change], *, ids_stay: bool, issued: Issued = NONE_ISSUED
) -> Iterator[tuple[str, str, str, str | None]]:
    """What happens to awards: for each player in another tier than before, the old award goes and the new one comes.

    Args:
        leaderboard_id: whose result.
        window_id: of which window.
        changes: entries before and now of all players who have one, in ranking order.
        ids_stay: whether the versions before name awards as this one does. If not, a revocation has no award id: the
            id that a payer has booked depends on the version that it began with.
        issued: ids of before a pseudonym.

    Returns:
        Action, user id, tier and award id of each.
    """
    name = partial(issued_or_new, issued, leaderboard_id, window_id)
    for was, now in leaving_last(changes):
        before, after = (None if one is None else one.tier for one in (was, now))
        if before == after:
            continue
        user_id = _user(was, now)
        if before is not None:
            yield REVOKE, user_id, before, name(user_id, before) if ids_stay else None
        if after is not None:
            yield GRANT, user_id, after, name(user_id, after)


def award_changes_file(lines: Iterable[tuple[str, str, str, str | None]]) -> Iterator[bytes]:
    """CSV of award changes, as they are to be booked."""
    return _csv(AWARD_CHANGE_COLUMNS, lines)


class Counted(Iterable[T]):
    """Counts items while they are iterated, once."""

    def __init__(self, items: Iterable[T]) -> None:
        self._items = items
        self.count = 0

    def __iter__(self) -> Iterator[T]:
        for item in self._items:
            self.count += 1
            yield item


def leaving_last(changes: Iterable[Change]) -> Iterator[Change]:
    """The same changes, those of players who left at the end, by their ranks: they are as few as are disqualified at a
    time.
    """
    left = []
    for was, now in changes:
        if was is not None and now is None:
            left.append(was)
        else:
            yield was, now
    for was in sorted(left, key=lambda entry: entry.rank):
        yield was, None


def _user(was: Entry | None, now: Entry | None) -> str:
    entry = now or was
    assert entry is not None  # noqa: S101
    return entry.user_id


def _shown(entry: Entry | None) -> tuple[Any, Any, Any]:
    return (None, None, None) if entry is None else (entry.rank, entry.score, entry.tier)


def _pairwise(was: Entry | None, now: Entry | None) -> Iterator[Any]:
    return (value for pair in zip(_shown(was), _shown(now), strict=True) for value in pair)


def issued_or_new(issued: Issued, leaderboard_id: str, window_id: str, user_id: str, tier: str) -> str:
    """The id of an award: the one that the player may have got before they had a pseudonym, or theirs."""
    before = issued.get(user_id, {}).get(tier)
    return award_id(leaderboard_id, window_id, user_id, tier) if before is None else before


def _line(entry: Entry) -> Sequence[Any]:
    hundredths = entry.percentile_hundredths
    return (
        entry.rank,
        entry.competition_rank,
        entry.user_id,
        entry.score,
        format_instant(entry.reached_at_ms),
        f"{hundredths // 100}.{hundredths % 100:02d}",
        entry.tier,
    )


def _csv(columns: Sequence[str], lines: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    for number, line in enumerate(lines, start=1):
        writer.writerow(line)
        if number % LINES_PER_CHUNK == 0:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()
