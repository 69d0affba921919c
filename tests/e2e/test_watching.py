"""A crowd that watches one board through a shared cache, which goes by what the API says of its answers."""

import re
import time
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pytest
import requests

from infra.local.stack import Stack
from tests.support.stack import System, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

BOARD: Final = "watched"
PAGE: Final = f"/leaderboards/{BOARD}/rankings?window=all-time&limit=10"


class SharedCache:
    """RFC 9111 as far as it matters here: keeps what is `public` by its URL, for as long as it says; revalidates."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._kept: dict[str, tuple[float, requests.Response]] = {}
        self.asked: list[int] = []
        """Status of each answer of the API."""
        self.repeated: list[str] = []
        """What was sent in full though it says the same as what was kept, but for its instant."""

    def get(self, path: str) -> requests.Response:
        until_s, kept = self._kept.get(path, (0.0, None))
        if kept is not None and time.monotonic() < until_s:
            return kept
        headers = {"if-none-match": kept.headers["etag"]} if kept is not None else {}
        answer = requests.get(self._url + path, headers=headers, timeout=10)
        self.asked.append(answer.status_code)
        directives = answer.headers["cache-control"].split(", ")
        if answer.status_code == 304 and kept is not None:
            answer = kept
        elif kept is not None and said(answer) == said(kept):
            self.repeated.append(answer.text)
        age = re.fullmatch(r"max-age=(\d+)", directives[1] if len(directives) > 1 else "")
        if "public" in directives and age is not None:
            self._kept[path] = time.monotonic() + int(age[1]), answer
        return answer


@pytest.fixture(scope="module")
def system(quick_stack: Stack) -> Iterator[System]:
    running = System(quick_stack)
    running.put(f"/leaderboards/{BOARD}", {"name": "Watched", "aggregation": "sum"})
    yield running
    running.close()


def score(system: System, user_id: str, points: int) -> None:
    event = {"eventId": f"{user_id}-{points}", "leaderboardId": BOARD, "userId": user_id, "points": points}
    event |= {"occurredAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    system.produce([(f"{BOARD}:{user_id}".encode(), msgspec.json.encode(event))])


def said(answer: requests.Response) -> dict[str, Any]:
    return {name: value for name, value in answer.json().items() if name != "asOf"}


def leader(answer: requests.Response) -> str:
    return str(answer.json()["entries"][0]["userId"])


def test_a_crowd_reaches_the_api_once_a_second_and_sees_every_change(system: System) -> None:
    score(system, "ann", 10)
    until(lambda: system.get(PAGE)["total"] == 1, "ann has a rank")
    cache = SharedCache(system.url)
    assert cache.get(f"/leaderboards/{BOARD}/players/ben?window=all-time").status_code == 404

    start_s, seen = time.monotonic(), []
    while time.monotonic() < start_s + 2.5:
        seen += [leader(cache.get(PAGE)) for _ in range(200)]
        time.sleep(0.01)

    assert set(seen) == {"ann"}
    assert len(seen) >= 1_000
    assert cache.asked[1] == 200
    assert 304 in cache.asked
    assert cache.repeated == [], "in full only what is new"
    assert len(cache.asked) - 1 <= time.monotonic() - start_s + 1, "once a second"

    score(system, "ben", 20)
    until(lambda: leader(cache.get(PAGE)) == "ben", "the crowd sees who leads now")
    assert cache.get(f"/leaderboards/{BOARD}/players/ben?window=all-time").json()["player"]["rank"] == 1


def test_nothing_else_is_kept_for_a_crowd(system: System) -> None:
    cache = SharedCache(system.url)
    for path in (f"/leaderboards/{BOARD}", f"/leaderboards/{BOARD}/players/ann/events", "/leaderboards/none/rankings"):
        answers = [requests.get(system.url + path, timeout=10).headers.get("cache-control", "") for _ in range(2)]
        assert not any("public" in one for one in answers), path
    waited = requests.get(system.url + PAGE, headers={"prefer": "wait=1"}, timeout=10)
    assert waited.headers["cache-control"].startswith("private, ")
    assert cache.get(PAGE).headers["cache-control"] == "public, max-age=1, must-revalidate"
