"""What property tests of committing share: records, their delivery to a failing DynamoDB, and the oracle's answer."""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import strategies as st

from shared.closing.ranking import FoldedWindow
from shared.domain.calendar import ALL_TIME, ALL_TIME_DAY, Day, Window, custom, daily, to_date, weekly
from shared.domain.ranking import Entry, rank
from shared.domain.records import Record, Source
from shared.domain.rules import Aggregation, Leaderboard, Order
from shared.domain.standings import Standing, combine
from shared.domain.tiers import Tier, TierRule
from shared.ingest.committer import Committer
from shared.ingest.outcomes import Candidate, OutcomeKind, read
from shared.parallel import read_sequentially
from shared.retries import Backoff
from shared.truth.commits import Commits, PlayerKey
from shared.truth.reads import Reads
from shared.truth.tables import Tables
from tests.property.memory import Client, Database, Fault
from tests.support import oracle
from tests.support.folding import by_player

MONDAY = date(2026, 11, 23)
APPENDED_MS = 1_796_100_000_000
NO_WAIT = Backoff(sleep=lambda _: None)
DELIVERIES_MAX = 60

DEFINITION: dict[str, Any] = {
    "name": "Cup",
    "lateness": "P60D",
    "tiers": [{"name": "gold", "topN": 1}, {"name": "silver", "topPercent": 50}, {"name": "bronze", "minScore": 0}],
}
TIERS = (
    Tier("gold", TierRule.TOP_N, 1),
    Tier("silver", TierRule.TOP_PERCENT, 5_000),
    Tier("bronze", TierRule.MIN_SCORE, 0),
)

Shown = dict[PlayerKey, dict[Day, Standing]]

faults = st.lists(st.one_of(st.none(), st.sampled_from(Fault)), max_size=30)
batch_sizes = st.lists(st.integers(1, 12), max_size=20)
boards = st.builds(
    lambda aggregation, order: Leaderboard(
        id="cup",
        name="Cup",
        aggregation=aggregation,
        order=order,
        shards=2,
        tiers=TIERS,
        lateness_ms=60 * 86_400_000,
        filters=("country",),
    ),
    st.sampled_from(Aggregation),
    st.sampled_from(Order),
)
facts = st.tuples(
    st.sampled_from(["ann", "bob", "cat"]), st.integers(-3, 3), st.sampled_from([0, 1, 6, 7, 40]), st.integers(0, 2)
)
"""User, points, day and millisecond: few of each, so that they tie."""


def value(event_id: str, user: str, points: int, day: int, millisecond: int) -> bytes:
    occurred_at = f"{MONDAY + timedelta(days=day - 40)}T10:00:00.{millisecond:03d}Z"
    event = {"eventId": event_id, "leaderboardId": "cup", "userId": user, "points": points, "occurredAt": occurred_at}
    if points % 3:  # some carry the attribute, a few values of it
        event["attributes"] = {"country": f"{points % 3}-{user}"[:3], "guild": "any"}
    return json.dumps(event).encode()


def record(offset: int, content: bytes, partition: int = 0) -> Record:
    return Record(Source("score-events", partition, offset, APPENDED_MS), None, content)


def in_a_row(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    return [call() for call in calls]


def reads_of(client: Any) -> Reads:
    return Reads(client, Tables(), read_sequentially, NO_WAIT)


def candidates_of(leaderboard: Leaderboard, records: Iterable[Record]) -> list[Candidate]:
    candidates = read(records)
    for candidate in candidates:
        candidate.leaderboard = leaderboard
    return candidates


def commit(client: Any, candidates: Sequence[Candidate]) -> Shown:
    return Committer(Commits(client, Tables()), reads_of(client), in_a_row, NO_WAIT).commit(candidates)


def deliver(
    client: Client, leaderboard: Leaderboard, records: Sequence[Record], sizes: Iterable[int]
) -> dict[int, list[Candidate]]:
    """Hand records over as the trigger does: in batches, from the first that failed once more.

    Returns:
        By offset, what became of the record each time it was settled.
    """
    settled: dict[int, list[Candidate]] = {}
    sizes_left = iter(sizes)
    at = 0
    for _ in range(DELIVERIES_MAX):
        if at == len(records):
            return settled
        batch = candidates_of(leaderboard, records[at : at + next(sizes_left, 50)])
        commit(client, batch)
        assert all(candidate.kind is not None for candidate in batch)
        failed = [number for number, one in enumerate(batch) if one.kind is OutcomeKind.RETRY]
        for number, candidate in enumerate(batch):
            if candidate.kind is not OutcomeKind.RETRY:
                settled.setdefault(records[at + number].source.offset, []).append(candidate)
        at += failed[0] if failed else len(batch)
    raise AssertionError("the faults are used up, and still records fail")


def truth(database: Database, leaderboard: Leaderboard) -> dict[Day, dict[str, Standing]]:
    reads = reads_of(database.client())
    days = [Day((MONDAY - date(1970, 1, 1)).days + offset) for offset in range(-40, 1)]
    found: dict[Day, dict[str, Standing]] = {}
    for day in [*days, ALL_TIME_DAY]:
        for shard in range(leaderboard.shards):
            found.setdefault(day, {}).update(dict(reads.shard_standings(leaderboard, day, shard)))
    return found


def ranking(standings: dict[Day, dict[str, Standing]], leaderboard: Leaderboard, window: Window) -> list[Entry]:
    parts: dict[str, list[Standing]] = {}
    for day in window.days:
        for user, one in standings.get(day, {}).items():
            parts.setdefault(user, []).append(one)
    scores = {user: combine(leaderboard.aggregation, leaderboard.order, own) for user, own in parts.items()}
    return list(rank(leaderboard.order, leaderboard.tiers, scores.items()))


def reference_of(leaderboard: Leaderboard, records: Iterable[Record]) -> oracle.Oracle:
    definition = DEFINITION | {"aggregation": str(leaderboard.aggregation), "order": str(leaderboard.order)}
    reference = oracle.Oracle({"cup": definition})
    reference.take(
        oracle.Produced(r.source.partition, r.source.offset, r.source.appended_at_ms, r.value) for r in records
    )
    return reference


def assert_every_window_is_the_oracles(database: Database, leaderboard: Leaderboard, reference: oracle.Oracle) -> None:
    standings = truth(database, leaderboard)
    days = sorted(day for day in standings if day != ALL_TIME_DAY)
    windows = [daily(day) for day in days] + [weekly(day) for day in days] + [custom(days[1], days[-1]), ALL_TIME]
    for window in windows:
        bounds = () if window is ALL_TIME else (to_date(window.first), to_date(window.last))
        assert [
            (one.rank, one.user_id, one.score, one.reached_at_ms, one.percentile_hundredths, one.tier)
            for one in ranking(standings, leaderboard, window)
        ] == [
            (one.rank, one.user_id, one.score, one.reached_at_ms, int(one.percentile * 100), one.tier)
            for one in reference.ranking("cup", *bounds)
        ], window.id
        assert carriers(standings, leaderboard, window) == {
            entry.user_id: carried
            for carried, entries in reference.carriers("cup", "country", *bounds).items()
            for entry in entries
            if leaderboard.filters
        }, window.id


def carriers(standings: dict[Day, dict[str, Standing]], leaderboard: Leaderboard, window: Window) -> dict[str, str]:
    """Who carries which country in a window, by the label set that the cache is compared with at closing."""
    lines = [(day, user, one) for day in window.days for user, one in standings.get(day, {}).items()]
    found = {}
    with TemporaryDirectory() as directory:
        for member in FoldedWindow(leaderboard, by_player(lines), Path(directory)).label_members():
            assert member[0] == 1
            end = 2 + member[1]
            found[member[end + 14 :].decode()] = member[2:end].decode()
    return found


def assert_ledger_is_standings(database: Database, leaderboard: Leaderboard) -> None:
    """Whatever was accepted: no standing holds more or less than the player's ledger."""
    reads = reads_of(database.client())
    standings = truth(database, leaderboard)
    users = {place[1].partition("#")[2] for place in database.items if place[0] == Tables().ledger}
    assert users == set(standings[ALL_TIME_DAY])
    for user in users:
        events = [entry.event for entry in reads.ledger("cup", user)]
        for day, by_user in standings.items():
            members = [one for one in events if day in (ALL_TIME_DAY, one.occurred_at_ms // 86_400_000)]
            if not members:
                assert user not in by_user
                continue
            assert by_user[user].events == len(members)
            assert by_user[user].points == sum(one.points for one in members) or leaderboard.aggregation != "sum"


def assert_settled_as_expected(settled: dict[int, list[Candidate]], reference: oracle.Oracle) -> None:
    """A record that was handed over again is settled once more: a duplicate of itself, or refused for the same."""
    for (_, offset), outcome in reference.outcomes.items():
        for candidate in settled[offset]:
            found = str(candidate.rejection.reason if candidate.rejection else candidate.kind)
            same = {outcome, str(OutcomeKind.DUPLICATE)} if outcome == oracle.APPLIED else {outcome}
            assert found in same, (offset, candidate.event, candidate.rejection)
