"""Who is disqualified follows from the audit log alone."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.domain.audit import EVERY_DAY, AuditAction, AuditEntry, Disqualified
from shared.domain.calendar import ALL_TIME_DAY, DAY_MAX, Day
from shared.domain.snapshots import Sample, Snapshot
from shared.domain.standings import Score


def entry(number: int, kind: AuditAction, user_id: str | None = None) -> AuditEntry:
    return AuditEntry(number=number, kind=kind, actor="admin", reason="why", at_ms=number, user_id=user_id)


OUT, BACK = AuditAction.DISQUALIFY, AuditAction.REINSTATE
LOG = [
    entry(1, OUT, "ann"),
    entry(2, AuditAction.REBUILD),
    entry(3, OUT, "bob"),
    entry(4, BACK, "ann"),
    entry(5, BACK, "ann"),
]


@pytest.mark.parametrize(
    ("audit_sequence", "user_ids"), [(0, ""), (1, "ann"), (2, "ann"), (3, "ann bob"), (4, "bob"), (5, "bob")]
)
def test_the_log_says_who_was_out_as_of_every_entry(audit_sequence: int, user_ids: str) -> None:
    assert Disqualified().after(LOG[:audit_sequence]) == Disqualified(audit_sequence, frozenset(user_ids.split()))


@pytest.mark.parametrize("at", range(6))
def test_reading_on_from_an_entry_is_as_good_as_reading_everything(at: int) -> None:
    before = Disqualified().after(LOG[:at])
    assert before.after(LOG[at:]) == Disqualified().after(LOG)


@pytest.mark.parametrize("log", [LOG[1:], [LOG[0], LOG[2]], [LOG[0], LOG[0]], [LOG[1], LOG[0]]])
def test_a_gap_in_the_log_is_never_passed_over(log: list[AuditEntry]) -> None:
    with pytest.raises(ValueError, match="does not follow"):
        Disqualified().after(log)


def test_a_snapshot_without_somebody_is_as_if_he_had_not_been_there() -> None:
    top = [(name, Score(9 - place, 0)) for place, name in enumerate(("ann", "bob", "cat"))]
    samples = [Sample(5, "dan", Score(3, 0)), Sample(7, "eve", Score(2, 0)), Sample(9, "fay", Score(1, 0))]
    snapshot = Snapshot(4, 9, 1_000, top, samples)

    left = snapshot.without(frozenset({"bob", "eve", "unknown"}))

    assert [name for name, _ in left.top] == ["ann", "cat"]
    assert [(one.rank, one.user_id) for one in left.samples] == [(4, "dan"), (7, "fay")]
    assert (left.total, left.revision, left.as_of_ms) == (7, 4, 1_000)
    assert snapshot.without(frozenset()) is snapshot


def for_days(number: int, first: int, last: int) -> AuditEntry:
    """A disqualification for some days."""
    whole = AuditEntry(number=number, kind=OUT, actor="admin", reason="why", at_ms=0, user_id="ann")
    return replace(whole, first_day=Day(first), last_day=Day(last))


@pytest.mark.parametrize(
    ("runs", "joined"),
    [
        ([(5, 6)], ((5, 6),)),
        ([(8, 9), (5, 6)], ((5, 6), (8, 9))),
        ([(5, 6), (7, 9)], ((5, 9),)),
        ([(5, 9), (6, 7)], ((5, 9),)),
        ([(5, 6), (8, 9), (6, 8)], ((5, 9),)),
    ],
)
def test_days_that_are_out_add_up(runs: list[tuple[int, int]], joined: tuple[tuple[int, int], ...]) -> None:
    found = Disqualified().after(for_days(number, *run) for number, run in enumerate(runs, start=1))
    assert found.days == {"ann": joined}
    assert (found.user_ids, found.partly) == (frozenset(), frozenset({"ann"}))
    out = {day for first, last in joined for day in range(first, last + 1)}
    assert {day for day in range(12) if not found.counts("ann", Day(day))} == out
    assert not found.counts("ann", ALL_TIME_DAY), "it is made of the other days"
    assert found.counts("bob", Day(5))
    assert all(found.is_out("ann", (Day(day), Day(day))) is (day in out) for day in range(12))
    assert not found.is_out("ann", None)


def test_a_reinstated_player_is_out_on_no_day_and_still_known_for_it() -> None:
    whole = AuditEntry(number=2, kind=OUT, actor="admin", reason="why", at_ms=0, user_id="ann")
    log = [for_days(1, 5, 6), whole, AuditEntry(number=3, kind=BACK, actor="admin", reason="", at_ms=0, user_id="ann")]

    assert not Disqualified().after(log[:2]).counts("ann", Day(9))
    assert Disqualified().after(log[:2]).partly == frozenset()
    assert Disqualified().after(log) == Disqualified(3, frozenset(), {"ann": ()})
    assert Disqualified().after(log).counts("ann", ALL_TIME_DAY)


def of_days(number: int, kind: AuditAction, *run: int) -> AuditEntry:
    """Something done to ann, whatever the day or for some days."""
    whole = AuditEntry(number=number, kind=kind, actor="admin", reason="why", at_ms=0, user_id="ann")
    return replace(whole, first_day=Day(run[0]), last_day=Day(run[1])) if run else whole


@pytest.mark.parametrize(
    ("log", "left"),
    [
        ([(OUT, 5, 7), (OUT, 7, 9), (BACK, 5, 7)], ((8, 9),)),
        ([(OUT, 5, 9), (BACK, 6, 7)], ((5, 5), (8, 9))),
        ([(OUT, 5, 6), (OUT, 8, 9), (BACK, 6, 8)], ((5, 5), (9, 9))),
        ([(OUT, 5, 6), (BACK, 4, 7)], ()),
        ([(OUT, 5, 6), (OUT,), (BACK,)], ()),
        ([(OUT,), (BACK, 5, 6)], ((0, 4), (7, DAY_MAX))),
        ([(OUT, 5, 6), (OUT,), (BACK, 5, 5)], ((0, 4), (6, DAY_MAX))),
        ([(OUT,), (BACK, 0, DAY_MAX)], None),
    ],
)
def test_reinstating_some_days_takes_back_these_alone_whoever_took_them_out(
    log: list[Any], left: tuple[tuple[int, int], ...] | None
) -> None:
    found = Disqualified().after(of_days(number, *one) for number, one in enumerate(log, start=1))
    assert found.days == ({} if left is None else {"ann": left})
    assert found.user_ids == frozenset()


days = st.none() | st.tuples(st.integers(0, 9), st.integers(0, 9)).map(sorted)


@given(st.lists(st.tuples(st.sampled_from([OUT, BACK]), days), max_size=8), days)
def test_a_day_is_out_if_the_last_entry_about_it_says_so(
    log: list[tuple[AuditAction, list[int] | None]], run: list[int] | None
) -> None:
    found = Disqualified().after(of_days(number, kind, *(of or ())) for number, (kind, of) in enumerate(log, start=1))

    def last_word(day: int) -> bool:
        words = [kind for kind, of in log if of is None or of[0] <= day <= of[1]]
        return bool(words) and words[-1] is OUT

    every_day = [*range(11), DAY_MAX]
    out = {day for day in every_day if last_word(day)}
    assert {day for day in every_day if not found.counts("ann", Day(day))} == out
    assert found.counts("ann", ALL_TIME_DAY) is (not out), "it is made of the other days"
    assert ("ann" in found.user_ids | found.partly) is bool(out)
    first, last = run or EVERY_DAY
    meant = {day for day in every_day if first <= day <= last}
    asked = None if run is None else (Day(first), Day(last))
    assert found.is_out("ann", asked) is (meant <= out)
    assert found.is_back("ann", asked) is meant.isdisjoint(out)
