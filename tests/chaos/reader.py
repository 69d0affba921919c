"""Readers, which outlive the API and look at every answer closely."""

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any, Final
from urllib.parse import quote

import requests

from tests.chaos.timeline import BUILDING, TIMEOUT, UNREACHABLE, Read, Timeline
from tests.support import oracle
from tests.support.windows import Window

ACCEPTED: Final = 202
PROBLEM: Final = "application/problem+json"
LIMIT_MAX: Final = 100
CONTEXT_MAX: Final = 3
TIMEOUT_S: Final = 40
"""Longer than the gateway's own, after which it answers with a problem."""


@dataclass(frozen=True)
class Target:
    """A window that is read again and again."""

    board: str
    window: Window

    @property
    def name(self) -> str:
        """For people, and the timeline."""
        return " ".join([self.board, *self.window.query.values()])


class Reader:
    """Reads pages of the targets in turn, and players it has seen there, and looks at every answer closely."""

    def __init__(
        self, url: str, timeline: Timeline, targets: Sequence[Target], boards: Mapping[str, Any], rng: Random
    ) -> None:
        self._url = url
        self._session = requests.Session()
        self._timeline = timeline
        self._targets = deque(targets)
        self._boards = boards
        self._rng = rng
        self._seen: dict[str, tuple[int, int]] = {}
        """Target → total and revision of its last live answer: neither ever goes back."""

    def step(self) -> None:
        """One page and, if it shows anybody, one of its players."""
        target = self._targets[0]
        self._targets.rotate(-1)
        total, _ = self._seen.get(target.name, (0, 0))
        offset = self._rng.choice([0, 0, self._rng.randint(0, total)])
        query = {"limit": self._rng.randint(1, LIMIT_MAX), "offset": offset}
        page = self._get(target, f"/leaderboards/{target.board}/rankings", query, offset)
        if page is not None and page["entries"]:
            user_id = quote(self._rng.choice(page["entries"])["userId"], safe="")
            context = self._rng.randint(0, CONTEXT_MAX)
            self._get(target, f"/leaderboards/{target.board}/players/{user_id}", {"context": context}, None)

    def _get(self, target: Target, path: str, query: Mapping[str, Any], offset: int | None) -> dict[str, Any] | None:
        """The body of a 200; `offset` is None for a player."""
        started_s = self._timeline.now_s()
        try:
            parameters = {**target.window.query, **query}
            answer = self._session.get(self._url + path, params=parameters, timeout=TIMEOUT_S)
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            self._timeline.saw(Read(target.name, started_s, self._timeline.now_s(), UNREACHABLE, False))
            return None
        except requests.Timeout:
            self._timeline.saw(Read(target.name, started_s, self._timeline.now_s(), TIMEOUT, False))
            return None
        ended_s = self._timeline.now_s()
        body, label, faults = _understood(answer)
        if body is not None:
            faults += self._faults(target, body, offset)
        self._timeline.saw(Read(target.name, started_s, ended_s, label, offset is not None, tuple(faults)))
        return body

    def _faults(self, target: Target, body: Mapping[str, Any], offset: int | None) -> list[str]:
        if body["source"] != "live":
            return []
        if offset is None:
            lines = [*body["above"], body["player"], *body["below"]]
            first = body["player"]["rank"] - len(body["above"])
        else:
            lines, first = body["entries"], offset + 1
        faults = out_of_order(self._boards[target.board], lines, first)
        now = body["total"], body["revision"]
        before = self._seen.get(target.name, now)
        if now[0] < before[0] or now[1] < before[1]:
            faults.append(f"went back from total and revision {before} to {now}")
        self._seen[target.name] = now
        return faults


def out_of_order(board: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], first_rank: int) -> list[str]:
    """What is wrong with the order of lines that follow each other in a ranking."""
    sign = -1 if board.get("order", "desc") == "desc" else 1
    keys = [(sign * line["score"], oracle.instant(line["reachedAt"]), line["userId"].encode()) for line in lines]
    faults = [f"out of order: {one} before {next_one}" for one, next_one in pairwise(keys) if one >= next_one]
    ranks = [line["rank"] for line in lines]
    if ranks != list(range(first_rank, first_rank + len(ranks))):
        faults.append(f"ranks {ranks} instead of {first_rank} and on")
    return faults


def _understood(answer: requests.Response) -> tuple[dict[str, Any] | None, str, list[str]]:
    """The body if it is a 200, what the answer is called, and what is wrong with its form."""
    if answer.status_code == 200:
        body: dict[str, Any] = answer.json()
        return body, f"200 {body['source']}", []
    if answer.status_code == ACCEPTED:
        faults = [] if answer.json()["state"] == "building" and "retry-after" in answer.headers else [answer.text[:200]]
        return None, BUILDING, faults
    if answer.headers.get("content-type") != PROBLEM:
        return None, str(answer.status_code), [f"{answer.status_code} without a problem: {answer.text[:200]}"]
    problem = json.loads(answer.content)
    faults = [] if problem["status"] == answer.status_code else [f"{answer.status_code} says {problem['status']}"]
    return None, f"{answer.status_code} {problem['type'].rpartition(':')[2]}", faults
