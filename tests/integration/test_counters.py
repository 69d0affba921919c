"""What is counted of records, on a real DynamoDB engine."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from botocore.exceptions import ReadTimeoutError

from shared.domain.events import format_instant
from shared.domain.records import Record, Source
from shared.domain.rules import Aggregation, Leaderboard
from shared.ingest.committer import Committer
from shared.ingest.outcomes import Candidate
from shared.ingest.service import Ingest
from shared.lookups.leaderboards import Leaderboards
from shared.messaging.dead_letters import RejectedRecord
from shared.messaging.queues import QueueUnavailable
from shared.parallel import ParallelReader, ThreadPool
from shared.retries import Backoff
from shared.truth.commits import Commits
from shared.truth.progress import Gap, Progress
from shared.truth.reads import Reads
from shared.truth.receipts import Receipts
from shared.truth.registry import Registry
from shared.truth.tables import Tables
from tests.support.pseudonyms import NO_PROFILES, NO_PSEUDONYMS

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW_MS = 1_795_430_000_000
TABLES = Tables()


class Service:
    """Ingest on real tables, of a topic of its own. Nothing is shown, and the dead letters go where a test says."""

    def __init__(self, dynamodb: "DynamoDBClient", leaderboard_id: str) -> None:
        self.id = self.topic = leaderboard_id
        self.dead_letters: Callable[[Sequence[RejectedRecord]], None] = lambda _: None
        self.progress = Progress(dynamodb, TABLES.registry)
        self._receipts = Receipts(dynamodb, TABLES.registry, Backoff(base_ms=1))
        registry = Registry(TABLES.registry, region="eu-central-1", host=dynamodb.meta.endpoint_url)
        registry.save(Leaderboard(id=leaderboard_id, name="Cup", aggregation=Aggregation.SUM, shards=2))
        self._leaderboards = Leaderboards(registry, self.clock)
        threads, backoff = ThreadPool(2), Backoff(base_ms=1)
        reads = Reads(dynamodb, TABLES, ParallelReader(2), backoff)
        self._committer = Committer(Commits(dynamodb, TABLES), reads, threads, backoff)

    def clock(self) -> int:
        return NOW_MS

    def ingest(self, *records: Record, progress: Any = None) -> list[Candidate]:
        parts: Any = SimpleNamespace(project=lambda *_: set(), send=self.dead_letters, register=lambda _: None)
        ingest = Ingest(
            leaderboards=self._leaderboards,
            committer=self._committer,
            projector=parts,
            dead_letters=parts,
            letters=parts,
            profiles=NO_PROFILES,
            receipts=self._receipts,
            pseudonyms=NO_PSEUDONYMS,
            progress=progress or self.progress,
            run_parallel=ThreadPool(2),
            now_ms=self.clock,
        )
        return ingest.ingest(records)

    def record(self, offset: int, event_id: str | None = None, partition: int = 0, points: int = 1) -> Record:
        event = {
            "eventId": event_id or f"e-{partition}-{offset}",
            "leaderboardId": self.id,
            "userId": "ann",
            "points": points,
            "occurredAt": format_instant(NOW_MS - 1_000),
        }
        key = f"{self.id}:ann".encode()
        return Record(Source(self.topic, partition, offset, NOW_MS - 250), key, msgspec.json.encode(event))

    def malformed(self, offset: int) -> Record:
        return Record(Source(self.topic, 0, offset, NOW_MS - 250), None, b"[]")

    @property
    def counts(self) -> dict[str, int]:
        """Those of all partitions together that are not 0."""
        counts: dict[str, int] = {}
        for position in self.progress.positions(self.topic):
            for counter, count in position.counts.items():
                counts[counter] = counts.get(counter, 0) + count
        return {counter: count for counter, count in counts.items() if count}


@pytest.fixture
def service(dynamodb: "DynamoDBClient", leaderboard_id: str, monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    return Service(dynamodb, leaderboard_id)


def test_records_are_counted_by_partition_as_what_they_became(service: Service) -> None:
    conflict = service.record(3, event_id="e-0-0", points=2)
    service.ingest(
        service.record(0),
        service.record(1, event_id="e-0-0"),
        service.malformed(2),
        conflict,
        service.record(7, None, 1),
    )

    first, second = service.progress.positions(service.topic)

    found = {counter: count for counter, count in first.counts.items() if count}
    assert found == {"applied": 1, "duplicate": 1, "rejected_malformed": 1, "rejected_conflicting_duplicate": 1}
    assert (second.counts["applied"], sum(second.counts.values())) == (1, 1)
    assert (first.next_offset, first.appended_at_ms, first.recorded_at_ms) == (4, NOW_MS - 250, NOW_MS)


def test_a_batch_that_comes_again_counts_nothing_again(service: Service) -> None:
    batch = [service.record(0), service.record(1), service.malformed(2)]
    service.ingest(*batch)

    assert [one.kind for one in service.ingest(*batch)] == ["duplicate", "duplicate", "rejected"]

    assert service.counts == {"applied": 2, "rejected_malformed": 1}


def test_of_a_batch_that_failed_in_part_only_records_before_the_failure_count(
    service: Service,
) -> None:
    def away(letters: Sequence[RejectedRecord]) -> None:
        if letters:
            raise QueueUnavailable("away")

    batch = [service.record(0), service.record(1), service.malformed(2), service.record(3)]
    service.dead_letters = away
    assert [one.kind for one in service.ingest(*batch)] == ["applied", "applied", "retry", "applied"]
    assert service.counts == {"applied": 2}

    service.dead_letters = lambda _: None
    service.ingest(*batch[2:])
    assert service.counts == {"applied": 2, "rejected_malformed": 1, "duplicate": 1}, "applied by a call that is over"


def test_two_owners_of_a_partition_count_each_record_once(service: Service) -> None:
    records = [service.record(offset) for offset in range(6)]
    service.ingest(*records[:2])

    service.ingest(*records[:5])
    service.ingest(*records[1:4])
    service.ingest(*records[4:])

    assert service.counts == {"applied": 6}


def test_a_record_committed_without_its_progress_counts_as_a_duplicate_next_time(
    service: Service,
) -> None:
    batch = [service.record(0), service.record(1)]
    service.ingest(*batch, progress=SimpleNamespace(advance=lambda *_: None))  # as if it had crashed before

    service.ingest(*batch)

    assert service.counts == {"duplicate": 2}


def test_a_count_whose_answer_was_lost_is_not_repeated(service: Service, dynamodb: "DynamoDBClient") -> None:
    class Deaf:
        exceptions = dynamodb.exceptions

        def update_item(self, **update: Any) -> None:
            dynamodb.update_item(**update)
            raise ReadTimeoutError(endpoint_url="dynamodb")

    deaf: Any = Deaf()
    batch = [service.record(0), service.record(1)]
    done = service.ingest(*batch, progress=Progress(deaf, TABLES.registry))
    assert [one.kind for one in done] == ["retry", "applied"], "and both come again"

    service.ingest(*batch)

    assert service.counts == {"applied": 2}


def test_counting_goes_on_from_a_position_without_counts(service: Service, dynamodb: "DynamoDBClient") -> None:
    item = {"pk": f"progress#{service.topic}", "sk": "00000000", "next_offset": 4, "appended_at": NOW_MS}
    dynamodb.put_item(
        TableName=TABLES.registry,
        Item={name: {"N": str(value)} if isinstance(value, int) else {"S": value} for name, value in item.items()},
    )
    (before,) = service.progress.positions(service.topic)
    assert (before.recorded_at_ms, sum(before.counts.values())) == (None, 0)

    service.ingest(*[service.record(offset) for offset in range(3, 6)])

    assert service.counts == {"applied": 2}


def test_what_was_never_handed_over_is_noted_before_it_is_passed(service: Service) -> None:
    service.ingest(service.record(0), service.record(1), service.record(3))
    service.ingest(service.record(4), service.record(6), service.record(2, partition=1))
    assert service.progress.gaps(service.topic) == [Gap(1, 0, 2)], "none within a call; before a first record, one"

    service.ingest(service.record(9), service.record(7, partition=1))
    service.ingest(*[service.record(offset) for offset in range(8, 12)])

    assert service.progress.gaps(service.topic) == [Gap(0, 7, 9), Gap(1, 0, 2), Gap(1, 3, 7)]
    assert [one.next_offset for one in service.progress.positions(service.topic)] == [12, 8]


def test_a_gap_that_is_larger_than_it_was_known_to_be_is_not_struck(service: Service) -> None:
    service.ingest(service.record(0))
    for until in (5, 8, 6):  # of two owners the one that was handed the later record may note it first
        service.progress._note(service.topic, Gap(0, 1, until))
    service.progress.remove_gap(service.topic, Gap(0, 1, 5))
    assert service.progress.gaps(service.topic) == [Gap(0, 1, 8)]

    service.progress.remove_gap(service.topic, Gap(0, 1, 8))
    assert service.progress.gaps(service.topic) == []
