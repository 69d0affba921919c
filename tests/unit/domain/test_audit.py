"""Who is disqualified follows from the audit log alone."""

import pytest

from shared.domain.audit import AuditAction, AuditEntry, Disqualified
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
