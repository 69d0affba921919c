"""What became of every record: in the ledger, a duplicate of what is there, or on the dead-letter queue."""

from base64 import b64decode
from collections.abc import Mapping, Set
from contextlib import suppress
from functools import lru_cache
from typing import Final

import msgspec

from shared.messaging.dead_letters import DeadLetter
from shared.truth.items import to_ledger_entry
from tests.simulation.course import Fault
from tests.simulation.progress import DLQ
from tests.simulation.world import World
from tests.support import oracle_days
from tests.support.oracle import APPLIED, DUPLICATE, Fact, Oracle, Produced, Rejected, overflows, parse, to_fact
from tests.support.oracle_days import clocks_of

Player = tuple[str, str]
"""What their events count for, as the oracle names it, and user."""
ADMITTED: Final = (APPLIED, DUPLICATE, "score_overflow", "conflicting_duplicate")
BY_ORDER: Final = (*ADMITTED, "too_late", "from_the_future")
"""Outcomes that may depend on what came first, or on the lateness of that moment."""
FUTURE_MS: Final = 5 * 60_000


def assert_accounts(world: World, oracle: Oracle) -> None:
    """Every record against the oracle, which then knows the facts that count.

    Of some players the oracle can't say what must become of them: an event overflows by what is in the ledger when it
    is checked; of two with one id in two partitions the first one counts; of two with one id of which the rules admit
    only one, the other is a duplicate if it comes later; what lateness allows at one time only counts at that time;
    what redrive sends again counts as long as its day isn't sealing; and a redelivery after a crash is checked again.
    Of these what the ledger says is taken over. Each of their records has to be accounted for all the same, and no run
    of their days may overflow.
    """
    records = [record for log in world.topic for record in log]
    oracle.take(records)
    letters, stored = dead_letters(world), ledger(world)
    held = ledger(world, with_corrections=True)
    lost = world.lost()
    undecided = undecided_players(world, oracle, records, letters)
    for record in records:
        place = record.partition, record.offset
        outcome, reasons = oracle.outcomes[place], letters.get(place, set())
        if place in lost:  # nowhere; or where it belongs, by a call that did not come to its end
            by_order = {*BY_ORDER} if record.stamped else {*BY_ORDER, "untrusted_timestamp"}
            by_order |= {"unknown_leaderboard"} if world.created_late else set()
            by_order |= archived_since(world, record) if outcome in BY_ORDER else set()
            assert reasons <= (by_order if outcome in BY_ORDER else {outcome, "conflicting_duplicate"}), place
        elif not record.stamped and outcome in (*BY_ORDER, "untrusted_timestamp"):
            assert_untrusted(world, record, reasons, held, has_forgotten(world, reasons))
        elif outcome in BY_ORDER and (player := read(world, record)[0]) in undecided:
            assert_accounted(world, record, reasons, held.get(player, []))
        else:
            assert reasons == (set() if outcome in (APPLIED, DUPLICATE) else {outcome}), place
    assert_in_time(world, records, stored)
    for player in undecided:
        oracle.facts[player] = stored.get(player, [])
        assert world.boards[board_of(player)]["aggregation"] != "sum" or not overflows(oracle.counting(*player))
    oracle.facts = {player: facts for player, facts in oracle.facts.items() if facts}
    expected = {player: sorted(facts, key=str) for player, facts in oracle.facts.items()}
    assert {player: sorted(facts, key=str) for player, facts in stored.items()} == expected


def undecided_players(
    world: World, oracle: Oracle, records: list[Produced], letters: Mapping[tuple[int, int], Set[str]]
) -> set[Player]:
    """Of whom the order of events across partitions, or of events and changes of the lateness, decides; those of whom
    the retention took events, or events came after their leaderboard was archived, which may be restored by now; and
    those to whom an event was added by an id that producers use.
    """
    of_one_id = {(name, world.named(name, user)) for name, user in world.of_one_id}
    found = {player for player in ledger(world, with_corrections=True) if (board_of(player), player[1]) in of_one_id}
    lost = world.lost()
    contents: dict[tuple[Player, str], set[Fact]] = {}
    partitions: dict[tuple[Player, str], set[int]] = {}
    orders: dict[tuple[Player, str], list[tuple[Produced, Fact]]] = {}
    for record in records:
        place = record.partition, record.offset
        outcome = oracle.outcomes[place]
        if outcome not in BY_ORDER:
            continue
        player, fact = read(world, record)
        if place in lost or place in world.redriven or "unknown_leaderboard" in letters.get(place, ()):
            found.add(player)
        if archived_since(world, record):
            found.add(player)
        least_ms, most_ms = cutoffs_ms(world, player, fact)
        if least_ms < record.appended_at_ms <= most_ms or "score_overflow" in (outcome, *letters.get(place, ())):
            found.add(player)
        orders.setdefault((player, fact.event_id), []).append((record, fact))
        if record.appended_at_ms <= most_ms:
            contents.setdefault((player, fact.event_id), set()).add(fact)
            partitions.setdefault((player, fact.event_id), set()).add(record.partition)
    found |= {place[0] for place, order in orders.items() if is_undecided(world, place[0], order)}
    return found | {place[0] for place in contents if len(contents[place]) > 1 and len(partitions[place]) > 1}


def is_undecided(world: World, player: Player, order: list[tuple[Produced, Fact]]) -> bool:
    """Whether of records of one event id one that the rules refuse may come before one that they admit."""
    refused: set[int] = set()
    may_be_first = False
    for record, fact in sorted(order, key=lambda one: (one[0].partition, one[0].offset)):
        least_ms, most_ms = cutoffs_ms(world, player, fact)
        is_ahead = fact.at_ms - record.appended_at_ms > FUTURE_MS
        if not is_ahead and record.appended_at_ms <= most_ms:
            may_be_first |= bool(refused)
        if is_ahead or record.appended_at_ms > least_ms:
            refused.add(record.partition)
    partitions = {record.partition for record, _ in order}
    return may_be_first or (len(partitions) > 1 and bool(refused) and len(refused) < len(order))


def assert_accounted(world: World, record: Produced, reasons: Set[str], facts: list[Fact]) -> None:
    """A record has a place that it may have."""
    player, fact = read(world, record)
    least_ms, _ = cutoffs_ms(world, player, fact)
    in_ledger = [one for one in facts if one.event_id == fact.event_id]
    if not reasons:
        assert in_ledger == [fact]
    if "too_late" in reasons:  # or it was refused before, and comes again after its day was closed
        given_up = record.offset < world.acknowledged[record.partition]  # an operator said so; a consumer had it still
        assert record.appended_at_ms > least_ms or len(reasons) > 1 or given_up
    if "conflicting_duplicate" in reasons and not has_forgotten(world, reasons):
        assert in_ledger
        assert in_ledger != [fact]
    if "score_overflow" in reasons:
        assert world.boards[board_of(player)]["aggregation"] == "sum"
    if "from_the_future" in reasons:
        assert fact.at_ms - record.appended_at_ms > FUTURE_MS
    untrusted = set() if record.stamped else {"untrusted_timestamp"}  # unless the ledger had it by then
    early = {"unknown_leaderboard"} if board_of(player) in world.created_late else set()
    timed = {"too_late", "from_the_future"} | archived_since(world, record)
    assert reasons <= {*timed, "conflicting_duplicate", "score_overflow"} | untrusted | early


def assert_in_time(world: World, records: list[Produced], stored: Mapping[Player, list[Fact]]) -> None:
    """What counts was in time at one of its records at least, however late redrive sent it again."""
    in_time: set[tuple[Player, Fact]] = set()
    for record in records:
        with suppress(Rejected):
            player, fact = read(world, record)
            if record.stamped and board_of(player) in world.boards and fact.at_ms - record.appended_at_ms <= FUTURE_MS:
                _, most_ms = cutoffs_ms(world, player, fact)
                if record.appended_at_ms <= most_ms:
                    in_time.add((player, fact))
    assert {(player, fact) for player, facts in stored.items() for fact in facts} <= in_time


def archived_since(world: World, record: Produced) -> set[str]:
    """The reason by which an event may be refused because its leaderboard was archived before; none if it wasn't."""
    name, _, _ = _read(record.value)
    archived_ms = world.registry.archived_ms.get(name)
    is_after = archived_ms is not None and record.appended_at_ms > min(archived_ms)
    return {"leaderboard_archived"} if is_after else set()


def has_forgotten(world: World, reasons: Set[str]) -> bool:
    """Whether a restore may have taken back the event that a record contradicted, which is too late by later rules."""
    return len(reasons) > 1 and world.scheduler.fault_counts[Fault.RESTORE] > 0


def assert_untrusted(
    world: World, record: Produced, reasons: Set[str], stored: Mapping[Player, list[Fact]], forgotten: bool
) -> None:
    """A producer's time is refused, unless the event has counted by another record, or its id with other content. If
    that was before a purge, the record may have come before it, too, whatever time it claims.
    """
    player, fact = read(world, record)
    in_ledger = [one for one in stored.get(player, []) if one.event_id == fact.event_id]
    assert reasons or in_ledger == [fact]
    assert reasons <= {"untrusted_timestamp", "conflicting_duplicate"}
    before_or_after = [
        one
        for (name, user), facts in stored.items()
        if (board_of((name, user)), user) == (board_of(player), player[1])
        for one in facts
        if one.event_id == fact.event_id
    ]
    others = [one for one in before_or_after if one != fact]
    assert "conflicting_duplicate" not in reasons or forgotten or others


def cutoffs_ms(world: World, player: Player, fact: Fact) -> tuple[int, int]:
    """Until when a fact's day took records, by the least and by the most lateness that its leaderboard ever had."""
    lateness_ms = world.registry.lateness_ms[board_of(player)]
    clocks = clocks_of(world.boards[board_of(player)])
    end_ms = oracle_days.end_ms(clocks, oracle_days.day_of(clocks, fact.at_ms))
    return end_ms + min(lateness_ms), end_ms + max(lateness_ms)


@lru_cache
def _read(value: bytes | None) -> tuple[str, str, Fact]:
    event = parse(value)
    return event["leaderboardId"], event["userId"], to_fact(event, {})


def read(world: World, record: Produced) -> tuple[Player, Fact]:
    """Whom an event that can be read is about, and what it says."""
    name, user, fact = _read(record.value)
    return (world.counted_for(name, fact.at_ms, record.appended_at_ms), world.named(name, user)), fact


def board_of(player: Player) -> str:
    """The leaderboard that a player's events are about."""
    return player[0].partition(".")[0]


def dead_letters(world: World) -> dict[tuple[int, int], set[str]]:
    """Partition and offset → reasons. Redelivery may bring a letter more than once, always with the original."""
    letters: dict[tuple[int, int], set[str]] = {}
    for body in world.sqs.messages.get(DLQ, ()):
        letter = msgspec.json.decode(body, type=DeadLetter)
        assert b64decode(letter.value or "") == world.topic[letter.partition][letter.offset].value
        letters.setdefault((letter.partition, letter.offset), set()).add(letter.reason)
    return letters


def ledger(world: World, *, with_corrections: bool = False) -> dict[Player, list[Fact]]:
    """What the ledger holds of each player by records, and by corrections if wanted; void or not."""
    facts: dict[Player, list[Fact]] = {}
    for item in world.dynamo.tables["leaderboard-ledger"].values():
        if "added_by" in item and not with_corrections:
            continue
        event = to_ledger_entry(item).event
        attributes = tuple(sorted(event.attributes.items()))
        player = item["pk"]["S"].partition("#")[0], event.user_id
        clocks = clocks_of(world.boards[board_of(player)])
        fact = Fact(event.event_id, event.points, event.occurred_at_ms, attributes, clocks)
        facts.setdefault(player, []).append(fact)
    return facts
