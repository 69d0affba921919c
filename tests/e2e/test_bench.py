"""The benchmark of the whole stack, in a tiny size. Nothing here asserts on time."""

import pytest

from infra.bench import end_to_end, hops

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def test_an_event_is_followed_through_every_hop_to_its_rank() -> None:
    figures = {figure.key: figure for figure in end_to_end.run(end_to_end.TINY, lambda _: None)}

    assert {"end_to_end_events_per_s", "end_to_end_p50_ms", "end_to_end_p99_ms", "score_call_p50_ms"} <= figures.keys()
    assert figures["end_to_end_cpu_ms"].value > 0
    assert {f"hop_{hop}_p50_ms" for hop in hops.HOPS} <= figures.keys()
    assert all(figures[f"hop_{hop}_p50_ms"].value > 0 for hop in ("read", "transaction", "script"))
