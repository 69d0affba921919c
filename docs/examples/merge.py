"""Merge two accounts, as an example: adds every event of one player to another, and voids it where it was.

    python docs/examples/merge.py BOARD FROM TO REASON [--dry-run]

BOARD is the URL of a leaderboard, FROM and TO are user ids. Each event keeps points, time and attributes, so windows
that are over follow, too. It can be run again after whatever stopped it: what is done counts once. Run it again, also,
once no producer sends events of FROM any more. With --dry-run it only counts.

An event takes two entries of the leaderboard's audit log, which has room for 15,000 of them.

Environment: TOKEN with the scopes leaderboards:read and leaderboards:admin, unless the API checks no tokens.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import requests

TIMEOUT_S = 60
TRIES = 20


def main(arguments: list[str]) -> int:
    """Run it from the command line; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("board", "from", "to", "reason"):
        parser.add_argument(name, metavar=name.upper())
    parser.add_argument("--dry-run", action="store_true", help="only count")
    given = vars(parser.parse_args(arguments))
    board, source, target = given["board"], given["from"], given["to"]
    if source == target:
        parser.error("FROM and TO must be two players")
    moved = 0
    for event in events(board, source):
        if event["voidedByEntry"] is None:
            moved += 1
            if not given["dry_run"]:
                move(board, source, target, event, given["reason"])
    print(f"{moved} events {'would be ' if given['dry_run'] else ''}moved from {source!r} to {target!r}")
    return 0


def events(board: str, user_id: str) -> Iterator[dict[str, Any]]:
    """Every event of a player."""
    after: dict[str, str] = {}
    while True:
        page = ask("GET", f"{player(board, user_id)}/events", params=after)
        yield from page["events"]
        if page["nextAfter"] is None:
            return
        after = {"after": page["nextAfter"]}


def move(board: str, source: str, target: str, event: dict[str, Any], reason: str) -> None:
    """Add an event to another player, then void it. Stopped in between, it counts for both until this runs again."""
    moved_id = hashlib.sha256(json.dumps([source, event["eventId"]]).encode()).hexdigest()
    fields = {name: event[name] for name in ("points", "occurredAt", "attributes")}
    ask("POST", f"{player(board, target)}/corrections", json={"eventId": moved_id, "reason": reason, **fields})
    ask("POST", f"{player(board, source)}/events/{quote(event['eventId'], safe='')}/void", json={"reason": reason})


def player(board: str, user_id: str) -> str:
    """The URL of a player."""
    return f"{board}/players/{quote(user_id, safe='')}"


def ask(method: str, url: str, **more: Any) -> Any:
    """A request that has to succeed; as the API says, it is sent again after the seconds of a 429 or 503."""
    token = os.environ.get("TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    for _ in range(TRIES):
        answer = requests.request(method, url, headers=headers, timeout=TIMEOUT_S, **more)
        if answer.status_code not in (429, 503):
            break
        time.sleep(int(answer.headers.get("Retry-After", "1")))
    answer.raise_for_status()
    return answer.json()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
