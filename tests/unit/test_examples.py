"""The clients that people copy: what they ask again, what they remember, and that they name what the API has."""

import importlib.util
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import tree_sitter_c_sharp
from tree_sitter import Language, Node, Parser

from infra.contract import contract

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
UNITY = EXAMPLES / "LeaderboardClient.cs"
SCHEMAS = contract()["components"]["schemas"]


@pytest.fixture(scope="module")
def client() -> Any:
    spec = importlib.util.spec_from_file_location("client", EXAMPLES / "client.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Api:
    """Answers with what it is given, in its order, and notes what it is asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], Any]] = []
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.url = ""

    def handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("content-length", 0))
                self.rfile.read(length)
                api.asked.append((self.command, self.path, {name.lower(): one for name, one in self.headers.items()}))
                status, headers, body = api.answers.pop(0)
                content = b"" if status == 304 else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {
                    "Content-Type": "application/problem+json",
                    "Content-Length": str(len(content)),
                    **headers,
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()
    server = ThreadingHTTPServer(("127.0.0.1", 0), made.handler())
    made.url = f"http://127.0.0.1:{server.server_port}/leaderboards/cup"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def pauses(client: Any, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(client.time, "sleep", found.append)
    monkeypatch.setattr(client.random, "uniform", lambda low, _: low)
    return found


@pytest.fixture
def board(client: Any, api: Api) -> Any:
    return client.Board(api.url, "secret")


def page(*user_ids: str, following: str | None = None) -> dict[str, Any]:
    entries = [{"rank": rank, "userId": user_id} for rank, user_id in enumerate(user_ids, start=1)]
    return {"entries": entries, "nextCursor": following}


PROBLEM = {"type": "urn:leaderboards:problem:unknown-player", "title": "x", "detail": "nobody", "errors": []}


def test_a_page_is_sent_again_only_if_it_has_changed(api: Api, board: Any) -> None:
    api.answers = [(200, {"ETag": 'W/"1"'}, page("ann")), (304, {}, None), (200, {"ETag": 'W/"2"'}, page("ben"))]
    assert [board.page()["entries"][0]["userId"] for _ in range(3)] == ["ann", "ann", "ben"]
    assert [headers.get("if-none-match") for _, _, headers in api.asked] == [None, 'W/"1"', 'W/"1"']
    assert {headers["authorization"] for _, _, headers in api.asked} == {"Bearer secret"}


def test_a_ranking_is_walked_to_its_end(api: Api, board: Any) -> None:
    api.answers = [(200, {}, page("ann", "ben", following="c")), (200, {}, page("cem"))]
    assert [one["userId"] for one in board.entries(page_size=2)] == ["ann", "ben", "cem"]
    assert "cursor=c" in api.asked[1][1]
    assert all("include=profile" in path for _, path, _ in api.asked)


def test_a_line_shows_the_name_of_who_has_one(client: Any, api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    profiles: list[Any] = [{"profile": {"name": "Ada"}}, {"profile": {"name": None}}, {"profile": None}, {}]
    entries = [{"rank": 1, "topPercent": 5.0, "userId": "u", "score": 9, **one} for one in profiles]
    api.answers = [(200, {}, {"entries": entries, "nextCursor": None})]
    assert client.main([api.url]) == 0
    assert [line.split("\t")[4] for line in capsys.readouterr().out.splitlines()] == ["Ada", "", "", ""]


@pytest.mark.parametrize("status", [202, 429, 503])
def test_what_is_to_be_asked_again_is_after_the_seconds_that_are_said(
    api: Api, board: Any, pauses: list[float], status: int
) -> None:
    api.answers = [(status, {"Retry-After": "7"}, {}), (200, {}, page("ann"))]
    assert board.page()["entries"]
    assert pauses == [7]


def test_it_is_asked_some_times_later_each_time_then_given_up(
    client: Any, api: Api, board: Any, pauses: list[float]
) -> None:
    api.answers = [(503, {}, {"detail": "away"})] * client.TRIES
    with pytest.raises(client.Problem, match="503 away"):
        board.page()
    assert pauses == [1, 2, 4, 8, 16]


def test_who_is_told_to_wait_for_long_is_not_kept_waiting(
    client: Any, api: Api, board: Any, pauses: list[float]
) -> None:
    api.answers = [(429, {"Retry-After": "600"}, {"type": "urn:leaderboards:problem:range-budget-spent"})]
    with pytest.raises(client.Problem) as caught:
        board.page()
    assert (caught.value.kind, pauses) == ("range-budget-spent", [])


def test_a_request_that_is_wrong_is_asked_once_and_says_which_field(
    client: Any, api: Api, board: Any, pauses: list[float]
) -> None:
    wrong = {"type": "urn:leaderboards:problem:invalid-request", "errors": [{"field": "limit", "message": "must be"}]}
    api.answers = [(422, {}, wrong)]
    with pytest.raises(client.Problem) as caught:
        board.page(limit=5_000)
    assert (caught.value.kind, caught.value.fields, pauses) == ("invalid-request", {"limit": "must be"}, [])


def test_a_player_without_points_is_none_and_any_other_problem_is_raised(client: Any, api: Api, board: Any) -> None:
    api.answers = [(404, {}, PROBLEM), (404, {}, PROBLEM | {"type": "urn:leaderboards:problem:unknown-leaderboard"})]
    assert board.player("a/b c") is None
    assert "userId=a%2Fb+c" in api.asked[0][1]
    with pytest.raises(client.Problem):
        board.player("ann")


def test_a_score_is_the_same_event_however_often_it_is_sent(api: Api, board: Any, pauses: list[float]) -> None:
    api.answers = [(503, {}, {}), (200, {}, {"windows": []})]
    assert board.score("a/b", "run-1", 5, "2026-11-23T10:00:00Z") == {"windows": []}
    assert [(method, path) for method, path, _ in api.asked] == [("POST", "/leaderboards/cup/players/a%2Fb/scores")] * 2


def nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from nodes(child)


@pytest.fixture(scope="module")
def unity() -> Node:
    parser = Parser(Language(tree_sitter_c_sharp.language()))
    return parser.parse(UNITY.read_bytes()).root_node


def test_the_client_for_unity_is_c_sharp(unity: Node) -> None:
    assert not unity.has_error
    assert not [one for one in nodes(unity) if one.is_missing]


def test_a_file_that_is_no_c_sharp_is_noticed() -> None:
    parser = Parser(Language(tree_sitter_c_sharp.language()))
    assert parser.parse(UNITY.read_bytes().replace(b"yield break;", b"yield break")).root_node.has_error


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("RankingEntry", "EntryView"),
        ("RankingProfile", "PaintView"),
        ("RankingPage", "RankingView"),
        ("ApiProblem", "Problem"),
    ],
)
def test_what_the_client_for_unity_reads_is_what_the_api_sends(unity: Node, name: str, view: str) -> None:
    (declared,) = (
        one
        for one in nodes(unity)
        if one.type == "class_declaration" and one.child_by_field_name("name").text == name.encode()  # type: ignore[union-attr]
    )
    fields = {
        one.child_by_field_name("name").text.decode()  # type: ignore[union-attr]
        for one in nodes(declared)
        if one.type == "variable_declarator"
    }
    assert fields
    assert fields <= SCHEMAS[view]["properties"].keys()
