"""Clients that are generated from the contract, and those that people copy, on the running stack."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from infra.contract import tools
from infra.local.stack import Stack
from tests.support.stack import System

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

ROOT: Final = Path(__file__).parents[2]
CLIENTS: Final = ROOT / "tests" / "support" / "clients"
BOARD: Final = "clients"
USERS: Final = ("p,2", *(f"p{number}" for number in range(25) if number != 2))
"""Best first. One has a comma, which lists of players are cut at."""
GERMAN: Final = ("p,2", "p4", "p6")
EXPECTED: Final = {
    "pages": [
        [[rank, USERS[rank - 1], 100 - rank, rank * 4.0] for rank in range(first, min(first + 10, 26))]
        for first in (1, 11, 21)
    ],
    "friends": ["p,2", "p1"],
    "german": list(GERMAN),
    "player": [6, "p4", "p6"],
    "error": [404, "urn:leaderboards:problem:unknown-player", "The player is not in this ranking"],
}


@pytest.fixture(scope="module")
def system(quick_stack: Stack) -> Iterator[System]:
    """With a ranking of 25, three pages of ten."""
    running = System(quick_stack)
    running.put(f"/leaderboards/{BOARD}", {"name": "Clients", "aggregation": "sum", "filters": ["country"]})
    scores = [
        {
            "userId": user_id,
            "eventId": "first",
            "points": 99 - place,
            "attributes": {"country": "DE"} if user_id in GERMAN else {},
        }
        for place, user_id in enumerate(USERS)
    ]
    answer = running.request(
        "POST", f"/leaderboards/{BOARD}/scores", json={"scores": scores}, headers={"prefer": "wait=20"}
    )
    assert {one["status"] for one in answer.json()["scores"]} == {200}, answer.text
    yield running
    running.close()


@pytest.fixture(scope="session")
def node() -> Path:
    """Where the tools of Node.js are; without them there is nothing to test."""
    found = tools.installed()
    if found is None:
        pytest.skip("there is no Node.js, or its packages can't be had")
    return found


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> str:
    """What a command prints, which has to succeed."""
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def checked(printed: str, *, lines: int) -> None:
    assert json.loads(printed) == EXPECTED | {"lines": lines}


def served(system: System, folder: Path) -> Path:
    """The contract as the system answers with it."""
    contract = folder / "openapi.json"
    contract.write_text(json.dumps(system.get("/openapi.json")))
    return contract


def test_a_generated_python_client_pages_finds_exports_and_fails(system: System, tmp_path: Path) -> None:
    scripts = Path(sys.executable).parent
    made = tmp_path / "generated"
    command: list[str | Path] = [scripts / "openapi-python-client", "generate", "--meta", "none", "--output-path", made]
    path = f"{scripts}:{os.environ['PATH']}"
    run(*command, "--path", served(system, tmp_path), cwd=tmp_path, PATH=path)
    checked(run(sys.executable, CLIENTS / "use_generated.py", tmp_path, system.url, BOARD), lines=26)


def compiled(node: Path, folder: Path, source: Path, *options: str) -> Path:
    """A script of TypeScript, checked strictly and made into one of JavaScript."""
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "node_modules").symlink_to(node.parent)
    script = folder / source.name
    script.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    run(
        node / "tsc",
        "--strict",
        "--skipLibCheck",
        "--noUncheckedIndexedAccess",
        "--target",
        "es2022",
        *options,
        script,
        cwd=folder,
    )
    return script.with_suffix(".js")


def test_a_generated_typescript_client_pages_finds_exports_and_fails(
    system: System, node: Path, tmp_path: Path
) -> None:
    run(node / "openapi-typescript", served(system, tmp_path), "-o", tmp_path / "schema.d.ts")
    script = compiled(node, tmp_path, CLIENTS / "use_generated.ts", "--module", "nodenext")
    checked(run("node", script, system.url, BOARD, cwd=tmp_path), lines=25)


def test_the_python_example_walks_a_ranking_and_finds_a_player(system: System) -> None:
    command: list[str | Path] = [
        sys.executable,
        ROOT / "docs" / "examples" / "client.py",
        f"{system.url}/leaderboards/{BOARD}",
    ]
    system.put(f"/leaderboards/{BOARD}/players/p0/profile", {"name": "Ada"})
    lines = [line.split("\t") for line in run(*command).splitlines()]
    assert [user_id for _, _, user_id, _, _ in lines] == list(USERS)
    assert lines[1] == ["2", "top 8.0 %", "p0", "98", "Ada"]
    assert run(*command, "--player", "p,2") == "1\ttop 4.0 %\tp,2\t99\t\n"
    assert run(*command, "--player", "nobody") == ""


def test_the_browser_example_shows_a_change_as_it_comes(system: System, node: Path, tmp_path: Path) -> None:
    system.put("/leaderboards/followed", {"name": "Followed", "aggregation": "sum"})

    def score(event_id: str) -> None:
        event = {"eventId": event_id, "points": 5}
        path = "/leaderboards/followed/players/ann/scores"
        answer = system.request("POST", path, json=event, headers={"prefer": "wait=20"})
        assert answer.status_code == 200, answer.text

    score("one")
    system.put("/leaderboards/followed/players/ann/profile", {"name": "Ann <3"})
    (tmp_path / "follow.ts").write_text((ROOT / "docs" / "examples" / "follow.ts").read_text())
    script = compiled(node, tmp_path, CLIENTS / "use_follow.ts", "--module", "nodenext", "--lib", "es2022,dom")
    with subprocess.Popen(
        ["node", script, f"{system.url}/leaderboards/followed"], stdout=subprocess.PIPE, text=True
    ) as following:
        assert following.stdout is not None
        assert json.loads(following.stdout.readline()) == ["Ann <3", 5]
        score("two")
        assert json.loads(following.stdout.readline()) == ["Ann <3", 10]
        assert following.wait(60) == 0
