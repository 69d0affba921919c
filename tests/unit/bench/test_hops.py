"""The hops of an event are all of its time, whoever hears of it first."""

from pathlib import Path

import msgspec
import pytest

from infra.bench import hops
from infra.bench.hops import READ, SCRIPT, TRANSACTION, Invocation, Probe, Span

SPANS = [Span(READ, 10.020, 10.023), Span(TRANSACTION, 10.024, 10.030), Span(SCRIPT, 10.031, 10.033)]
INVOCATION = Invocation(["e"], 10.018, SPANS)


def ms(split: dict[str, float]) -> dict[str, int]:
    return {hop: round(took) for hop, took in split.items()}


def test_each_hop_begins_where_another_ends() -> None:
    assert ms(hops.split(Probe("e", 10.000, 10.005, 10.040), INVOCATION)) == {
        "produce": 5,
        "fetch": 13,
        "decode": 2,
        READ: 3,
        TRANSACTION: 6,
        SCRIPT: 2,
        "between": 2,
        "visible": 7,
    }


@pytest.mark.parametrize(
    ("acknowledged_s", "seen_s"),
    [(10.005, 10.040), (10.019, 10.040), (10.050, 10.051), (10.005, 10.032)],
    ids=["in turn", "the function has it before", "the producer hears last", "seen while the script answers"],
)
def test_the_hops_add_up_to_what_passed_and_none_is_less_than_nothing(acknowledged_s: float, seen_s: float) -> None:
    split = hops.split(Probe("e", 10.0, acknowledged_s, seen_s), INVOCATION)
    assert split.keys() == hops.HOPS.keys()
    assert sum(split.values()) == pytest.approx((seen_s - 10.0) * 1000)
    assert all(took >= -1e-6 for took in split.values())


def test_calls_of_one_hop_count_from_the_first_to_the_last() -> None:
    again = Invocation(["e"], 10.018, [*SPANS[:2], Span(TRANSACTION, 10.029, 10.0305), SPANS[2]])
    assert hops.split(Probe("e", 10.0, 10.005, 10.04), again)[TRANSACTION] == pytest.approx(6.5)


def test_an_event_goes_by_the_invocation_that_wrote_it_first(tmp_path: Path) -> None:
    file = tmp_path / "hops.ndjson"
    assert hops.read(file) == {}
    refused = Invocation(["e"], 9.0, SPANS[:1])
    later = Invocation(["e", "f"], 11.0, SPANS)
    file.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in (refused, INVOCATION, later)))
    assert {event_id: one.entered_s for event_id, one in hops.read(file).items()} == {"e": 10.018, "f": 11.0}


def test_a_hop_is_noted_whether_it_succeeds_or_not() -> None:
    spans: list[Span] = []

    def fail() -> None:
        raise KeyError("x")

    assert hops.noted(READ, lambda one: one + 1, spans)(1) == 2
    with pytest.raises(KeyError):
        hops.noted(SCRIPT, fail, spans)()
    assert [span.hop for span in spans] == [READ, SCRIPT]
    assert all(span.end_s >= span.start_s for span in spans)


def test_figures_name_every_hop_with_p50_p99_and_share() -> None:
    splits = [dict.fromkeys(hops.HOPS, 1.0), dict.fromkeys(hops.HOPS, 3.0)]
    found = hops.figures(splits)
    assert [figure.key for figure in found] == [f"hop_{hop}_p50_ms" for hop in hops.HOPS]
    assert {figure.value for figure in found} == {1.0}
    assert all(figure.beside.startswith("p99 3.0, max 3.0 ms; 12 % of the time") for figure in found)
