"""What a Prometheus scrapes, read by prometheus_client's own parser, on a real Redis and a real DynamoDB engine."""

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any, Literal

import boto3
import msgspec
import pytest
from botocore.config import Config
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.assembly import now_ms
from shared.cache.windows import WindowCache
from shared.domain.calendar import DAY_MS, Day, daily, day_of
from shared.domain.rejections import Reason
from shared.messaging.dead_letters import DeadLetterQueue
from shared.messaging.queues import Queue
from shared.truth.counters import TopicLag
from shared.truth.progress import APPLIED, DUPLICATE, REJECTED, Position, Progress
from tests.integration.conftest import CONTEXT, EVENTS
from tests.support.closing import close

BODY = {"name": "Cup", "aggregation": "sum"}
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
Samples = Mapping[str, Mapping[tuple[str, ...], float]]
_numbers = count()


@pytest.fixture
def leaderboard_id() -> str:
    """An id among the first: other tests have left more leaderboards behind than a scrape shows."""
    return f"00-metrics-{next(_numbers)}"


@pytest.fixture
def replace_part(module: Any) -> Iterator[Callable[..., None]]:
    """Puts other parts into the assembly, until the test is over."""
    wired = module.assembly.__dict__
    before = dict(wired)

    def replace_part(**parts: Any) -> None:
        wired.pop("gauges", None)
        wired.update(parts)

    yield replace_part
    wired.clear()
    wired.update(before)


@pytest.fixture
def scrape(module: Any) -> Callable[[], Samples]:
    """Family → label values, by the labels' names → value."""

    def scrape() -> Samples:
        event = msgspec.json.decode((EVENTS / "api-metrics.json").read_bytes())
        answer = module.handler(event, CONTEXT)
        assert (answer["statusCode"], answer["headers"]["content-type"]) == (200, OPENMETRICS)
        families = list(text_string_to_metric_families(answer["body"]))  # type: ignore[no-untyped-call]
        return {
            family.name: {tuple(value for _, value in sorted(one.labels.items())): one.value for one in family.samples}
            for family in families
        }

    return scrape


def nobody(service: Literal["dynamodb", "sqs"]) -> Any:
    """A client of a server that is not there."""
    return boto3.client(
        service,
        region_name="eu-central-1",
        endpoint_url="http://127.0.0.1:1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1}),
    )


def test_a_scrape_shows_what_is_committed_and_what_the_windows_hold(
    call: Any, score: Any, scrape: Any, module: Any, leaderboard_id: str
) -> None:
    assert call("put-leaderboard", body=BODY).status == 201
    score(("ann", 5), ("bob", 7), ("ann", 1))
    offsets = {1_000_120: APPLIED, 1_000_121: DUPLICATE, 1_000_122: REJECTED[Reason.INVALID]}
    module.assembly.progress.advance(
        Position("score-events", 77, 1_000_123, 1_795_430_000_123), 1_795_430_001_000, offsets, [1_000_121]
    )
    module.assembly.telemetry.record_lag("score-events", TopicLag(1_795_430_002_500, {77: 5}))
    module.assembly.telemetry.count_repaired(3)
    module.assembly.telemetry.record_archived_owing(4)

    found = scrape()

    assert found["leaderboards_committed_offset"]["77", "score-events"] == 1_000_123
    assert found["leaderboards_committed_timestamp_seconds"]["77", "score-events"] == 1_795_430_000.123
    assert found["leaderboards_commit_delay_seconds"]["77", "score-events"] == 0.877
    assert [found["leaderboards_events"]["77", one, "score-events"] for one in (APPLIED, DUPLICATE)] == [1, 1]
    assert found["leaderboards_key_mismatches"]["77", "score-events"] == 1
    assert found["leaderboards_events_rejected"]["77", "invalid", "score-events"] == 1
    assert found["leaderboards_partition_lag_records"] == {("77", "score-events"): 5}
    assert found["leaderboards_partition_lag_timestamp_seconds"] == {("score-events",): 1_795_430_002.5}
    assert found["leaderboards_entries_repaired"][()] >= 3
    assert found["leaderboards_archived_owing"] == {(): 4}
    assert found["leaderboards_cache_complete"][leaderboard_id,] == 1
    sizes = {
        labels[1]: value
        for labels, value in found["leaderboards_window_players"].items()
        if labels[0] == leaderboard_id
    }
    assert sizes == {"daily": 2, "weekly": 2, "all-time": 2}
    assert found["leaderboards_cache_used_bytes"]["",] > 100_000
    assert found["leaderboards_cache_cpu_seconds"]["",] > 0
    assert found["leaderboards_waiting_clients"] == {(): 0}
    puts = found["leaderboards_requests"]["PUT /leaderboards/{id}", "2xx"]
    assert puts >= 1
    assert found["leaderboards_rankings_read"].keys() == {("live",), ("snapshot",), ("final",)}
    assert found["leaderboards_windows_due"][leaderboard_id,] == 0
    assert (leaderboard_id,) not in found["leaderboards_sealed_timestamp_seconds"], "nothing is closed yet"
    assert found["leaderboards_up"] == {("dynamodb",): 1, ("cache",): 1, ("queues",): 0}
    assert "leaderboards_dead_letters" not in found, "nobody listens where the queues are"


def test_a_day_that_is_closed_is_shown_with_the_windows_that_are_due(
    call: Any, score: Any, scrape: Any, module: Any, leaderboard_id: str
) -> None:
    assert call("put-leaderboard", body=BODY).status == 201
    score(("ann", 5))
    leaderboard = module.assembly.registry.leaderboard(leaderboard_id)
    yesterday = Day(day_of(now_ms()) - 1)
    close(module.assembly.final_results, leaderboard, yesterday, [daily(yesterday)])

    found = scrape()

    assert found["leaderboards_sealed_timestamp_seconds"][leaderboard_id,] == (yesterday + 1) * DAY_MS / 1000
    assert found["leaderboards_windows_due"][leaderboard_id,] == 1


def test_sizes_of_incomplete_windows_are_left_out(
    call: Any, score: Any, scrape: Any, redis: Redis, leaderboard_id: str
) -> None:
    assert call("put-leaderboard", body=BODY).status == 201
    score(("ann", 5))
    redis.flushall()
    score(("bob", 7))

    found = scrape()

    assert found["leaderboards_cache_complete"][leaderboard_id,] == 0
    assert leaderboard_id not in {labels[0] for labels in found["leaderboards_window_players"]}
    assert found["leaderboards_up"]["cache",] == 1


def test_without_redis_the_rest_is_shown(call: Any, scrape: Any, replace_part: Any, leaderboard_id: str) -> None:
    assert call("put-leaderboard", body=BODY).status == 201
    with Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0)) as client:
        replace_part(cache=WindowCache(client))
        found = scrape()

    assert found["leaderboards_up"] == {("dynamodb",): 1, ("cache",): 0, ("queues",): 0}
    assert not {"leaderboards_cache_complete", "leaderboards_window_players"} & set(found)
    assert found["leaderboards_windows_due"][leaderboard_id,] == 0


def test_without_dynamodb_nothing_is_made_up(scrape: Any, replace_part: Any) -> None:
    replace_part(progress=Progress(nobody("dynamodb"), "leaderboard-registry"))

    found = scrape()

    assert found == {"leaderboards_up": {("dynamodb",): 0, ("cache",): 1, ("queues",): 0}}


def test_dead_letters_are_counted_by_their_queue(scrape: Any, replace_part: Any, s3: Any) -> None:
    sqs = boto3.client(
        "sqs",
        region_name="eu-central-1",
        endpoint_url=s3.meta.endpoint_url,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    queue = Queue(sqs, sqs.create_queue(QueueName="metrics-dlq")["QueueUrl"])
    queue.send([b"one", b"two"])
    given_up = Queue(sqs, sqs.create_queue(QueueName="metrics-given-up")["QueueUrl"])
    given_up.send([b"three"])
    policy = '{"deadLetterTargetArn":"arn:aws:sqs:eu-central-1:000000000000:metrics-given-up","maxReceiveCount":5}'
    url = sqs.create_queue(QueueName="metrics-exports", Attributes={"RedrivePolicy": policy})["QueueUrl"]
    exports = Queue(sqs, url)
    replace_part(
        dead_letters=DeadLetterQueue(queue, s3, "none"), repairs=queue, range_builds=queue, export_queue=exports
    )

    found = scrape()

    assert found["leaderboards_dead_letters"] == {(): 2}
    waiting = {
        name: found["leaderboards_queue_messages"][name, "waiting"] for name in ("dead-letters", "exports-given-up")
    }
    assert waiting == {"dead-letters": 2, "exports-given-up": 1}
    assert found["leaderboards_up"]["queues",] == 1
