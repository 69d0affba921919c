"""The main job, end to end: events into Kafka; exact rankings out of the HTTP API and the export files.

Everything that comes out is compared with the oracle, which reads what stands in the topic.
"""

import gzip
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
import requests

from tests.support import oracle, rejections
from tests.support.boards import Boards
from tests.support.stack import HTTP_TIMEOUT_S, System, TopicRecord, until
from tests.support.traffic import BOARDS, Traffic
from tests.support.windows import Window, from_csv, from_ndjson, from_parquet, read_window, to_entry

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

SEED = 20_261_123
EVENTS = 5_200
REASONS = {
    *("malformed", "invalid", "unknown_leaderboard", "conflicting_duplicate", "too_late", "from_the_future"),
    *("leaderboard_archived", "score_overflow"),
}


def assert_every_window_is_the_oracles(system: System, boards: Boards, prefix: str, reference: oracle.Oracle) -> int:
    """Returns how many entries were compared."""
    compared = 0
    for board in (f"{prefix}{name}" for name in (*BOARDS, "strict")):
        for window in boards.windows(board):
            expected = reference.ranking(board, window.first, window.last)
            assert read_window(system, board, window) == expected, (board, window.query)
            compared += len(expected)
    return compared


def assert_dead_letters_are_the_refused(
    system: System, reference: oracle.Oracle, records: Sequence[TopicRecord]
) -> None:
    refused, found = rejections.expected_rejections(reference, records), rejections.to_rejections(system.letters())
    assert Counter(reason for reason, _, _ in found.values()) == Counter(reason for reason, _, _ in refused.values())
    assert found == refused


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    return Traffic(SEED, datetime.now(UTC))


@pytest.fixture(scope="module")
def boards(system: System, traffic: Traffic) -> Boards:
    """Every leaderboard, before the first record."""
    made = Boards(traffic.days, ("", "crash-"))
    made.make(system)
    return made


@pytest.fixture(scope="module")
def sent(system: System, boards: Boards, traffic: Traffic) -> Boards:
    """More than 5,000 records for three leaderboards: shuffled, a tenth of them copies, one in fifty bad."""
    good = [pair for board in BOARDS for pair in traffic.good(board, EVENTS // len(BOARDS))]
    bad = traffic.bad("sum", "strict", "deleted", rounds=3) + traffic.conflicting(good, 30)
    mixed = traffic.shuffled(traffic.with_duplicates(good, 10) + bad)
    half = len(mixed) // 2
    system.produce(mixed[:half] + traffic.overflowing("sum", 4) + mixed[half:])
    system.settle()
    return boards


def test_the_traffic_is_what_the_tests_are_about(system: System, sent: Boards) -> None:
    records = system.records()
    reference = sent.reference(records)

    counts = Counter(reference.outcomes.values())
    assert counts.keys() == {*REASONS, oracle.APPLIED, oracle.DUPLICATE}
    assert counts[oracle.APPLIED] > 5_000
    assert counts[oracle.DUPLICATE] >= 500
    assert sum(counts[reason] for reason in REASONS) >= 100
    for board in BOARDS:
        lines = reference.ranking(board)
        assert min(line.score for line in lines) < 0
        points = Counter(line.score for line in reference.ranking(board, sent.days[0], sent.days[0]))
        assert points.most_common(1)[0][1] > 3, "many tie"
        assert len({line.tier for line in lines}) >= 3


def test_every_entry_of_every_window_is_the_oracles(system: System, sent: Boards) -> None:
    reference = sent.reference(system.records())

    assert assert_every_window_is_the_oracles(system, sent, "", reference) > 3_000


def test_the_dead_letter_queue_holds_exactly_the_bad_records_and_their_reasons(system: System, sent: Boards) -> None:
    records = system.records()

    assert_dead_letters_are_the_refused(system, sent.reference(records), records)


@pytest.mark.parametrize("board", BOARDS)
def test_every_player_is_found_with_his_neighbours(system: System, sent: Boards, board: str) -> None:
    ranking = sent.reference(system.records()).ranking(board)

    for at, entry in enumerate(ranking):
        found = system.get(f"/leaderboards/{board}/players/{quote(entry.user_id, safe='')}", context=2)
        assert to_entry(found["player"]) == entry
        assert [to_entry(line) for line in found["above"]] == ranking[max(at - 2, 0) : at]
        assert [to_entry(line) for line in found["below"]] == ranking[at + 1 : at + 3]
        assert found["total"] == len(ranking)


@pytest.mark.parametrize("file_format", ["csv", "ndjson", "parquet"])
@pytest.mark.parametrize("board", BOARDS)
def test_every_line_of_an_export_is_the_oracles(system: System, sent: Boards, board: str, file_format: str) -> None:
    reference = sent.reference(system.records())
    windows = [window for window in sent.windows(board) if window.query["window"] in ("all-time", "weekly", "custom")]

    for window in windows:
        lines = read_export(system, board, window, file_format)
        assert lines == reference.ranking(board, window.first, window.last), window.query


def read_export(system: System, board: str, window: Window, file_format: str, **part: str) -> list[oracle.Entry]:
    content = export(system, board, window, format=file_format, **part)
    if file_format == "parquet":
        return from_parquet(content)
    if part.get("compression") == "gzip":
        content = gzip.decompress(content)
    return from_csv(content.decode()) if file_format == "csv" else from_ndjson(content.decode())


def test_a_part_of_a_ranking_is_exported_with_the_ranks_of_the_whole(system: System, sent: Boards) -> None:
    reference = sent.reference(system.records())
    window = next(window for window in sent.windows("sum") if window.query["window"] == "all-time")
    whole = reference.ranking("sum", window.first, window.last)

    assert read_export(system, "sum", window, "csv", topN="7", compression="gzip") == whole[:7]
    assert read_export(system, "sum", window, "ndjson", topPercent="10") == whole[: -(-len(whole) // 10)]
    gold = [entry for entry in whole if entry.tier == "gold"]
    assert gold
    assert read_export(system, "sum", window, "parquet", tier="gold") == gold


def test_one_request_of_a_client_that_waits_and_follows_ends_at_the_file(system: System, sent: Boards) -> None:
    path = "/leaderboards/sum/export?window=all-time&format=ndjson&topN=3"
    answer = system.session.get(system.url + path, headers={"Prefer": "wait=20"}, timeout=HTTP_TIMEOUT_S)

    assert (answer.status_code, [one.status_code for one in answer.history]) == (200, [303])
    assert from_ndjson(answer.content.decode()) == sent.reference(system.records()).ranking("sum")[:3]


def export(system: System, board: str, window: Window, **query: str) -> bytes:
    """The file behind an export, waited for as the API says."""
    path = f"/leaderboards/{board}/export"

    def ask() -> requests.Response | None:
        answer = system.request("GET", path, params={**window.query, **query})
        if answer.status_code == 303:
            return answer
        assert answer.status_code == 202, answer.text
        assert int(answer.headers["retry-after"]) >= 0
        job = system.get(answer.headers["location"])
        assert job["state"] != "failed", job
        return None

    file = system.request("GET", until(ask, f"the export of {window.query}").headers["location"])
    assert file.status_code == 200
    return file.content


def test_a_trigger_killed_in_the_middle_leaves_the_same_result(
    system: System, boards: Boards, traffic: Traffic
) -> None:
    before = system.committed()
    good = [pair for board in BOARDS for pair in traffic.good(f"crash-{board}", 500)]
    bad = traffic.bad("crash-sum", "crash-strict", "crash-deleted", rounds=1) + traffic.conflicting(good, 10)
    pairs = traffic.shuffled(traffic.with_duplicates(good, 10) + bad)

    system.produce(pairs)
    until(lambda: system.committed() > before, "the trigger is in the middle")
    system.kill_trigger()
    assert system.committed() < before + len(pairs), "killed before it was done"
    system.restart_trigger()
    system.settle()

    records = system.records()
    reference = boards.reference(records)
    assert assert_every_window_is_the_oracles(system, boards, "crash-", reference) > 2_000
    assert_dead_letters_are_the_refused(system, reference, records)


def test_the_whole_topic_sent_again_changes_nothing_and_every_record_is_counted(system: System, sent: Boards) -> None:
    records = system.records()
    once = sent.reference(records)

    system.produce((one.key, one.value) for one in records)
    system.settle()

    for prefix in sent.prefixes:
        assert_every_window_is_the_oracles(system, sent, prefix, once)
    everything = system.records()
    assert len(everything) == 2 * len(records)
    twice = sent.reference(everything)
    assert Counter(twice.outcomes.values())[oracle.APPLIED] == Counter(once.outcomes.values())[oracle.APPLIED]
    assert_dead_letters_are_the_refused(system, twice, everything)


BAD_REQUESTS: dict[str, tuple[str, str]] = {
    "a limit that is no number": ("/leaderboards/sum/rankings?limit=abc", "limit"),
    "a limit of 0": ("/leaderboards/sum/rankings?limit=0", "limit"),
    "a limit past the limit": ("/leaderboards/sum/rankings?limit=1001", "limit"),
    "a negative offset": ("/leaderboards/sum/rankings?offset=-1", "offset"),
    "a window that does not exist": ("/leaderboards/sum/rankings?window=yearly", "window"),
    "a month that does not exist": ("/leaderboards/sum/rankings?window=monthly&date=2026-13", "date"),
    "a date that is not in the calendar": ("/leaderboards/sum/rankings?window=daily&date=2026-02-29", "date"),
    "a date that is none": ("/leaderboards/sum/rankings?window=daily&date=yesterday", "date"),
    "a week that does not exist": ("/leaderboards/sum/rankings?window=weekly&date=2025-W53", "date"),
    "a date before 1970": ("/leaderboards/sum/rankings?window=daily&date=1969-12-31", "date"),
    "a range that ends before it starts": (
        "/leaderboards/sum/rankings?window=custom&from=2026-11-02&to=2026-11-01",
        "to",
    ),
    "a range of 367 days": ("/leaderboards/sum/rankings?window=custom&from=2026-01-01&to=2027-01-02", "to"),
    "a range without end": ("/leaderboards/sum/rankings?window=custom&from=2026-01-01", "to"),
    "a parameter that does not exist": ("/leaderboards/sum/rankings?limits=5", "limits"),
    "a parameter given twice": ("/leaderboards/sum/rankings?limit=5&limit=6", "limit"),
    "a context past the limit": ("/leaderboards/sum/players/player-1?context=51", "context"),
    "a user id of 129 bytes": (f"/leaderboards/sum/players/{'u' * 129}", "userId"),
    "a user id with a control character": ("/leaderboards/sum/players?userId=a%00b", "userId"),
    "an export of a format that does not exist": ("/leaderboards/sum/export?format=docx", "format"),
}
NOT_FOUND = {
    "an unknown leaderboard": "/leaderboards/no-such/rankings",
    "a leaderboard id that none can have": "/leaderboards/No%20Such/rankings",
    "a deleted leaderboard": "/leaderboards/deleted/rankings",
    "an unknown period": "/leaderboards/sum/rankings?window=custom&period=no-such",
    "an unknown player": "/leaderboards/sum/players/nobody",
    "an unknown export": "/leaderboards/sum/exports/no-such",
    "an unknown route": "/no-such",
}


def assert_problem(answer: requests.Response, *statuses: int) -> dict[str, Any]:
    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["title"]
    return problem


@pytest.mark.parametrize(("path", "field"), BAD_REQUESTS.values(), ids=list(BAD_REQUESTS))
def test_a_bad_request_is_a_problem_that_names_its_field(system: System, boards: Boards, path: str, field: str) -> None:
    problem = assert_problem(system.request("GET", path), 400, 422)

    assert field in [error["field"] for error in problem["errors"]], problem


@pytest.mark.parametrize("path", NOT_FOUND.values(), ids=list(NOT_FOUND))
def test_what_does_not_exist_is_a_problem(system: System, boards: Boards, path: str) -> None:
    assert_problem(system.request("GET", path), 404)


@pytest.mark.parametrize("kilobytes", [1, 9, 60, 1_000])
def test_a_huge_user_id_is_a_problem_of_the_client(system: System, boards: Boards, kilobytes: int) -> None:
    answer = system.request("GET", f"/leaderboards/sum/players/{'u' * kilobytes * 1_000}")

    problem = assert_problem(answer, 400, 414, 422, 431)
    assert len(answer.content) < 5_000
    if kilobytes < 10:
        assert [error["field"] for error in problem["errors"]] == ["userId"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "x", "aggregation": "average"}, "aggregation"),
        ({"aggregation": "sum"}, "name"),
        ({"name": "x", "aggregation": "sum", "lateness": "1 hour"}, "lateness"),
        ({"name": "x", "aggregation": "sum", "shards": 0}, "shards"),
        ({"name": "x", "aggregation": "sum", "tiers": [{"name": "a", "topN": 0}]}, "tiers[0].topN"),
    ],
)
def test_a_bad_definition_is_a_problem_that_names_its_field(system: System, body: dict[str, Any], field: str) -> None:
    problem = assert_problem(system.request("PUT", "/leaderboards/new-one", json=body), 400, 422)

    assert [error["field"] for error in problem["errors"]] == [field]
    assert system.request("GET", "/leaderboards/new-one").status_code == 404


@pytest.mark.parametrize("change", [{"aggregation": "best"}, {"order": "asc", "tiers": []}, {"shards": 5}])
def test_a_rule_that_events_depend_on_cannot_change(system: System, sent: Boards, change: dict[str, Any]) -> None:
    assert_problem(system.request("PUT", "/leaderboards/sum", json=BOARDS["sum"] | change), 409)
