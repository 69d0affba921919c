"""When occurrences of series begin and end, against a second calendar: no gap, no overlap, no drift."""

from contextlib import nullcontext, suppress
from datetime import date, timedelta
from itertools import pairwise, takewhile

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.domain.calendar import DAY_MAX, Day, InvalidWindow, to_date
from shared.domain.periods import Period
from shared.domain.series import AHEAD, Series, check
from tests.support.recurring import starts

LONGEST = {"D": 366, "W": 52, "M": 12, "Y": 1}
firsts = st.dates(date(1970, 1, 1), date(2100, 12, 31)).map(lambda one: Day((one - date(1970, 1, 1)).days))
durations = st.sampled_from(list(LONGEST)).flatmap(
    lambda unit: st.integers(1, LONGEST[unit]).map(lambda count: f"P{count}{unit}")
)


@st.composite
def series(draw: st.DrawFn) -> Series:
    first = draw(firsts)
    until = draw(st.none() | st.integers(first, min(first + 1_000, DAY_MAX)).map(Day))
    return Series(id="cup", name="Cup", every=draw(durations), first=first, until=until)


@given(series(), st.integers(0, 60))
def test_an_occurrence_begins_so_many_durations_on_and_ends_before_the_next(one: Series, number: int) -> None:
    found, first, after = (
        one.occurrence(number),
        *(starts(to_date(one.first), one.every, at) for at in (number, number + 1)),
    )
    if after - timedelta(1) > to_date(DAY_MAX if one.until is None else one.until):
        assert found is None
        return
    assert found is not None
    assert (to_date(found.first), to_date(found.last)) == (first, after - timedelta(1))
    assert found.id == f"cup~{first.isoformat()}"
    assert found.window.days, "no longer than a window may be"


@given(series())
def test_occurrences_follow_each_other_without_gaps_and_overlaps(one: Series) -> None:
    found = [occurrence for number in range(40) if (occurrence := one.occurrence(number)) is not None]
    assert all(after.first == before.last + 1 for before, after in pairwise(found))
    assert len({occurrence.id for occurrence in found}) == len(found)
    assert not found or found[0].first == one.first


@given(series())
def test_a_series_is_refused_where_it_has_no_occurrence_and_only_there(one: Series) -> None:
    with suppress(InvalidWindow) if one.occurrence(0) is None else nullcontext():
        check(one)
        assert one.occurrence(0) is not None


@given(series(), firsts, st.lists(st.tuples(firsts, st.integers(0, 30)), max_size=3), st.booleans())
def test_a_series_goes_on_with_the_first_that_may_be_made_after_those_that_stay(
    one: Series, today: Day, runs: list[tuple[Day, int]], is_new: bool
) -> None:
    stay = [Period(id=f"cup~{first}", name="Cup", first=first, last=Day(first + days)) for first, days in runs]

    found = (one.begin if is_new else one.go_on)(today, stay)

    last = max((period.last for period in stay), default=-1)

    def may_be_made(number: int) -> bool:
        is_in_time = one.starts(number + 1) > today if is_new else one.starts(number) > today
        return one.starts(number) > last and is_in_time

    assert found == replace(one, since=found.next, next=found.next)
    assert may_be_made(found.next)
    assert found.next == 0 or not may_be_made(found.next - 1)


@given(series(), *[st.integers(0, 800)] * 3)
def test_what_is_made_day_by_day_is_all_that_has_begun_and_so_many_ahead(
    one: Series, back: int, days: int, kept: int
) -> None:
    """Whoever makes them comes by on some days only: what was missed is made then."""
    now = Day(max(0, one.first - 400 + back))
    stay = [Period(id="cup~1970-01-01", name="Cup", first=Day(now - 1), last=Day(now + kept // 20))][: kept % 2]
    begun = going = one.begin(now, stay)
    made = []
    for today in (now, Day(now + days // 3), Day(now + days)):
        while (period := going.due(today)) is not None:
            made.append(period)
            going = replace(going, next=going.next + 1)

    numbers = range(begun.next, begun.next + 900)
    possible = list(takewhile(lambda period: period is not None, map(one.occurrence, numbers)))
    has_begun = [period for period in possible if period is not None and period.first <= now + days]
    assert made == possible[: len(has_begun) + AHEAD]
