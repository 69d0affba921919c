"""Every function under AWS's runtime interface, from events/, on real servers; in the image, too, where one is."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import Consumer, TopicPartition
from redis import Redis

from infra.image.__main__ import NO_ENGINE, engine_answers
from infra.local import packages, resources
from infra.local.cache import cache_server
from infra.local.config import PARTITIONS, TOPIC, Config, free_ports
from infra.local.dynamodb import dynamodb_server
from infra.local.mapping import Message, record
from infra.local.servers import PACKAGES, kafka, ministack
from infra.local.trigger import to_message
from tests.support.collector import attributes, collecting
from tests.support.emulator import TAG, Runtime, image_is_there

ROOT = Path(__file__).parents[2]
NOTHING_FAILED: dict[str, Any] = {"batchItemFailures": []}
Function = Callable[[str], Runtime]

pytestmark = pytest.mark.timeout(180)


def sample(name: str) -> Any:
    """A sample event; all are about autumn-cup."""
    return json.loads((ROOT / "events" / f"{name}.json").read_text())


def commands() -> dict[str, str]:
    """Each function's handler by its folder, as the image is told it in the template."""
    found = [line.strip() for line in (ROOT / "template.yaml").read_text().splitlines() if "ImageConfig:" in line]
    handlers = [yaml.safe_load(line)["ImageConfig"]["Command"][0] for line in found]
    return {handler.split(".")[1]: handler for handler in handlers}


@pytest.fixture(scope="module", params=["process", "image"])
def launch(request: pytest.FixtureRequest) -> Callable[..., Runtime]:
    """How functions are started."""
    if request.param == "process":
        return Runtime.in_process
    if not engine_answers():
        pytest.skip(NO_ENGINE)
    if not image_is_there():
        pytest.skip(f"no image {TAG}: `make image` builds it")
    return Runtime.in_image


@pytest.fixture(scope="module")
def environment(launch: Callable[..., Runtime], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Servers of this module's own, with all resources; nobody else reads the queues or the topic."""
    if not packages.prepare(PACKAGES):
        pytest.skip("Apache Kafka's jars can't be had here")
    directory = tmp_path_factory.mktemp("servers")
    config = Config(directory, PACKAGES, free_ports())
    servers = [
        kafka(directory / "kafka", config.ports.kafka, config.ports.kafka_controller),
        dynamodb_server(directory / "dynamodb", config.ports.dynamodb, in_memory=True),
        cache_server(directory / "cache", config.ports.cache),
        ministack(directory / "aws", config.ports.aws),
    ]
    with ExitStack() as running:
        for server in servers:
            server.launch()
            running.callback(server.stop)
        for server in servers:
            server.wait_ready()
        resources.create(config.environment())
        yield config.environment() | {"AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture(scope="module")
def function(
    sam: Path, launch: Callable[..., Runtime], environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Function]:
    """Every function by its folder, started when it is first asked for, with the leaderboard there."""
    started: dict[str, Runtime] = {}
    with ExitStack() as running:

        def function(name: str) -> Runtime:
            if name not in started:
                own = environment | {"POWERTOOLS_SERVICE_NAME": name}
                runtime = launch(sam, commands()[name], own, tmp_path_factory.mktemp(name))
                started[name] = running.enter_context(runtime)
            return started[name]

        assert function("api").invoke(sample("api-put-leaderboard"))["statusCode"] in (200, 201)
        yield function


def ranking(function: Function, **expected: Any) -> list[tuple[str, int]]:
    event = sample("api-rankings") | {"rawQueryString": "window=all-time&limit=10"}
    answer = function("api").invoke(event)
    assert answer["statusCode"] == 200
    body = json.loads(answer["body"])
    assert {name: body[name] for name in expected} == expected
    return [(entry["userId"], entry["score"]) for entry in body["entries"]]


def test_what_ingest_commits_is_ranked_by_the_api_once_repair_completes_it(function: Function) -> None:
    assert function("ingest").invoke(sample("kafka-accepted")) == NOTHING_FAILED
    assert function("repair").invoke(sample("repair-rebuild")) == NOTHING_FAILED

    ranked = ranking(function, source="live")

    assert sorted(ranked) == [("josé", 25), ("u-42", 20), ("u-7", 25)]
    assert function("ingest").invoke(sample("kafka-accepted")) == NOTHING_FAILED
    assert ranking(function, source="live") == ranked, "a redelivery changes nothing"


def test_what_was_flushed_comes_back_with_the_schedule(function: Function, environment: dict[str, str]) -> None:
    assert function("ingest").invoke(sample("kafka-accepted")) == NOTHING_FAILED
    with Redis.from_url(environment["CACHE_URL"]) as redis:
        redis.flushall()

    assert function("repair").invoke(sample("repair-schedule")) == NOTHING_FAILED

    assert len(ranking(function, source="live")) == 3


def test_a_message_that_cannot_be_read_is_named(function: Function) -> None:
    event = sample("repair-undecodable")

    answer = function("repair").invoke(event)

    assert answer == {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}


def test_an_export_that_the_api_takes_on_is_made_and_found(function: Function) -> None:
    assert function("ingest").invoke(sample("kafka-accepted")) == NOTHING_FAILED
    asked = function("api").invoke(sample("api-export"))
    assert asked["statusCode"] == 202
    job = asked["headers"]["location"].rpartition("/")[2]
    event = sample("export-job")
    event["Records"][0]["body"] = json.dumps({"leaderboardId": "autumn-cup", "exportId": job})

    assert function("export").invoke(event) == NOTHING_FAILED

    assert function("api").invoke(sample("api-export"))["statusCode"] == 303


def test_nothing_is_closed_while_the_broker_lacks_what_was_committed(function: Function) -> None:
    assert function("ingest").invoke(sample("kafka-accepted")) == NOTHING_FAILED

    assert function("close").invoke(sample("close-schedule")) == {"final": 0, "blocked": 1}


def test_what_was_refused_goes_back_to_the_topic(function: Function, environment: dict[str, str]) -> None:
    event = sample("kafka-unknown-leaderboard")
    refused = [record["value"] for records in event["records"].values() for record in records]
    assert function("ingest").invoke(event) == NOTHING_FAILED

    answer = function("redrive").invoke(sample("redrive"))

    assert answer == {"sent": len(refused), "failed": 0, "left": 0, "tooLate": 0, "complete": True}
    assert topic(environment) == [base64.b64decode(value) for value in refused]


def test_a_score_has_one_trace_from_the_request_to_the_rank(
    sam: Path, launch: Callable[..., Runtime], environment: dict[str, str], tmp_path: Path, function: Function
) -> None:
    function("api")  # makes the leaderboard
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    path = "/leaderboards/autumn-cup/players/u-42/scores"
    request = sample("api-correct") | {"rawPath": path, "body": json.dumps({"eventId": "traced-1", "points": 1})}
    request["headers"] |= {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01", "prefer": "wait=0"}
    request["requestContext"]["http"]["path"] = path
    request["requestContext"]["authorizer"]["jwt"]["claims"]["scope"] = "scores:write"
    with collecting() as collector:
        traced = environment | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        before = len(messages(environment))
        with launch(sam, commands()["api"], traced | {"POWERTOOLS_SERVICE_NAME": "api"}, tmp_path) as api:
            assert api.invoke(request)["statusCode"] == 202
        (sent,) = messages(environment)[before:]
        event = {"eventSource": "aws:kafka", "records": {"score-events-0": [record(sent)]}}
        with launch(sam, commands()["ingest"], traced | {"POWERTOOLS_SERVICE_NAME": "ingest"}, tmp_path) as ingest:
            assert ingest.invoke(event) == NOTHING_FAILED

    spans = collector.of_trace(trace_id)
    asked, processed = spans["POST /leaderboards/{}/players/{}/scores"], spans["process score-events"]
    assert asked.parent_span_id.hex() == "00f067aa0ba902b7"
    assert processed.parent_span_id == asked.span_id
    assert attributes(processed)["leaderboards.outcome"] == "applied"
    assert len(collector.spans) == 3, "and the batch's, which has a trace of its own"


def topic(environment: dict[str, str]) -> list[bytes | None]:
    """Every value that stands in the topic."""
    return [message.value for message in messages(environment)]


def messages(environment: dict[str, str]) -> list[Message]:
    """Every record that stands in the topic; those of a partition in their order."""
    broker = environment["KAFKA_BOOTSTRAP_SERVERS"]
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "reader", "auto.offset.reset": "error"})
    places = [TopicPartition(TOPIC, partition, 0) for partition in range(PARTITIONS)]
    waiting = sum(consumer.get_watermark_offsets(place, timeout=10)[1] for place in places)
    consumer.assign(places)
    consumed = consumer.consume(waiting, 30)
    consumer.close()
    assert len(consumed) == waiting
    return sorted(map(to_message, consumed), key=lambda message: message.timestamp_ms)


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        ("ingest", {"CACHE_URL": "localhost"}, "CACHE_URL"),
        ("api", {"STAGE": "production", "AUTHORIZATION": "jwt"}, "set `CURSOR_KEY`"),
    ],
)
def test_a_wrong_or_missing_setting_stops_the_start_and_is_named(
    sam: Path,
    launch: Callable[..., Runtime],
    environment: dict[str, str],
    tmp_path: Path,
    name: str,
    wrong: dict[str, str],
    said: str,
) -> None:
    with launch(sam, commands()[name], environment | wrong, tmp_path) as runtime:
        answer = runtime.invoke({})

    assert answer["errorType"] == "InvalidSettings"
    assert answer["errorMessage"].startswith("environment: ")
    assert said in answer["errorMessage"]
    assert "\n" not in answer["errorMessage"]
