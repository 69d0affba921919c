"""Which events a proof counts; the rest of it is proved on real tables."""

from typing import Any

import pytest

from infra.prove import counting


def item(event_id: str, **marks: int) -> dict[str, Any]:
    found: dict[str, Any] = {"sk": {"S": event_id}, "occurred_at": {"N": "5"}, "points": {"N": "7"}}
    return found | {name: {"N": str(number)} for name, number in marks.items()}


@pytest.mark.parametrize(
    ("audit_sequence", "expected"),
    [
        (0, ["plain", "void at 2"]),
        (1, ["plain", "void at 2", "added at 1", "in and out"]),
        (2, ["plain", "added at 1"]),
    ],
)
def test_what_counts_is_as_of_the_file_s_audit_entry(audit_sequence: int, expected: list[str]) -> None:
    held = {
        "ann": [
            item("plain"),
            item("void at 2", voided_by=2),
            item("added at 1", added_by=1),
            item("in and out", added_by=1, voided_by=2),
        ],
        "bob": [item("later", added_by=3)],
    }

    assert counting(held, audit_sequence) == {"ann": [(5, event_id, 7, {}) for event_id in expected]}
