"""The ranking of a window, from the truth and sorted by a second implementation, so that it and the cache check each
other: every player is one byte string whose order is the ranking's.
"""

import csv
import io
import struct
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from shared.domain.events import format_instant
from shared.domain.ranking import percentile_hundredths
from shared.domain.rules import Aggregation, Leaderboard, Order
from shared.domain.standings import Standing
from shared.domain.tiers import tier_of
from shared.domain.windows import Day
from shared.truth.export_jobs import ExportFormat

COLUMNS: Final = ("rank", "user_id", "score", "reached_at", "percentile", "tier")
LINES_PER_CHUNK: Final = 2_000

_SIGN: Final = 1 << 63
"""Added to a signed integer, so that its big-endian bytes sort as the integer does."""
_KEY: Final = struct.Struct(">QQ")

Lines = Iterable[tuple[Day, str, Standing]]


class Row(msgspec.Struct, frozen=True, gc=False):
    """One line of an export."""

    rank: int
    user_id: str
    score: int
    reached_at: str
    percentile: float
    tier: str | None


class RankedRows:
    """All rows of a window, sorted; about 100 bytes of memory a player."""

    def __init__(self, leaderboard: Leaderboard, lines: Lines) -> None:
        self._leaderboard = leaderboard
        self._descending = leaderboard.order is Order.DESC
        keys = []
        self.sum_of_points = 0
        for user_id, (points, reached_at_ms) in self._fold(lines).items():
            self.sum_of_points += points
            score = _SIGN - points if self._descending else _SIGN + points
            keys.append(_KEY.pack(score, reached_at_ms) + user_id.encode())
        keys.sort()
        self._keys = keys

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[Row]:
        total, tiers = len(self._keys), self._leaderboard.tiers
        for rank, key in enumerate(self._keys, start=1):
            packed, reached_at_ms = _KEY.unpack_from(key)
            score = _SIGN - packed if self._descending else packed - _SIGN
            yield Row(
                rank,
                key[_KEY.size :].decode(),
                score,
                format_instant(reached_at_ms),
                percentile_hundredths(rank, total) / 100,
                tier_of(tiers, rank, score, total),
            )

    def _fold(self, lines: Lines) -> dict[str, tuple[int, int]]:
        """User id → points and when they were reached, over all buckets."""
        folded: dict[str, tuple[int, int]] = {}
        newest: dict[str, Day] = {}
        sign = -1 if self._descending else 1
        for day, user_id, standing in lines:
            part = (standing.points, standing.reached_at_ms)
            before = folded.get(user_id)
            if before is None:
                folded[user_id], newest[user_id] = part, day
                continue
            match self._leaderboard.aggregation:
                case Aggregation.SUM:
                    folded[user_id] = (before[0] + part[0], max(before[1], part[1]))
                case Aggregation.BEST:
                    folded[user_id] = min(before, part, key=lambda one: (sign * one[0], one[1]))
                case Aggregation.LATEST:
                    if day > newest[user_id]:
                        folded[user_id], newest[user_id] = part, day
        return folded


def encode(rows: Iterable[Row], export_format: ExportFormat) -> Iterator[tuple[bytes, int]]:
    """The file, in chunks with the number of rows in each. UTF-8.

    CSV is RFC 4180's, with a header and CRLF; an entry without tier has an empty field. NDJSON has one object a line,
    by the names of the same columns; without tier it is null.
    """
    chunks = _csv(rows) if export_format is ExportFormat.CSV else _ndjson(rows)
    yield from chunks


def _csv(rows: Iterable[Row]) -> Iterator[tuple[bytes, int]]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    count = 0
    for row in rows:
        writer.writerow(
            (
                row.rank,
                row.user_id,
                row.score,
                row.reached_at,
                f"{row.percentile:.2f}",
                "" if row.tier is None else row.tier,
            )
        )
        count += 1
        if count == LINES_PER_CHUNK:
            yield text.getvalue().encode(), count
            text.seek(0)
            text.truncate()
            count = 0
    yield text.getvalue().encode(), count


def _ndjson(rows: Iterable[Row]) -> Iterator[tuple[bytes, int]]:
    encoder = msgspec.json.Encoder()
    lines: list[Row] = []
    for row in rows:
        lines.append(row)
        if len(lines) == LINES_PER_CHUNK:
            yield encoder.encode_lines(lines), len(lines)
            lines = []
    yield encoder.encode_lines(lines), len(lines)
