"""A payer, as an example: waits for notifications of final windows, checks their files, and books each award once.

    python docs/examples/pay.py BOOK [--once]

BOOK is an SQLite file. Its table `awards` has what each player gets for a window, by award id; `revoked_by` is the
version of the result that took an award away. With --once it ends when the queue is empty.

Environment: API_URL; QUEUE_URL, an SQS queue that is subscribed to the topic of results with raw delivery; TOKEN with
the scope exports:read, unless the API checks no tokens; and AWS's own variables.
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
    """A file differs from what its result says, or contradicts what is booked. Nothing of it was booked."""


def main(book: str, *, once: bool) -> None:
    """Settle the window of every notification. A message is deleted only after that, so none is missed."""
    sqs, queue = boto3.client("sqs", config=LIMITS), os.environ["QUEUE_URL"]
    with closing(sqlite3.connect(book)) as database:
        database.executescript(TABLES)
        while True:
            answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=0 if once else WAIT_S)
            messages = answer.get("Messages", [])
            for message in messages:
                notification = json.loads(message["Body"])
                if notification["type"] == "WindowFinal":
                    settle(database, notification["leaderboardId"], notification["windowId"])
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            if once and not messages:
                return


def settle(database: sqlite3.Connection, leaderboard: str, window: str) -> None:
    """Book what is not booked yet of a window's result, in one transaction. Idempotent.

    For a window without bookings these are all awards of the last version; after that, the award changes.

    Raises:
        WrongFile: if a file is not the one of the result, or has an award id twice.
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
                revoke(database, version["version"], line["award_id"], leaderboard, window, line["user_id"])
        database.execute("REPLACE INTO settled VALUES (?, ?, ?)", (leaderboard, window, versions[-1]["version"]))


def grant(database: sqlite3.Connection, award_id: str, *of: str) -> None:
    """Book an award, `of` leaderboard, window, player and tier, or one again that was revoked.

    Raises:
        WrongFile: if it is booked and in force.
    """
    insert = "INSERT INTO awards VALUES (?, ?, ?, ?, ?, NULL) ON CONFLICT (award_id) DO UPDATE SET revoked_by = NULL"
    if database.execute(f"{insert} WHERE revoked_by IS NOT NULL", (award_id, *of)).rowcount != 1:
        raise WrongFile(f"award {award_id} is granted twice")


def revoke(database: sqlite3.Connection, version: int, award_id: str, *of: str) -> None:
    """Take an award back, `of` leaderboard, window and player, who has one at a time.

    A line without an award id is of a window whose first result named awards otherwise: it takes back what is booked.

    Raises:
        WrongFile: if there is none in force.
    """
    update = "UPDATE awards SET revoked_by = ? WHERE (leaderboard, window, user_id) = (?, ?, ?) AND revoked_by IS NULL"
    done = database.execute(f"{update} AND ? IN (award_id, '')", (version, *of, award_id))
    if done.rowcount != 1:
        raise WrongFile(f"award {award_id} of {of} is revoked and not booked")


def lines(file: dict[str, Any]) -> Iterator[dict[str, str]]:
    """The lines of a file of a result, once its SHA-256 is checked."""
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
