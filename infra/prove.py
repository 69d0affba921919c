"""`python -m infra.prove EXPORT MANIFEST`: prove an export from the ledger, with none of the product's own arithmetic.

Reads every accepted event of the leaderboard, adds up plainly what each player has, ranks them, and names each line of
the file that says something else. Reads DynamoDB where the environment says; the local stack if it says nothing.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from functools import partial
from itertools import pairwise, zip_longest
from math import ceil
from pathlib import Path
from typing import Any, Final

import duckdb
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from infra.local import config as configuration
from infra.local.resources import client
from infra.prove_days import bounds, clocks, misdated
from infra.prove_files import CannotProve, Line, lines, told

SEGMENTS: Final = 4
"""Parts of the ledger that are scanned side by side."""
SHOWN_MAX: Final = 20
Word = tuple[int, int, bool]
"""First and last day that an audit entry is about, and whether the player is out on them."""
Event = tuple[int, str, int, Mapping[str, str]]
"""When it occurred in ms, event id, points and attributes."""

console: Final = Console(highlight=False, markup=False, soft_wrap=True)


UNREADABLE: Final = (
    CannotProve,
    OSError,
    LookupError,
    TypeError,
    ValueError,
    duckdb.Error,
    BotoCoreError,
    ClientError,
)
"""A file that is damaged, a manifest that isn't one, or a ledger out of reach."""
LINE_CHARACTERS_MAX: Final = 300


def main() -> int:
    """Prove one file; 0 if every line agrees with the ledger, 1 if not, 2 if it can't be compared."""
    if len(sys.argv) != 3:
        console.print("usage: make prove EXPORT=<file> MANIFEST=<file>.manifest.json")
        return 2
    environment = configuration.from_environment().environment() | dict(os.environ)
    try:
        differences = prove(Path(sys.argv[1]), Path(sys.argv[2]), environment)
    except UNREADABLE as error:
        reason = " ".join(str(error).split())
        console.print(f"cannot be proved: {type(error).__name__}: {reason}"[:LINE_CHARACTERS_MAX], style="bold red")
        return 2
    for difference in differences[:SHOWN_MAX]:
        console.print(difference, style="red")
    if differences:
        console.print(f"NOT proved: {len(differences)} differences", style="bold red")
        return 1
    console.print("proved: every line is as the ledger says", style="bold green")
    return 0


def prove(export: Path, manifest_file: Path, environment: Mapping[str, str]) -> list[str]:
    """What in an export or its manifest contradicts the ledger.

    Raises:
        CannotProve: if the leaderboard or this version of its rules doesn't exist.
    """
    manifest = json.loads(manifest_file.read_text())
    content = export.read_bytes()
    differences = []
    if hashlib.sha256(content).hexdigest() != manifest["sha256"]:
        differences.append("sha256: the file is not the one that the manifest is about")
    dynamodb = client(environment, "dynamodb")
    history = versions(dynamodb, environment["REGISTRY_TABLE"], manifest["leaderboardId"])
    board = rules(history, manifest["leaderboardId"], manifest["rulesVersion"])
    differences += misruled(history, manifest)
    with console.status("reading the ledger …"):
        held = ledger(dynamodb, environment["LEDGER_TABLE"], scores_id(manifest))
    console.print(f"{sum(map(len, held.values()))} events of {len(held)} players in the ledger")
    events = counting(held, manifest["auditSequence"])
    if left_out := sum(map(len, held.values())) - sum(map(len, events.values())):
        console.print(f"{left_out} of them void or not yet added as of audit entry {manifest['auditSequence']}")
    out = disqualified(dynamodb, environment["REGISTRY_TABLE"], manifest["leaderboardId"], manifest["auditSequence"])
    day_of = clocks(board)
    differences += misdated(manifest["window"], board, day_of)
    events = {
        user_id: [one for one in own if user_id not in out or not _is_out(out[user_id], day_of(one[0]))]
        for user_id, own in events.items()
    }
    kind = manifest["window"]["kind"]
    board["tiers"] = [one for one in board["tiers"] if not one.get("windows") or kind in one["windows"]]
    attr, filters = manifest["part"].get("attr", {}), manifest.get("filters", [])
    carried = values(events, manifest["window"])
    whole = ranking(board, events, manifest["window"])
    carriers = {
        line[3]: number
        for number, line in enumerate((one for one in whole if attr.items() <= carried[one[3]].items()), start=1)
    }
    expected = [
        (*line, *(told(carried[str(line[2])].get(name), manifest["format"]) for name in filters), *among)
        for line, among in selected(whole, board, manifest["part"], carriers)
    ]
    differences += compare(expected, lines(export, manifest))
    return differences + miscounted(manifest, expected, len(carriers) if attr else None)


def miscounted(manifest: Mapping[str, Any], expected: Sequence[Line], carriers: int | None) -> list[str]:
    """What is wrong with the manifest's counts of the lines that the file has to hold."""
    said = (manifest["rows"], int(manifest["sumOfPoints"]), manifest.get("attrPlayers"))
    true = (len(expected), sum(int(line[3] or 0) for line in expected), carriers)
    return [] if said == true else [f"manifest: rows, sum of points and carriers are {said}; the ledger says {true}"]


def versions(dynamodb: Any, table: str, leaderboard_id: str) -> list[dict[str, Any]]:
    """Every version of the leaderboard's definition, the first one first."""
    pages = dynamodb.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
        ExpressionAttributeValues={":pk": {"S": f"leaderboard#{leaderboard_id}"}, ":sk": {"S": "rules#"}},
        ConsistentRead=True,
    )
    return [json.loads(item["body"]["S"]) for page in pages for item in page["Items"]]


def rules(history: Sequence[dict[str, Any]], leaderboard_id: str, version: int) -> dict[str, Any]:
    """The definition of the leaderboard that the window was ranked by."""
    for found in history:
        if found["version"] == version:
            return found
    raise CannotProve(f"{leaderboard_id} has no version {version} of its rules")


def misruled(history: Sequence[Mapping[str, Any]], manifest: Mapping[str, Any]) -> list[str]:
    """What is wrong with the version of a window that was over: it has to be the last one written before its end.

    Versions without `effective_from` say nothing: the first, and those of before definitions were dated. Nor do
    those of purges, which change no rule.
    """
    _, end = bounds(manifest["window"])
    named, created = manifest["rulesVersion"], datetime.fromisoformat(manifest["createdAt"])
    if end > created.timestamp() * 1000:
        return []
    dated = [
        (one["version"], one["updated_at_ms"])
        for before, one in pairwise(history)
        if one.get("effective_from") is not None and one.get("starts_ms") == before.get("starts_ms")
    ]
    in_time = max((number for number, written in dated if written < end), default=0)
    if in_time > named or any(number == named and written >= end for number, written in dated):
        return [f"manifest: version {named} of the rules was not in force when the window's last day ended"]
    return []


def disqualified(dynamodb: Any, table: str, leaderboard_id: str, audit_sequence: int) -> dict[str, list[Word]]:
    """User id → what the audit log says of their days up to its entry `audit_sequence`, the last word first.

    Each is the first and the last day that it is about, and whether they are out.

    Raises:
        CannotProve: if the entries are not all there.
    """
    pages = dynamodb.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
        ExpressionAttributeValues={
            ":pk": {"S": f"leaderboard#{leaderboard_id}"},
            ":first": {"S": f"audit#{1:08d}"},
            ":last": {"S": f"audit#{audit_sequence:08d}"},
        },
        ConsistentRead=True,
    )
    log = [json.loads(item["body"]["S"]) for page in pages for item in page["Items"]] if audit_sequence else []
    if len(log) != audit_sequence:
        raise CannotProve(f"{leaderboard_id} has {len(log)} of {audit_sequence} audit log entries")
    words: dict[str, list[Word]] = {}
    for entry in reversed(log):
        if entry["kind"] in ("disqualify", "reinstate"):
            first, last = entry.get("first_day"), entry.get("last_day")
            run = (0, sys.maxsize) if first is None else (first, last)
            words.setdefault(entry["user_id"], []).append((*run, entry["kind"] == "disqualify"))
    return words


def _is_out(words: Sequence[Word], day: int) -> bool:
    return next((is_out for first, last, is_out in words if first <= day <= last), False)


def scores_id(manifest: Mapping[str, Any]) -> str:
    """Under which the ledger keeps the events that count: since a purge, apart from those of before."""
    start = manifest.get("countsFrom")
    if start is None:
        return str(manifest["leaderboardId"])
    since = datetime.fromisoformat(start) - datetime(1970, 1, 1, tzinfo=UTC)
    return f"{manifest['leaderboardId']}.{since // timedelta(milliseconds=1)}"


def counting(held: Mapping[str, Sequence[Mapping[str, Any]]], audit_sequence: int) -> dict[str, list[Event]]:
    """User id → each event that counted as of an audit entry: what was not void by then, and what administrators had
    added by then.
    """
    found: dict[str, list[Event]] = {}
    for user_id, own in held.items():
        for item in own:
            is_void = "voided_by" in item and int(item["voided_by"]["N"]) <= audit_sequence
            is_added = "added_by" not in item or int(item["added_by"]["N"]) <= audit_sequence
            if is_added and not is_void:
                event = int(item["occurred_at"]["N"]), item["sk"]["S"], int(item["points"]["N"]), _attributes(item)
                found.setdefault(user_id, []).append(event)
    return found


def ledger(dynamodb: Any, table: str, scores: str) -> dict[str, list[Mapping[str, Any]]]:
    """User id → each of the player's events, as the ledger has it."""
    events: dict[str, list[Mapping[str, Any]]] = {}
    prefix = f"{scores}#"
    with ThreadPoolExecutor(SEGMENTS) as pool:
        for segment in pool.map(partial(_scan, dynamodb, table, prefix), range(SEGMENTS)):
            for user_id, event in segment:
                events.setdefault(user_id, []).append(event)
    return events


def _scan(dynamodb: Any, table: str, prefix: str, segment: int) -> list[tuple[str, Mapping[str, Any]]]:
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=table,
        Segment=segment,
        TotalSegments=SEGMENTS,
        ConsistentRead=True,
        FilterExpression="begins_with(pk, :prefix)",
        ExpressionAttributeValues={":prefix": {"S": prefix}},
    )
    needed = ("sk", "occurred_at", "points", "attributes", "voided_by", "added_by")
    return [
        (item["pk"]["S"].removeprefix(prefix), {name: item[name] for name in needed if name in item})
        for page in pages
        for item in page["Items"]
    ]


def _attributes(item: Mapping[str, Any]) -> dict[str, str]:
    return {name: value["S"] for name, value in item.get("attributes", {"M": {}})["M"].items()}


def values(events: Mapping[str, Sequence[Event]], window: Mapping[str, str | None]) -> dict[str, dict[str, str]]:
    """User id → attribute → its value in the latest event of the window that has it, by time, then by event id."""
    start, end = bounds(window)
    found: dict[str, dict[str, str]] = {}
    for user_id, own in events.items():
        counting = sorted(event[:2] + event[3:] for event in own if start <= event[0] < end)  # ids are told apart
        found[user_id] = {name: value for *_, attributes in counting for name, value in attributes.items()}
    return found


def ranking(
    board: Mapping[str, Any], events: Mapping[str, Sequence[Event]], window: Mapping[str, str | None]
) -> list[tuple[int, int, int, str]]:
    """Rank, score, when it was reached, and user id, best first; the window's days decide which events count."""
    start, end = bounds(window)
    highest_first = board["order"] == "desc"
    scores = []
    for user_id, own in events.items():
        counting = [event for event in own if start <= event[0] < end]
        if counting:
            scores.append((*_score(board["aggregation"], counting, highest_first=highest_first), user_id))
    scores.sort(key=lambda one: (-one[0] if highest_first else one[0], one[1], one[2].encode()))
    return [(rank, *score) for rank, score in enumerate(scores, start=1)]


def _score(aggregation: str, events: Sequence[Event], *, highest_first: bool) -> tuple[int, int]:
    if aggregation == "sum":
        carrying = [at for at, _, points, _ in events if points != 0]
        return sum(event[2] for event in events), max(carrying) if carrying else min(event[0] for event in events)
    if aggregation == "latest":
        at, _, points = max(event[:3] for event in events)
        return points, at
    if aggregation != "best":
        raise ValueError(f"unknown aggregation {aggregation!r}")
    best = (max if highest_first else min)(event[2] for event in events)
    return best, min(at for at, _, points, _ in events if points == best)


def selected(
    ranked: Sequence[tuple[int, int, int, str]],
    board: Mapping[str, Any],
    part: Mapping[str, Any],
    carriers: Mapping[str, int],
) -> list[tuple[Line, Line]]:
    """The lines that the file has to hold, as text; of a part by `attr` with the two ranks among the carriers.

    Args:
        ranked: the whole window.
        board: its rules.
        part: which of it.
        carriers: user id → rank among those who carry the part's values; all players if it has none.
    """
    total = len(ranked)
    found: list[tuple[Line, Line]] = []
    fit = _fit(ranked, board)
    fit_carriers = len(fit & carriers.keys())
    firsts: dict[int, int] = {}
    firsts_among: dict[int, int] = {}
    for rank, score, at_ms, user_id in ranked:
        shared = firsts.setdefault(score, rank)
        tier = _tier(board["tiers"], rank, shared, score, len(fit)) if user_id in fit else ""
        if user_id not in carriers:
            continue
        own, percent = carriers[user_id], part["topBasisPoints"]
        shared_among = firsts_among.setdefault(score, own)
        chosen = (
            part["tier"] in (None, tier)
            and (part["topN"] is None or own <= part["topN"])
            and (percent is None or _takes("topPercent", percent, own, score, fit_carriers))
        )
        if chosen:
            percentile = (Decimal(total - rank) * 100 / total).quantize(Decimal("0.01"), ROUND_DOWN)
            line = (str(rank), str(shared), user_id, str(score), _instant(at_ms), str(percentile), tier)
            found.append((line, (str(own), str(shared_among)) if part.get("attr") else ()))
    return found


def _tier(tiers: Sequence[Mapping[str, Any]], rank: int, shared: int, score: int, qualified: int) -> str:
    """The name of the first tier that takes an entry; empty if none does."""
    ranks = ((one, shared if one.get("ties") == "shared" else rank) for one in tiers)
    taking = (one["name"] for one, own in ranks if _takes(one["rule"], one["value"], own, score, qualified))
    return next(map(str, taking), "")


def _fit(ranked: Sequence[tuple[int, int, int, str]], board: Mapping[str, Any]) -> set[str]:
    """Those who qualify for tiers and percentages."""
    limit = board.get("qualify")
    return {
        who
        for _, score, _, who in ranked
        if limit is None or (limit <= score if board["order"] == "desc" else score <= limit)
    }


def _takes(rule: str, value: int, rank: int, score: int, total: int) -> bool:
    match rule:
        case "topN":
            return rank <= value
        case "topPercent":
            return rank <= ceil(Decimal(total) * value / 10_000)
        case "minScore":
            return score >= value
        case _:
            return score <= value


def _instant(at_ms: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"


def compare(expected: Sequence[Line], found: Iterator[Line]) -> list[str]:
    """Each line that differs."""
    return [
        f"line {number}: the file says {_shown(said)}; the ledger says {_shown(true)}"
        for number, (true, said) in enumerate(zip_longest(expected, found), start=1)
        if true != said
    ]


def _shown(line: Line | None) -> str:
    return "nothing" if line is None else ", ".join("null" if one is None else one for one in line)


if __name__ == "__main__":
    sys.exit(main())
