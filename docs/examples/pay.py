"""An example of who pays by results: waits for notices of final windows, checks their files, and books each award once.

    python docs/examples/pay.py BOOK [--once]

BOOK is an SQLite file: its table `awards` says what each player gets for a window, by award id; an award that a later
version of the result took away has that version in `revoked_by`. With --once it ends when the queue is empty.

Environment: API_URL; QUEUE_URL, an SQS queue that is subscribed to the topic of results with raw delivery; TOKEN with
the scope exports:read, nothing where the API asks for none; and AWS's own variables.
"""

import csv
import hashlib
import io
import json
import os
import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import boto3
import requests
from botocore.config import Config

TABLES = """
CREATE TABLE IF NOT EXISTS settled (leaderboard, window, version, UNIQUE (leaderboard, window));
CREATE TABLE IF NOT EXISTS awards (award_id UNIQUE, leaderboard, window, user_id, tier, revoked_by);
"""
WAIT_S = 20
TIMEOUT_S = 60
LIMITS = Config(connect_timeout=2, read_timeout=WAIT_S + 10, retries={"mode": "standard", "total_max_attempts": 5})


class WrongFile(Exception):
    """A file is not what its result says. Nothing was booked of it."""


def main(book: str, *, once: bool) -> None:
    """Settle every window that a notice comes for. A message is deleted only after that, so none is missed."""
    sqs, queue = boto3.client("sqs", config=LIMITS), os.environ["QUEUE_URL"]
    with closing(sqlite3.connect(book)) as database:
        database.executescript(TABLES)
        while True:
            answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=0 if once else WAIT_S)
            messages = answer.get("Messages", [])
            for message in messages:
                notice = json.loads(message["Body"])
                if notice["type"] == "WindowFinal":
                    settle(database, notice["leaderboardId"], notice["windowId"])
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            if once and not messages:
                return


def settle(database: sqlite3.Connection, leaderboard: str, window: str) -> None:
    """Book what a window's result says and is not booked yet, in one transaction. Harmless twice.

    Of a window that nothing is booked of, the awards of the last version; after that the award changes that followed.

    Raises:
        WrongFile: if a file is not the one that the result speaks of, or an award id is there twice.
    """
    path = f"{os.environ['API_URL']}/leaderboards/{leaderboard}/result/versions"
    versions = fetch(path, params=query(window)).json()["versions"]
    found = database.execute("SELECT version FROM settled WHERE (leaderboard, window) = (?, ?)", (leaderboard, window))
    done = (found.fetchone() or [0])[0]
    with database:
        if done == 0:
            awards = list(lines(versions[-1]["awards"]))
            if len(awards) != versions[-1]["awards"]["rows"] or len({one["award_id"] for one in awards}) != len(awards):
                raise WrongFile(f"{leaderboard} {window}: an award is missing or there twice")
            for award in awards:
                grant(database, award["award_id"], leaderboard, window, award["user_id"], award["tier"])
        for version in versions[done:] if done else []:
            for line in lines(version["awardChanges"]):
                if line["action"] == "grant":
                    grant(database, line["award_id"], leaderboard, window, line["user_id"], line["tier"])
                    continue
                # by player, not by award id: what he holds may be of a version long before, if he stood still since
                database.execute(
                    "UPDATE awards SET revoked_by = ? WHERE (leaderboard, window, user_id) = (?, ?, ?)"
                    " AND revoked_by IS NULL",
                    (version["version"], leaderboard, window, line["user_id"]),
                )
        database.execute("REPLACE INTO settled VALUES (?, ?, ?)", (leaderboard, window, versions[-1]["version"]))


def grant(database: sqlite3.Connection, award_id: str, *of: str) -> None:
    """Book an award, `of` leaderboard, window, player and tier. One that is there makes all of the window's fail."""
    database.execute("INSERT INTO awards VALUES (?, ?, ?, ?, ?, NULL)", (award_id, *of))


def lines(file: dict[str, Any]) -> Iterator[dict[str, str]]:
    """The lines of a file of a result, once it is known to be that."""
    content = fetch(file["url"]).content
    if hashlib.sha256(content).hexdigest() != file["sha256"]:
        raise WrongFile(f"{file['url']} has another SHA-256 than the result says")
    return csv.DictReader(io.StringIO(content.decode(), newline=""))


def query(window: str) -> dict[str, str]:
    """The parameters of the API for a window's id."""
    if ".." in window:
        first, _, last = window.partition("..")
        return {"window": "custom", "from": first, "to": last}
    return {"window": "weekly" if re.fullmatch(r"\d{4}-W\d\d", window) else "daily", "date": window}


def fetch(url: str, **more: Any) -> requests.Response:
    """A GET that has to succeed; the token goes to the API alone."""
    token = os.environ.get("TOKEN") if url.startswith(os.environ["API_URL"]) else None
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = requests.get(url, headers=headers, timeout=TIMEOUT_S, **more)
    answer.raise_for_status()
    return answer


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1], once="--once" in sys.argv[2:])
