"""Plots of what was measured, as SVG: each figure with an aim as its share of it, and series over a size."""

import re
from collections.abc import Mapping
from pathlib import Path

from infra.bench.results import Entry

_SERIES = re.compile(r"(.+)_at_(\d+)$")


def draw(entries: Mapping[str, Entry], directory: Path) -> None:
    """Write `aims.svg`, and one plot for each kind of figure that was measured at several sizes (`…_at_10000`)."""
    import matplotlib as mpl  # noqa: PLC0415 - slow to import, and not in the functions' image

    mpl.use("svg")
    directory.mkdir(parents=True, exist_ok=True)
    _aims(entries, directory / "aims.svg")
    series: dict[str, dict[int, Entry]] = {}
    for key, entry in entries.items():
        if match := _SERIES.match(key):
            series.setdefault(match[1], {})[int(match[2])] = entry
    for part in {entry.part for points in series.values() for entry in points.values()}:
        of_part = {name: points for name, points in series.items() if next(iter(points.values())).part == part}
        for unit in {next(iter(points.values())).figure.unit for points in of_part.values()}:
            lines = {name: pts for name, pts in of_part.items() if next(iter(pts.values())).figure.unit == unit}
            _lines(lines, directory / f"{part}-{re.sub('[^a-z]+', '-', unit.lower()).strip('-') or 'figures'}.svg")


def _aims(entries: Mapping[str, Entry], path: Path) -> None:
    from matplotlib import pyplot as plt  # noqa: PLC0415

    shares: dict[str, float] = {}
    for key, entry in entries.items():
        figure = entry.figure
        if figure.at_least is not None:
            shares[key] = figure.value / figure.at_least
        elif figure.at_most is not None and figure.value:
            shares[key] = figure.at_most / figure.value
    if not shares:
        return
    drawing, axes = plt.subplots(figsize=(9, 1 + 0.35 * len(shares)))
    colours = ["tab:green" if share >= 1 else "tab:red" for share in shares.values()]
    axes.barh(list(shares), list(shares.values()), color=colours)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel("share of the aim (beyond 1: met)")
    axes.invert_yaxis()
    drawing.tight_layout()
    drawing.savefig(path)
    plt.close(drawing)


def _lines(series: Mapping[str, Mapping[int, Entry]], path: Path) -> None:
    from matplotlib import pyplot as plt  # noqa: PLC0415

    drawing, axes = plt.subplots(figsize=(7, 4))
    unit = ""
    for name, points in series.items():
        sizes = sorted(points)
        axes.plot(sizes, [points[size].figure.value for size in sizes], marker="o", label=name)
        unit = points[sizes[0]].figure.unit
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("players")
    axes.set_ylabel(unit)
    axes.legend()
    drawing.tight_layout()
    drawing.savefig(path)
    plt.close(drawing)
