"""The example of a payer books each award once, and takes back and books again as award changes say."""

import importlib.util
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

OF = ("cup", "2026-W48", "ann")


@pytest.fixture(scope="module")
def pay() -> Any:
    file = Path(__file__).parents[2] / "docs/examples/pay.py"
    spec = importlib.util.spec_from_file_location("pay", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def book(pay: Any) -> Iterator[sqlite3.Connection]:
    database = sqlite3.connect(":memory:")
    database.executescript(pay.TABLES)
    yield database
    database.close()


def in_force(book: sqlite3.Connection) -> list[Any]:
    return [one for (one,) in book.execute("SELECT award_id FROM awards WHERE revoked_by IS NULL ORDER BY award_id")]


def test_an_award_that_is_in_force_is_not_granted_again(pay: Any, book: sqlite3.Connection) -> None:
    pay.grant(book, "a1", *OF, "gold")
    with pytest.raises(pay.WrongFile, match="granted twice"):
        pay.grant(book, "a1", *OF, "gold")
    assert in_force(book) == ["a1"]


def test_an_award_that_was_revoked_is_granted_again_under_its_id(pay: Any, book: sqlite3.Connection) -> None:
    pay.grant(book, "a1", *OF, "gold")
    pay.revoke(book, 2, "a1", *OF)
    assert in_force(book) == []
    pay.grant(book, "a1", *OF, "gold")
    assert in_force(book) == ["a1"]


def test_a_revocation_without_an_id_takes_back_what_the_player_holds(pay: Any, book: sqlite3.Connection) -> None:
    pay.grant(book, "of version 1", *OF, "gold")
    pay.grant(book, "b", *OF[:2], "bob", "gold")
    pay.revoke(book, 2, "", *OF)
    assert in_force(book) == ["b"]


@pytest.mark.parametrize("award_id", ["another", ""])
def test_what_is_not_booked_is_not_revoked(pay: Any, book: sqlite3.Connection, award_id: str) -> None:
    pay.grant(book, "b", *OF[:2], "bob", "gold")
    with pytest.raises(pay.WrongFile, match="not booked"):
        pay.revoke(book, 2, award_id, *OF)
    assert in_force(book) == ["b"]
