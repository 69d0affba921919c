"""A payer, as an example: waits for notifications of final windows, checks their files, and books each award once.

    python docs/examples/pay.py BOOK [--once] [--dry-run]

BOOK is an SQLite file. Its table `awards` has what each player gets for a window, by award id; `revoked_by` is the
version of the result that took an award away. With --once it ends when the queue is empty. With --dry-run it does, too,
and only says what it would book: BOOK stays as it is, and every message can be received again.

It prints a line for each award once that is booked: what was done, leaderboard, window, player, tier and award id,
separated by tabs. When the queue is empty it says so, with totals by tier.

Exit codes: 0 if all is booked; 1 if a file differs from what its result says or contradicts BOOK: nothing of that
window was booked, and its message stays; 2 if it was called wrongly; 3 if the queue, the API, a file or BOOK is out of
reach: run it again; 130 if it was interrupted.

Environment: API_URL; QUEUE_URL, an SQS queue that is subscribed to the topic of results with raw delivery; TOKEN with
the scope exports:read, unless the API checks no tokens; and AWS's own variables.
"""

import argparse
import csv
import hashlib
import io
import json
import os
import re
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import requests
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

TABLES = """
CREATE TABLE IF NOT EXISTS settled (leaderboard, window, version, UNIQUE (leaderboard, window));
CREATE TABLE IF NOT EXISTS awards (award_id UNIQUE, leaderboard, window, user_id, tier, revoked_by);
"""
WAIT_S = 20
EMPTY_AFTER_S = 1  # without any wait, SQS asks some of its servers only and may miss messages
TIMEOUT_S = 60
DRY_RUN_S = 900  # how long a dry run keeps messages from others at most; they come back when it ends
LIMITS = Config(connect_timeout=2, read_timeout=WAIT_S + 10, retries={"mode": "standard", "total_max_attempts": 5})
OUT_OF_REACH = (requests.RequestException, BotoCoreError, ClientError, sqlite3.OperationalError)
WRONG, NO_ANSWER, INTERRUPTED = 1, 3, 130

Booked = tuple[str, str, str, str, str, str]
"""`grant` or `revoke`; leaderboard, window, player, tier and id of the award."""


class WrongFile(Exception):
    """A file differs from what its result says, or contradicts what is booked. Nothing of it was booked."""


class Payer:
    """Takes notifications from the queue and settles their windows."""

    def __init__(self, database: sqlite3.Connection, *, dry_run: bool) -> None:
        """`dry_run`: the database is a copy that goes away, and no message is deleted."""
        self._database = database
        self._dry_run = dry_run
        self._sqs, self._queue = boto3.client("sqs", config=LIMITS), os.environ["QUEUE_URL"]
        self._held: dict[str, str] = {}
        """Of a dry run: message id → how to give the message back."""
        self.totals: Counter[tuple[str, str]] = Counter()
        """Tier, and `grant` or `revoke` → how many."""

    def run(self, *, once: bool) -> None:
        """Settle the window of every notification. A message is deleted only after that, so none is missed."""
        was_empty = False
        while True:
            messages = self._receive(EMPTY_AFTER_S if once else WAIT_S)
            for message in messages:
                self._settle(message["Body"])
                if not self._dry_run:
                    self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
            if not messages and not was_empty:
                self.say_totals()
                say("the queue is empty")
            was_empty = not messages
            if once and was_empty:
                return

    def say_totals(self) -> None:
        """Say what was booked since the start, by tier."""
        for tier in sorted({tier for tier, _ in self.totals}):
            say(f"{tier}: {self.totals[tier, 'grant']} granted, {self.totals[tier, 'revoke']} revoked")
        granted, revoked = (
            sum(count for (_, done), count in self.totals.items() if done == action) for action in ("grant", "revoke")
        )
        say(f"in total: {granted} granted, {revoked} revoked{' (dry run: nothing is booked)' if self._dry_run else ''}")

    def give_back(self) -> None:
        """Let the messages that a dry run has received be received again at once."""
        for receipt in self._held.values():
            self._sqs.change_message_visibility(QueueUrl=self._queue, ReceiptHandle=receipt, VisibilityTimeout=0)

    def _receive(self, wait_s: int) -> list[Any]:
        """Messages; in a dry run only those that it has not seen."""
        hold: dict[str, int] = {"VisibilityTimeout": DRY_RUN_S} if self._dry_run else {}
        answer = self._sqs.receive_message(
            QueueUrl=self._queue,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=wait_s,
            **hold,  # type: ignore[arg-type]
        )
        messages: list[Any] = answer.get("Messages", [])
        if not self._dry_run:
            return messages
        fresh = [one for one in messages if one["MessageId"] not in self._held]
        self._held |= {one["MessageId"]: one["ReceiptHandle"] for one in messages}
        return fresh

    def _settle(self, body: str) -> None:
        """Settle the window of a notification, and say what that has booked."""
        try:
            notification = json.loads(body)
            if notification["type"] != "WindowFinal":
                return
            window = notification["leaderboardId"], notification["windowId"]
        except (ValueError, TypeError, KeyError):
            raise WrongFile(f"a message is no notification: {body[:200]!r}") from None
        booked = settle(self._database, *window)
        for action, *of in booked:
            say(f"would {action}" if self._dry_run else action, *of)
            self.totals[of[3], action] += 1
        if not booked:
            say("nothing new", *window)


def main(arguments: list[str]) -> int:
    """Run it from the command line; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("book", metavar="BOOK")
    parser.add_argument("--once", action="store_true", help="end when the queue is empty")
    parser.add_argument("--dry-run", action="store_true", help="book nothing, delete no message")
    given = parser.parse_args(arguments)
    if missing := [name for name in ("API_URL", "QUEUE_URL") if not os.environ.get(name)]:
        parser.error(f"the environment has no {missing[0]}")
    try:
        with closing(open_book(Path(given.book), dry_run=given.dry_run)) as database:
            payer = Payer(database, dry_run=given.dry_run)
            try:
                payer.run(once=given.once or given.dry_run)
            finally:
                payer.give_back()
    except WrongFile as error:
        return failed(WRONG, error)
    except OUT_OF_REACH as error:
        return failed(NO_ANSWER, error)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def failed(code: int, error: Exception) -> int:
    """Say why it ends, on the error output; the exit code."""
    print(f"stopped: {type(error).__name__}: {error}", file=sys.stderr)
    return code


def say(*fields: str) -> None:
    """Print one line, at once."""
    print(*fields, sep="\t", flush=True)


def open_book(file: Path, *, dry_run: bool) -> sqlite3.Connection:
    """The book, with its tables; for a dry run a copy of it, in a temporary file of SQLite's own."""
    book = sqlite3.connect("" if dry_run else file)
    if dry_run and file.exists():
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as original:
            original.backup(book)
    book.executescript(TABLES)
    return book


def settle(database: sqlite3.Connection, leaderboard: str, window: str) -> list[Booked]:
    """Book what is not booked yet of a window's result, in one transaction, and return that. Idempotent.

    For a window without bookings these are all awards of the last version; after that, the award changes.

    Raises:
        WrongFile: if a file is not the one of the result, or has an award id twice.
    """
    path = f"{os.environ['API_URL']}/leaderboards/{leaderboard}/result/versions"
    versions = fetch(path, params=query(window)).json()["versions"]
    if not versions:
        raise WrongFile(f"{leaderboard} {window} was announced and has no result")
    found = database.execute("SELECT version FROM settled WHERE (leaderboard, window) = (?, ?)", (leaderboard, window))
    done = (found.fetchone() or [0])[0]
    booked: list[Booked] = []
    with database:
        if done == 0:
            awards = list(lines(versions[-1]["awards"]))
            if len(awards) != versions[-1]["awards"]["rows"] or len({one["award_id"] for one in awards}) != len(awards):
                raise WrongFile(f"{leaderboard} {window}: an award is missing or there twice")
            for award in awards:
                grant(database, award["award_id"], leaderboard, window, award["user_id"], award["tier"])
                booked.append(("grant", leaderboard, window, award["user_id"], award["tier"], award["award_id"]))
        for version in versions[done:] if done else []:
            for line in lines(version["awardChanges"]):
                if line["action"] == "grant":
                    grant(database, line["award_id"], leaderboard, window, line["user_id"], line["tier"])
                else:
                    revoke(database, version["version"], line["award_id"], leaderboard, window, line["user_id"])
                booked.append((line["action"], leaderboard, window, line["user_id"], line["tier"], line["award_id"]))
        database.execute("REPLACE INTO settled VALUES (?, ?, ?)", (leaderboard, window, versions[-1]["version"]))
    return booked


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

    The id alone says which: a player may have got a pseudonym since it was booked. A line without an award id is of a
    window whose first result named awards otherwise: it takes back what is booked for the player.

    Raises:
        WrongFile: if there is none in force.
    """
    *window, user_id = of
    update = "UPDATE awards SET revoked_by = ? WHERE (leaderboard, window) = (?, ?) AND revoked_by IS NULL"
    which, value = ("award_id = ?", award_id) if award_id else ("user_id = ?", user_id)
    done = database.execute(f"{update} AND {which}", (version, *window, value))
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
    kinds = {r"\d{4}-W\d\d": "weekly", r"\d{4}-\d\d": "monthly"}
    kind = next((kind for pattern, kind in kinds.items() if re.fullmatch(pattern, window)), "daily")
    return {"window": kind, "date": window}


def fetch(url: str, **more: Any) -> requests.Response:
    """A GET that has to succeed; the token goes to the API alone."""
    token = os.environ.get("TOKEN") if url.startswith(os.environ["API_URL"]) else None
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = requests.get(url, headers=headers, timeout=TIMEOUT_S, **more)
    answer.raise_for_status()
    return answer


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # ids may be past the terminal's set
    sys.exit(main(sys.argv[1:]))
