"""Export: rows a second from standings to a file; neither DynamoDB nor S3 is in it."""

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from msgspec import Struct

from infra.bench.results import Figure
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.standings import Standing
from shared.domain.tiers import Tier, TierRule
from shared.domain.windows import ALL_TIME_BUCKET, Day
from shared.pipeline.ranked_table import RankedTable
from shared.truth.export_jobs import Compression, ExportFormat, ExportPart
from shared.wiring import now_ms


class Size(Struct, frozen=True):
    """How much is measured."""

    players: tuple[int, ...] = (100_000, 1_000_000)


TINY: Final = Size(players=(300,))


def run(size: Size, progress: Callable[[str], None]) -> list[Figure]:
    """Sort and write a window of each size, in each format; beside it the bare sort of tuples."""
    board = Leaderboard(
        id="cup", name="Cup", aggregation=Aggregation.SUM, tiers=(Tier(name="gold", rule=TierRule.TOP_N, value=100),)
    )
    figures = []
    for players in size.players:
        lines = list(_lines(players))
        start = time.process_time()
        sorted((-standing.points, standing.reached_at_ms, user_id) for _, user_id, standing in lines)
        bare = players / (time.process_time() - start)
        for export_format in ExportFormat:
            progress(f"{players:,} players, {export_format}")
            start = time.process_time()
            with TemporaryDirectory() as directory, RankedTable(board, lines, Path(directory)) as table:
                if table.rows != players:
                    raise RuntimeError(f"{table.rows} of {players} rows are there")
                table.write(Path(directory) / "export", export_format, Compression.NONE, ExportPart())
            rate = players / (time.process_time() - start)
            figures.append(
                Figure(
                    key=f"export_{export_format}_rows_per_s_at_{players}", value=rate, unit="rows/s",
                    what=f"export, {export_format}, {players:,} rows", beside=f"sorting alone: {bare:,.0f}/s",
                )
            )  # fmt: skip
    slowest = min(figures, key=lambda figure: figure.value)
    what = "export: sort and encode, slowest size and format"
    return [
        Figure(key="export_rows_per_s", what=what, value=slowest.value, unit="rows/s", beside=slowest.beside),
        *figures,
    ]


def _lines(players: int) -> Iterator[tuple[Day, str, Standing]]:
    rng, at_ms = random.Random(1), now_ms()
    for player in rng.sample(range(players), players):
        points = rng.randrange(1_000_000)
        yield ALL_TIME_BUCKET, f"u-{player:07d}", Standing(points, at_ms - rng.randrange(86_400_000), 1, "", points, 1)
