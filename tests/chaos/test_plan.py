"""The monkey's plans."""

import itertools
from collections import Counter
from random import Random

import pytest

from infra.local.supervisor import DEATHS_WITHIN_S
from tests.chaos.plan import DEATHS_PLANNED_MAX, KILLS, VICTIMS, Kind, plan


def test_the_same_seed_is_the_same_plan() -> None:
    assert plan(Random(7), 28, 600) == plan(Random(7), 28, 600)
    assert plan(Random(7), 28, 600) != plan(Random(8), 28, 600)


@pytest.mark.parametrize("seed", range(50))
def test_every_kind_of_kill_is_there_about_as_often_and_within_the_time(seed: int) -> None:
    strikes = plan(Random(seed), 30, 600)

    counts = Counter(strike.kind for strike in strikes)
    assert sum(counts[kind] for kind in KILLS) == 30
    assert {counts[kind] for kind in KILLS} == {4, 5}
    assert counts[Kind.FLUSH] == 4
    times = [strike.at_s for strike in strikes]
    assert times == sorted(times)
    assert 0 < times[0] < times[-1] < 600


@pytest.mark.parametrize("seed", range(50))
def test_no_process_is_killed_so_often_that_it_mostly_waits_for_its_next_start(seed: int) -> None:
    strikes = plan(Random(seed), 60, 600)

    for name in set(VICTIMS.values()):
        deaths = [strike.at_s for strike in strikes if VICTIMS[strike.kind] == name and strike.kind in KILLS]
        for at_s in deaths:
            assert sum(at_s <= other_s <= at_s + DEATHS_WITHIN_S for other_s in deaths) <= DEATHS_PLANNED_MAX


@pytest.mark.parametrize("seed", range(50))
def test_the_last_fault_of_the_cache_keeps_its_data_so_that_no_rebuild_hides_drift(seed: int) -> None:
    strikes = plan(Random(seed), 28, 600)

    at_cache = [strike for strike in strikes if VICTIMS[strike.kind] == "cache"]
    assert {strike.kind for strike in at_cache} == {Kind.CACHE, Kind.CACHE_EMPTIED, Kind.FLUSH}
    assert at_cache[-1].kind is Kind.CACHE
    assert [strike for strike in strikes if strike.into_peace] == at_cache[-1:]


def test_more_kills_than_the_supervisor_puts_up_with_are_refused() -> None:
    with pytest.raises(ValueError, match="60 kills in 60 s are too many"):
        plan(Random(1), 60, 60)


def test_sometimes_two_different_processes_are_struck_at_once() -> None:
    strikes = plan(Random(3), 60, 1_200)

    together = [(one, other) for one, other in itertools.pairwise(strikes) if one.at_s == other.at_s]
    assert together
    assert all(VICTIMS[one.kind] != VICTIMS[other.kind] for one, other in together)
