"""What a reader notices of the answers it gets."""

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
import requests

from tests.chaos.reader import PROBLEM, Reader, Target, out_of_order
from tests.chaos.timeline import TIMEOUT, UNREACHABLE, Timeline
from tests.support.windows import Window

TARGET = Target("sum", Window({"window": "all-time"}))
BOARDS: dict[str, dict[str, Any]] = {"sum": {"order": "desc"}}


def line(rank: int, user_id: str, score: int, second: int = 0) -> dict[str, Any]:
    return {"rank": rank, "userId": user_id, "score": score, "reachedAt": f"2026-11-23T10:00:{second:02d}.000Z"}


def page(total: int, revision: int, source: str = "live", entries: Sequence[Any] = ()) -> requests.Response:
    answer = requests.Response()
    answer.status_code = 200
    answer.json = lambda **_: {  # type: ignore[method-assign]
        "source": source,
        "total": total,
        "revision": revision,
        "entries": list(entries),
    }
    return answer


def problem(status: int, body: bytes, content_type: str = PROBLEM) -> requests.Response:
    answer = requests.Response()
    answer.status_code = status
    answer.headers["content-type"] = content_type
    answer._content = body
    return answer


class Session:
    """Gives the answers of a list, one after the other; an exception is raised."""

    def __init__(self, answers: Sequence[Any]) -> None:
        self._answers = iter(answers)

    def get(self, *_: Any, **__: Any) -> Any:
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


def complaints(monkeypatch: pytest.MonkeyPatch, *answers: Any) -> list[str]:
    monkeypatch.setattr("tests.chaos.reader.requests.Session", lambda: Session(answers))
    timeline = Timeline([TARGET.name])
    reader = Reader("http://api", timeline, [TARGET], BOARDS, Random(1))
    for _ in answers:
        reader.step()
    return [complaint.partition(": ")[2] for complaint in timeline.complaints]


@pytest.mark.parametrize(
    "lines",
    [
        [line(1, "b", 1), line(2, "a", 2)],
        [line(1, "b", 2, second=2), line(2, "a", 2, second=1)],
        [line(1, "b", 2), line(2, "a", 2)],
        [line(1, "a", 2), line(2, "a", 2)],
        [line(1, "a", 2), line(3, "b", 1)],
        [line(2, "a", 2), line(3, "b", 1)],
    ],
    ids=["score", "time", "user", "the same twice", "a gap", "the first rank"],
)
def test_lines_out_of_order_are_noticed(lines: list[dict[str, Any]]) -> None:
    assert out_of_order({"order": "desc"}, lines, 1)


def test_lines_in_order_are_fine() -> None:
    descending = [line(4, "z", 3), line(5, "z2", 2, second=1), line(6, "a", 2, second=2), line(7, "b", 2, second=2)]
    ascending = [line(1, "a", -1), line(2, "b", 4)]

    assert out_of_order({"order": "desc"}, descending, 4) == []
    assert out_of_order({}, descending, 4) == []
    assert out_of_order({"order": "asc"}, ascending, 1) == []
    assert out_of_order({"order": "asc"}, ascending[::-1], 1)


def test_a_live_window_that_loses_players_or_goes_back_in_time_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert complaints(monkeypatch, page(5, 10), page(5, 10), page(6, 11)) == []
    assert complaints(monkeypatch, page(5, 10), page(4, 11)) == ["went back from total and revision (5, 10) to (4, 11)"]
    assert complaints(monkeypatch, page(5, 10), page(5, 9)) == ["went back from total and revision (5, 10) to (5, 9)"]


def test_a_snapshot_is_not_held_to_what_live_ranks_are_and_counted_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    unexcused = complaints(monkeypatch, page(5, 10), page(0, 0, "snapshot"), page(5, 10))

    assert unexcused == ["200 snapshot in phase calm"]


def test_an_error_has_to_be_a_problem_of_its_own_status(monkeypatch: pytest.MonkeyPatch) -> None:
    slug = b'{"status": 503, "type": "urn:leaderboards:problem:rebuilding"}'

    assert complaints(monkeypatch, problem(503, slug)) == ["503 rebuilding in phase calm"]
    assert complaints(monkeypatch, problem(500, slug))[0] == "500 says 503"
    assert complaints(monkeypatch, problem(502, b"<html>", "text/html"))[0] == "502 without a problem: <html>"


def test_a_range_that_is_being_built_says_so_and_when_to_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    building = problem(202, b'{"state": "building"}', "application/json")
    building.headers["retry-after"] = "1"

    assert complaints(monkeypatch, building) == []
    assert complaints(monkeypatch, problem(202, b'{"state": "building"}')) == ['{"state": "building"}']


def test_an_api_that_is_away_or_silent_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    assert complaints(monkeypatch, requests.ConnectionError()) == [f"{UNREACHABLE} in phase calm"]
    assert complaints(monkeypatch, requests.ReadTimeout()) == [f"{TIMEOUT} in phase calm"]
