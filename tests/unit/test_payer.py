"""The example of a payer books each award once, and takes back and books again as award changes say."""

import hashlib
import importlib.util
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from botocore.exceptions import EndpointConnectionError

from shared.closing.result_files import award_changes
from shared.domain.awards import award_id
from shared.domain.ranking import Entry

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


def test_who_has_a_pseudonym_since_is_paid_once(pay: Any, book: sqlite3.Connection) -> None:
    window = OF[:2]
    issued = {"p-1": {tier: award_id(*OF, tier) for tier in ("gold", "silver")}}
    paid = issued["p-1"]["gold"]
    pay.grant(book, paid, *OF, "gold")
    gold, silver = (Entry(rank, "p-1", 9, 1, 0, tier, rank) for rank, tier in ((1, "gold"), (2, "silver")))
    versions = ((gold, silver), (silver, gold), (gold, None), (None, gold))
    held = []
    for number, changed in enumerate(versions, 2):
        for action, user_id, tier, name in award_changes(*window, [changed], ids_stay=True, issued=issued):
            if action == "grant":
                pay.grant(book, name, *window, user_id, tier)
            else:
                pay.revoke(book, number, name, *window, user_id)
        held.append(in_force(book))
    assert held == [[issued["p-1"]["silver"]], [paid], [], [paid]]


@pytest.mark.parametrize("other", ["another", ""])
def test_what_is_not_booked_is_not_revoked(pay: Any, book: sqlite3.Connection, other: str) -> None:
    pay.grant(book, "b", *OF[:2], "bob", "gold")
    with pytest.raises(pay.WrongFile, match="not booked"):
        pay.revoke(book, 2, other, *OF)
    assert in_force(book) == ["b"]


class Queue:
    """SQS with what a test has put there."""

    def __init__(self, *bodies: str) -> None:
        self.bodies = dict(enumerate(bodies))
        self.hidden: set[int] = set()

    def receive_message(self, **_asked: Any) -> dict[str, Any]:
        found = [number for number in self.bodies if number not in self.hidden][:1]
        self.hidden |= set(found)
        return {
            "Messages": [{"MessageId": str(one), "ReceiptHandle": str(one), "Body": self.bodies[one]} for one in found]
        }

    def delete_message(self, ReceiptHandle: str, **_of: Any) -> None:
        del self.bodies[int(ReceiptHandle)]

    def change_message_visibility(self, ReceiptHandle: str, VisibilityTimeout: int, **_of: Any) -> None:
        assert VisibilityTimeout == 0
        self.hidden.discard(int(ReceiptHandle))


def body(window: str) -> str:
    return json.dumps({"type": "WindowFinal", "leaderboardId": "cup", "windowId": window})


AWARDS = "award_id,user_id,tier\r\na1,ann,gold\r\na2,bob,silver\r\n"
CHANGES = "action,user_id,tier,award_id\r\nrevoke,ann,gold,a1\r\ngrant,bob,gold,a3\r\nrevoke,bob,silver,a2\r\n"


@pytest.fixture
def world(pay: Any, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """An API with one result of each window that is asked for, and a queue."""
    found = SimpleNamespace(queue=Queue(body("2026-W48")), files={"awards": AWARDS, "changes": CHANGES}, versions=1)

    def file(name: str, rows: int) -> dict[str, Any]:
        content = found.files[name].encode()
        return {"url": f"https://files/{name}", "sha256": hashlib.sha256(content).hexdigest(), "rows": rows}

    def fetch(url: str, **_more: Any) -> Any:
        if "/result/versions" not in url:
            return SimpleNamespace(content=found.files[url.rpartition("/")[2]].encode())
        versions = [
            {"version": 1, "awards": file("awards", 2), "awardChanges": None},
            {"version": 2, "awards": file("awards", 2), "awardChanges": file("changes", 3)},
        ]
        return SimpleNamespace(json=lambda: {"versions": versions[: found.versions]})

    monkeypatch.setenv("API_URL", "https://api")
    monkeypatch.setenv("QUEUE_URL", "https://queue")
    monkeypatch.setattr(pay, "fetch", fetch)
    monkeypatch.setattr(pay.boto3, "client", lambda *_name, **_config: found.queue)
    return found


def rows(file: Path) -> list[Any]:
    with closing(sqlite3.connect(file)) as database:
        return list(database.execute("SELECT award_id, user_id, tier, revoked_by FROM awards ORDER BY award_id"))


def test_it_says_what_it_books_and_the_totals_by_tier(
    pay: Any, world: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pay.main([str(tmp_path / "book"), "--once"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "grant\tcup\t2026-W48\tann\tgold\ta1",
        "grant\tcup\t2026-W48\tbob\tsilver\ta2",
        "gold: 1 granted, 0 revoked",
        "silver: 1 granted, 0 revoked",
        "in total: 2 granted, 0 revoked",
        "the queue is empty",
    ]
    assert rows(tmp_path / "book") == [("a1", "ann", "gold", None), ("a2", "bob", "silver", None)]
    assert world.queue.bodies == {}

    world.versions, world.queue.bodies, world.queue.hidden = 2, {0: body("2026-W48"), 1: body("2026-W48")}, set()
    assert pay.main([str(tmp_path / "book"), "--once"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "revoke\tcup\t2026-W48\tann\tgold\ta1",
        "grant\tcup\t2026-W48\tbob\tgold\ta3",
        "revoke\tcup\t2026-W48\tbob\tsilver\ta2",
        "nothing new\tcup\t2026-W48",
        "gold: 1 granted, 1 revoked",
        "silver: 0 granted, 1 revoked",
        "in total: 1 granted, 2 revoked",
        "the queue is empty",
    ]


def test_a_dry_run_books_nothing_and_keeps_every_message(
    pay: Any, world: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.queue.bodies[1] = body("2026-W48")
    for _ in range(2):
        assert pay.main([str(tmp_path / "book"), "--dry-run"]) == 0
        out = capsys.readouterr().out.splitlines()
        assert out[:3] == [
            "would grant\tcup\t2026-W48\tann\tgold\ta1",
            "would grant\tcup\t2026-W48\tbob\tsilver\ta2",
            "nothing new\tcup\t2026-W48",
        ], "the second message finds what the first would have booked"
        assert out[-2:] == ["in total: 2 granted, 0 revoked (dry run: nothing is booked)", "the queue is empty"]
        assert not (tmp_path / "book").exists()
        assert (len(world.queue.bodies), world.queue.hidden) == (2, set())


def test_a_dry_run_goes_by_what_is_booked(
    pay: Any, world: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pay.main([str(tmp_path / "book"), "--once"])
    before = (tmp_path / "book").read_bytes()
    world.versions, world.queue.bodies, world.queue.hidden = 2, {0: body("2026-W48")}, set()
    capsys.readouterr()
    assert pay.main([str(tmp_path / "book"), "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "would revoke\tcup\t2026-W48\tann\tgold\ta1"
    assert (tmp_path / "book").read_bytes() == before


def test_a_wrong_file_ends_with_1_and_keeps_its_message(
    pay: Any, world: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.files["awards"] = AWARDS + "a2,cat,silver\r\n"
    assert pay.main([str(tmp_path / "book"), "--once"]) == 1
    assert "stopped: WrongFile: cup 2026-W48: an award is missing or there twice" in capsys.readouterr().err
    assert rows(tmp_path / "book") == []
    assert len(world.queue.bodies) == 1


@pytest.mark.parametrize("text", ["no JSON", "[]", "{}", '{"type": "WindowFinal"}'])
def test_a_message_that_is_no_notification_ends_with_1(
    pay: Any, world: SimpleNamespace, tmp_path: Path, text: str
) -> None:
    world.queue.bodies = {0: text}
    assert pay.main([str(tmp_path / "book"), "--once"]) == 1
    assert len(world.queue.bodies) == 1


def test_a_window_that_has_no_result_ends_with_1(pay: Any, world: SimpleNamespace, tmp_path: Path) -> None:
    world.versions = 0
    assert pay.main([str(tmp_path / "book"), "--once"]) == 1


@pytest.mark.parametrize(
    "error", [requests.ConnectionError("away"), EndpointConnectionError(endpoint_url="https://queue")]
)
def test_what_is_out_of_reach_ends_with_3(
    pay: Any, world: SimpleNamespace, tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(pay, "fetch", fail)
    assert pay.main([str(tmp_path / "book"), "--once"]) == 3
    assert len(world.queue.bodies) == 1


def test_a_wrong_call_ends_with_2(pay: Any, world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in ([], ["book", "--twice"]):
        with pytest.raises(SystemExit, match="2"):
            pay.main(arguments)
    monkeypatch.delenv("QUEUE_URL")
    with pytest.raises(SystemExit, match="2"):
        pay.main(["book"])


def test_an_interruption_ends_with_130(
    pay: Any, world: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(**_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(world.queue, "receive_message", interrupt)
    assert pay.main([str(tmp_path / "book")]) == 130
