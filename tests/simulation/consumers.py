"""The owners of partitions: a trigger with the ingest function, which may go on with what it no longer owns."""

from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from infra.local.mapping import EventSourceMapping, Message, Policy
from shared.closing.schedule import INGEST_CALL_MS
from shared.domain.calendar import Day
from shared.domain.events import FUTURE_TOLERANCE_MS, ScoreEvent
from shared.domain.records import Record, Source
from shared.domain.rejections import Reason
from shared.ingest.outcomes import Candidate, OutcomeKind
from shared.ingest.service import Ingest
from shared.truth.keys import RECEIPT, ledger_partition, receipt_partition
from tests.simulation.outside import PARTITIONS, TOPIC
from tests.simulation.process import Process
from tests.support import oracle_days
from tests.support.oracle import Produced
from tests.support.oracle_days import clocks_of

if TYPE_CHECKING:
    from tests.simulation.world import World

FETCH = 12


def consume(world: "World", name: str) -> None:
    """An owner of partitions, as a trigger with its function: from the committed offsets on, until all is done."""
    process = Process(world)
    invoke = partial(_invoke, world, process, process.ingest)
    mapping = EventSourceMapping(Policy(batch_size=FETCH), invoke, _never, world.rng.uniform)
    positions = dict(enumerate(world.committed))
    rewinds = list(world.rewinds)
    mine = {partition for partition in range(PARTITIONS) if world.owner[partition] == name}
    while not world.is_consumed():
        world.scheduler.sleep(0.05)
        if world.rng.random() < 0.3:  # until then it is a zombie: it goes on with what it no longer owns
            current = {partition for partition in range(PARTITIONS) if world.owner[partition] == name}
            set_back = {partition for partition in mine if rewinds[partition] != world.rewinds[partition]}
            for partition in (mine - current) | set_back:
                mapping.revoke((TOPIC, partition))
            positions |= {partition: world.committed[partition] for partition in current - (mine - set_back)}
            mine, rewinds = current, list(world.rewinds)
        backlog = {partition for _, partition in mapping.backlog()}
        for partition in mine - backlog:
            positions[partition] = max(positions[partition], world.removed[partition])
            batch = world.topic[partition][positions[partition] :][: world.rng.randrange(1, FETCH)]
            positions[partition] += len(batch)
            mapping.add(_to_message(record) for record in batch)
        for (_, partition), offset in mapping.run(world.scheduler.now_ms).items():
            is_current = rewinds[partition] == world.rewinds[partition]
            if world.owner[partition] == name and is_current:  # the broker refuses the commits of a zombie
                world.committed[partition] = max(world.committed[partition], offset)


def _invoke(world: "World", process: Process, ingest: Ingest, event: dict[str, Any]) -> dict[str, Any]:
    """Call the ingest function; what has become of each record counts from then on."""
    records = [_to_record(raw) for partition in event["records"].values() for raw in partition]
    failures = []
    accepted = len(world.dynamo.accepted)
    proven = _proven(world, records)
    with world.scheduler.time_limit(INGEST_CALL_MS):
        candidates = ingest.ingest(records)
    _note_refused_though_held(world, candidates, accepted)
    _note_refused_though_proven(world, candidates, proven)
    world.hold_to(process)
    for candidate in candidates:
        assert candidate.kind is not None
        source = candidate.record.source
        if candidate.kind is not OutcomeKind.RETRY:
            world.settled.add((source.partition, source.offset))
        else:
            place = {"partition": f"{TOPIC}-{source.partition}", "offset": source.offset}
            failures.append({"itemIdentifier": place})
    return {"batchItemFailures": failures}


def _note_refused_though_held(world: "World", candidates: Iterable[Candidate], accepted: int) -> None:
    """Look for refusals that the ledger, as it was when the call began, contradicts."""
    for candidate in candidates:
        if candidate.rejection is None or candidate.entry is None:
            continue
        event, reason = candidate.event, candidate.rejection.reason
        number = world.dynamo.accepted.get((ledger_partition(candidate.scores_id, event.user_id), event.event_id))
        if number is not None and number < accepted and reason is not Reason.CONFLICTING_DUPLICATE:
            source = candidate.record.source
            world.refused_though_held.append((source.partition, source.offset, reason))


def _proven(world: "World", records: Iterable[Record]) -> dict[bytes, int]:
    """Value → when the broker appended it at first, by the receipts that there are now."""
    table, found = world.dynamo.tables["registry"], {}
    for record in records:
        receipt = table.get((receipt_partition(sha256(record.value or b"").hexdigest()), RECEIPT))
        if receipt is not None and record.value is not None:
            found[record.value] = int(receipt["appended_at"]["N"])
    return found


def _note_refused_though_proven(world: "World", candidates: Iterable[Candidate], proven: Mapping[bytes, int]) -> None:
    """Look for records that were in time at first, by any lateness, and whose day isn't sealing even now."""
    for candidate in candidates:
        first_ms = proven.get(candidate.record.value or b"")
        if first_ms is None or candidate.entry is None:
            continue
        event, source = candidate.event, candidate.record.source
        late = event.leaderboard_id in world.boards and source.appended_at_ms > cutoff_ms(world, event, max)
        world.readmitted += late and candidate.kind is OutcomeKind.APPLIED
        if candidate.rejection is None or candidate.rejection.reason is not Reason.TOO_LATE:
            continue
        is_ahead = event.occurred_at_ms > first_ms + FUTURE_TOLERANCE_MS
        is_in_time = not is_ahead and first_ms <= cutoff_ms(world, event, min)
        if is_in_time and not world.registry.current(event.leaderboard_id).rejects(_day(world, event)):
            world.refused_though_proven.append((source.partition, source.offset))


def cutoff_ms(world: "World", event: ScoreEvent, choose: Callable[[set[int]], int]) -> int:
    """Until when an event's day takes records, by one of all latenesses that its leaderboard ever had."""
    end_ms = oracle_days.end_ms(clocks_of(world.boards[event.leaderboard_id]), _day(world, event))
    return end_ms + choose(world.registry.lateness_ms[event.leaderboard_id])


def _day(world: "World", event: ScoreEvent) -> Day:
    return Day(oracle_days.day_of(clocks_of(world.boards[event.leaderboard_id]), event.occurred_at_ms))


def _to_message(record: Produced) -> Message:
    timestamp_type = "LOG_APPEND_TIME" if record.stamped else "CREATE_TIME"
    return Message(TOPIC, record.partition, record.offset, record.appended_at_ms, timestamp_type, None, record.value)


def _to_record(raw: dict[str, Any]) -> Record:
    value = b64decode(raw["value"]) if "value" in raw else None
    source = Source(raw["topic"], raw["partition"], raw["offset"], raw["timestamp"])
    return Record(source, None, value, raw["timestampType"] == "LOG_APPEND_TIME")


def _never(_messages: Any, reason: str) -> None:
    raise AssertionError(f"nothing is ever given up: {reason}")
