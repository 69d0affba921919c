"""The report of a run, for people and as JSON."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tests.chaos.checks import DIFFERENCES_SHOWN_MAX
from tests.chaos.plan import KILLS
from tests.chaos.run import Result
from tests.chaos.timeline import Disturbance
from tests.support import oracle

COMPLAINTS_SHOWN_MAX: Final = 20


def to_json(result: Result) -> dict[str, Any]:
    """All of it, times in seconds."""
    return {
        "holds": result.holds,
        "seed": result.settings.seed,
        "seconds": result.settings.seconds,
        "kills": _kills(result),
        "strikes": dict(Counter(str(one.kind) for one in result.timeline.disturbances)),
        "events": {
            "delivery reports": dict(result.produced),
            "in the topic": result.outcomes.total(),
            **result.outcomes,
        },
        "reads": {phase: dict(answers) for phase, answers in result.timeline.answers.items()},
        "complaints": {"count": result.timeline.complained, "first": result.timeline.complaints},
        "recovery": {kind: dict(zip(_RECOVERIES, times, strict=True)) for kind, times in _recoveries(result).items()},
        "timeline": [_strike_to_json(one) for one in result.timeline.disturbances],
        "settled_after_s": round(result.settled_after_s, 1),
        "unsettled": result.unsettled,
        "repairs_given_up": result.repairs_given_up,
        "checks": {
            check.name: {
                "compared": check.compared,
                "differences": len(check.differences),
                "first": check.differences[:DIFFERENCES_SHOWN_MAX],
            }
            for check in result.checks
        },
    }


_RECOVERIES: Final = ("strikes", "victim_back_s", "first_200_s", "all_live_s")


def show(result: Result, console: Console) -> None:
    """Print it."""
    settings, outcomes = result.settings, result.outcomes
    console.print()
    console.print(_recovery_table(result))
    console.print(_reads_table(result))
    console.print(_checks_table(result))
    rejected = outcomes.total() - outcomes[oracle.APPLIED] - outcomes[oracle.DUPLICATE]
    console.print(
        f"seed {settings.seed} · {settings.seconds:.0f} s · {_kills(result)} kills, "
        f"{len(result.timeline.disturbances)} strikes in all\n"
        f"{outcomes.total()} records in the topic ({_counts(result.produced)}): {outcomes[oracle.APPLIED]} applied, "
        f"{outcomes[oracle.DUPLICATE]} duplicates, {rejected} refused\n"
        f"{'at rest' if result.unsettled is None else 'NOT at rest'} {result.settled_after_s:.1f} s after the load, "
        f"nobody helping; "
        f"{result.repairs_given_up} repair messages given up"
    )
    if result.unsettled is not None:
        console.print(result.unsettled, style="red")
    for complaint in result.timeline.complaints[:COMPLAINTS_SHOWN_MAX]:
        console.print(complaint, style="red")
    for check in result.checks:
        for difference in check.differences[:DIFFERENCES_SHOWN_MAX]:
            console.print(f"{check.name}: {difference}", style="red")
    console.print("everything holds" if result.holds else "NOT everything holds", style="bold")


def _recovery_table(result: Result) -> Table:
    table = Table("strike", "times", "victim back", "first 200", "all windows live", title="longest times to recover")
    for kind, (strikes, back_s, first_s, over_s) in _recoveries(result).items():
        table.add_row(kind, str(strikes), *(f"{time_s:.2f} s" for time_s in (back_s, first_s, over_s)))
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _reads_table(result: Result) -> Table:
    table = Table("phase", "reads", title="answers to readers, by phase")
    for phase, answers in sorted(result.timeline.answers.items(), key=lambda pair: -pair[1].total()):
        table.add_row(phase, _counts(answers))
    return table


def _checks_table(result: Result) -> Table:
    table = Table("compared with the oracle", "entries", "differences", title="at rest")
    for check in result.checks:
        table.add_row(check.name, str(check.compared), str(len(check.differences)))
    table.add_row("complaints of readers", "", str(result.timeline.complained))
    return table


def _recoveries(result: Result) -> dict[str, tuple[int, float, float, float]]:
    """Kind → how many, and the longest times from the strike on."""
    found = {}
    for kind in sorted({one.kind for one in result.timeline.disturbances}):
        strikes = [one for one in result.timeline.disturbances if one.kind == kind]
        times = [_times(one) for one in strikes]
        back_s, first_s, over_s = (max(column) for column in zip(*times, strict=True))
        found[str(kind)] = (len(strikes), back_s, first_s, over_s)
    return found


def _times(one: Disturbance) -> tuple[float, float, float]:
    struck_s = one.struck_s if one.struck_s is not None else one.began_s
    back_s, first_s, over_s = (
        round(at_s - struck_s, 2) if at_s is not None else float("inf")
        for at_s in (one.back_s, one.first_s, one.over_s)
    )
    return back_s, first_s, over_s


def _strike_to_json(one: Disturbance) -> dict[str, Any]:
    names = ("victim_back_after_s", "first_200_after_s", "all_live_after_s")
    return {"kind": str(one.kind), "at_s": round(one.began_s, 2), **dict(zip(names, _times(one), strict=True))}


def _kills(result: Result) -> int:
    return sum(one.kind in KILLS for one in result.timeline.disturbances)


def _counts(counts: Counter[str]) -> str:
    return " · ".join(f"{count} {name}" for name, count in _largest_first(counts.items()) if count)


def _largest_first(items: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(items, key=lambda item: -item[1])
