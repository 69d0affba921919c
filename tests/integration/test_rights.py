"""Every function at work on real servers: what it asks of AWS, beside what template.yaml lets its role do."""

import base64
import importlib
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from redis import Redis

from infra.local import resources
from infra.local.config import DLQ, EXPORTS, RANGES, REPAIRS, Config, Ports, free_port
from infra.local.function import Context
from infra.local.servers import ministack
from shared.assembly import now_ms
from shared.cache.errors import CacheUnavailable
from shared.closing.schedule import LAST_CALLS_MS
from shared.domain.calendar import DAY_MS, Day, day_of, format_day
from shared.domain.events import POINTS_MAX, format_instant
from shared.ingest import letters
from shared.messaging.dead_letters import INLINE_BYTES_MAX
from shared.messaging.topic import Outgoing, Reach
from shared.rebuild import on_demand
from tests.support.aws_calls import Calls, recorded, written
from tests.support.parts import make_parts_small
from tests.support.template import FUNCTIONS, folder, rights

ROOT = Path(__file__).parents[2]
NAMES = {folder(function): name for name, function in FUNCTIONS.items()}
SECRET = "secretsmanager:GetSecretValue"
"""Asked for before a function does anything, and only where a setting refers to a secret."""


class Broker:
    """The topic of closing and redrive, behind which nothing is missing unless it is lost."""

    name = "score-events"

    def __init__(self) -> None:
        self.first = self.end = 0

    def reach(self, _moment_ms: int) -> list[Reach]:
        return [Reach(0, self.first, self.end, self.end)]

    def settings(self) -> dict[str, str]:
        return {}

    def holds_records(self, _partition: int, _first: int, _end: int) -> bool:
        return False

    def send(self, records: Sequence[Outgoing]) -> list[str | None]:
        return [None for _ in records]


class System:
    """All functions in one process, each with clients of its own."""

    def __init__(self, calls: Calls, redis: Redis) -> None:
        self._calls = calls
        self._offsets = count()
        self.redis = redis
        self.broker = Broker()
        self.modules = {name: importlib.import_module(f"functions.{name}.handler") for name in NAMES}
        for name in ("close", "redrive", "api"):
            self.modules[name].assembly.__dict__["topic"] = self.broker
        self.ahead_ms = 2 * DAY_MS
        """How far closing's clock is ahead, so that today can be closed."""
        with pytest.MonkeyPatch.context() as ahead:
            assembly = self.modules["close"].assembly
            ahead.setattr(assembly, "now_ms", lambda: now_ms() + self.ahead_ms)
            _ = assembly.closing

    def invoke(self, name: str, event: Any) -> Any:
        with self._calls.of(name):
            return self.modules[name].handler(event, Context(name, 900_000))

    def ask(self, name: str, status: int = 200, **changes: str) -> Any:
        event = sample(f"api-{name}") | changes
        answer = self.invoke("api", event)
        assert answer["statusCode"] == status, (name, answer["body"])
        return answer

    def play(self, user_id: str, points: int, padding: str = "", ago_ms: int = 0) -> None:
        offset, at_ms = next(self._offsets), now_ms()
        event = {"eventId": f"e-{offset}", "leaderboardId": "autumn-cup", "userId": user_id, "points": points}
        content = json.dumps(event | {"occurredAt": format_instant(at_ms - ago_ms), "padding": padding}).encode()
        record = {"topic": "score-events", "partition": 0, "offset": offset, "timestamp": at_ms}
        record |= {"timestampType": "LOG_APPEND_TIME", "value": base64.b64encode(content).decode(), "headers": []}
        answer = self.invoke("ingest", {"eventSource": "aws:kafka", "records": {"score-events-0": [record]}})
        assert answer == {"batchItemFailures": []}
        self.broker.end = offset + 1

    def close(self) -> int:
        final: int = self.invoke("close", sample("close-schedule"))["final"]
        return final

    def queued(self, queue: str, name: str) -> Any:
        """The event of a message that waits on a queue, in a sample's place."""
        sqs = self.modules["repair"].assembly.sqs
        url = self.modules["repair"].assembly.settings
        (message,) = sqs.receive_message(QueueUrl=getattr(url, queue), WaitTimeSeconds=5)["Messages"]
        event = sample(name)
        event["Records"] = [event["Records"][0] | {"body": message["Body"]}]
        return event


def sample(name: str) -> Any:
    return json.loads((ROOT / "events" / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def calls(cache_url: str, dynamodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Calls]:
    """What every function asks while a leaderboard lives from its first event to its second result."""
    ports = Ports(cache=_port(cache_url), dynamodb=_port(dynamodb_url), aws=free_port())
    config = Config(tmp_path_factory.mktemp("state"), Path("packages"), ports)
    tables = {f"{name}_TABLE": f"rights-{name.lower()}" for name in ("LEDGER", "STANDINGS", "REGISTRY")}
    environment = config.environment() | tables
    named = {environment[f"{name}_TABLE"]: f"{name.capitalize()}Table" for name in ("LEDGER", "STANDINGS", "REGISTRY")}
    queues = {DLQ: "DeadLetterQueue", REPAIRS: "RepairQueue", RANGES: "RangeQueue", EXPORTS: "ExportQueue"}
    dead = {f"{REPAIRS}-dlq": "RepairDeadLetterQueue", f"{RANGES}-dlq": "RepairDeadLetterQueue"}
    queues |= dead | {f"{EXPORTS}-dlq": "ExportDeadLetterQueue"}
    named |= {config.queue_url(queue): name for queue, name in queues.items()}
    named |= {environment["EXPORT_BUCKET"]: "ExportBucket", environment["RESULT_TOPIC_ARN"]: "ResultTopic"}
    calls = Calls(named)
    modules = [f"functions.{name}.handler" for name in NAMES]
    with (
        ministack(tmp_path_factory.mktemp("aws"), ports.aws),
        pytest.MonkeyPatch.context() as patch,
        Redis.from_url(cache_url) as redis,
    ):
        for name, value in environment.items():
            patch.setenv(name, value)
        for name in modules:
            sys.modules.pop(name, None)
        resources.create(environment, topic=False)
        redis.flushall()
        with recorded(calls):
            live(System(calls, redis))
        yield calls
        for name in modules:
            sys.modules.pop(name, None)


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


def live(system: System) -> None:
    """One leaderboard's life."""
    define(system)
    ingest(system)
    repair(system)
    read(system)
    export(system, "window=all-time")
    redrive(system)
    finish(system)
    read_without_cache(system)
    redrive_too_late(system)
    forget(system)
    system.ask("delete-leaderboard", 204)


def define(system: System) -> None:
    system.ask("put-leaderboard", 201)
    renamed = json.loads(sample("api-put-leaderboard")["body"]) | {"name": "Cup"}
    system.ask("put-leaderboard", body=json.dumps(renamed))
    system.ask("put-period", 201)
    system.ask("delete-period", 204)  # once it has its result it stays
    system.ask("put-period", 201)
    series = {"name": "Week", "every": "P7D", "from": format_day(day_of(now_ms()))}
    system.ask("put-period", 201, rawPath="/leaderboards/autumn-cup/periods/weeks", body=json.dumps(series))
    system.ask("delete-period", 204, rawPath="/leaderboards/autumn-cup/periods/weeks")
    for name in ("get-leaderboard", "list-leaderboards", "get-period", "list-periods", "health", "metrics"):
        system.ask(name)


def ingest(system: System) -> None:
    for user_id, points in (("u-42", 10), ("u-7", 20), ("ann", 30)):
        system.play(user_id, points)
    system.play("much", POINTS_MAX)
    # an overflow is judged by the ledger; letters that are too large for the queue
    for _ in range(2):
        system.play("much", POINTS_MAX, "x" * INLINE_BYTES_MAX)
    system.play("", 1, "x" * INLINE_BYTES_MAX)
    system.play("late", 1, "x" * INLINE_BYTES_MAX, ago_ms=5 * DAY_MS)
    with pytest.MonkeyPatch.context() as full:
        full.setattr(letters, "REGISTERED_MAX", 0)
        system.play("late", 1, ago_ms=5 * DAY_MS)
    with pytest.MonkeyPatch.context() as away:
        away.setattr(system.modules["ingest"].assembly.cache, "apply", _unavailable)
        system.play("ann", 1)


def _unavailable(*_: Any) -> None:
    raise CacheUnavailable("away")


def repair(system: System) -> None:
    system.invoke("repair", system.queued("repair_queue_url", "repair-players"))
    for name in ("repair-rebuild", "repair-schedule", "repair-snapshots"):
        assert system.invoke("repair", sample(name)) == {"batchItemFailures": []}


def read(system: System) -> None:
    for name in ("rankings-friends", "rankings-tier", "rankings-period", "player", "player-windows", "player-events"):
        system.ask(name)
    system.ask("player-explain")
    system.ask("player-events", rawPath="/leaderboards/autumn-cup/players/late/events/e-0", rawQueryString="")
    for name in ("put-profile", "get-profile"):
        system.ask(name)
    with pytest.MonkeyPatch.context() as slow:
        slow.setattr(on_demand, "BUILD_WAIT_MS", -1)
        system.redis.flushall()
        system.invoke("repair", sample("repair-rebuild"))
        today = day_of(now_ms())
        first, last = format_day(Day(today - 19)), format_day(today)
        system.ask("rankings", 202, rawQueryString=f"window=custom&from={first}&to={last}")
    system.invoke("repair", system.queued("range_queue_url", "repair-players"))
    system.ask("rebuild", 202)
    system.invoke("repair", system.queued("repair_queue_url", "repair-players"))


def export(system: System, window: str) -> None:
    asked = system.ask("export", 202, rawQueryString=f"{window}&format=parquet")
    system.ask("export-job", rawPath=asked["headers"]["location"])
    assert system.invoke("export", system.queued("export_queue_url", "export-job")) == {"batchItemFailures": []}
    system.ask("export", 303, rawQueryString=f"{window}&format=parquet")
    system.ask("export", 202, rawQueryString=f"{window}&format=ndjson")
    with interrupted_uploads(system, "export"):
        system.invoke("export", system.queued("export_queue_url", "export-job"))
    system.ask("export", 202, rawQueryString=f"{window}&format=ndjson")
    assert system.invoke("export", system.queued("export_queue_url", "export-job")) == {"batchItemFailures": []}


@contextmanager
def interrupted_uploads(system: System, name: str) -> Iterator[None]:
    """Files of several parts, and S3 fails before they are whole."""

    def fail(**_: Any) -> None:
        answer: Any = {"Error": {"Code": "ServiceUnavailable"}, "ResponseMetadata": {"HTTPStatusCode": 503}}
        raise ClientError(answer, "CompleteMultipartUpload")

    with pytest.MonkeyPatch.context() as patch:
        make_parts_small(patch, 10)
        patch.setattr(system.modules[name].assembly.s3, "complete_multipart_upload", fail)
        yield


def lose_a_record(system: System) -> None:
    system.broker.end += 1
    system.broker.first = system.broker.end
    assert system.close() == 0
    system.invoke("close", {"acknowledge": {"partition": 0, "until": system.broker.first}})
    assert next(system._offsets) == system.broker.first - 1


def skip_an_offset(system: System) -> None:
    next(system._offsets)
    system.play("ann", 1)
    assert system.close() == 0, "days refuse events first"


def leave_a_topic(system: System) -> None:
    """All of which was committed, so that closing forgets it."""
    system.modules["close"].assembly.coverage._losses.record_ends("former", {})


def finish(system: System) -> None:
    leave_a_topic(system)
    lose_a_record(system)
    skip_an_offset(system)
    system.ahead_ms += LAST_CALLS_MS
    with interrupted_uploads(system, "close"):
        assert system.close() == 0
    assert system.close() > 0
    for name in ("ingest", "api"):
        system.modules[name].assembly.leaderboards.forget_all()  # as time does
    today = format_instant(now_ms())[:10]
    system.ask("rankings", rawQueryString=f"window=daily&date={today}")
    system.ask("result-versions", rawQueryString=f"window=daily&date={today}")
    export(system, f"window=daily&date={today}")
    amend(system, f"window=daily&date={today}")
    system.ask("disqualify")
    assert system.close() > 0, "another version"
    system.ask("result-versions", rawQueryString=f"window=daily&date={today}")
    system.ask("reinstate")
    system.ask("disqualify")
    assert system.close() == 0, "nobody has left or come back, so there is no further one"
    for name in ("audit-log", "disqualified"):
        system.ask(name)
    system.play("ann", 1)  # its day is closed, which the ledger is asked about


def amend(system: System, window: str) -> None:
    """Of a window with a result, which is exported before there is another."""
    correction = json.loads(sample("api-correct")["body"]) | {"occurredAt": format_instant(now_ms())}
    system.ask("correct", body=json.dumps(correction))
    system.ask("export", 202, rawQueryString=f"{window}&format=ndjson&topN=2")
    assert system.invoke("export", system.queued("export_queue_url", "export-job")) == {"batchItemFailures": []}
    assert system.close() > 0, "a second version"
    system.ask("void", rawPath="/leaderboards/autumn-cup/players/u-42/events/case-1236/void")
    assert system.close() > 0, "a third one"


def read_without_cache(system: System) -> None:
    system.redis.flushall()
    for query in ("window=all-time", "window=daily&date=2026-11-20"):
        system.ask("rankings", rawQueryString=query)


def redrive(system: System) -> None:
    assert len(json.loads(system.ask("dead-letters")["body"])["deadLetters"]) == 1
    assert system.invoke("redrive", {"reason": "score_overflow"})["sent"] == 2
    assert system.invoke("redrive", {"reason": "invalid"})["sent"] == 1
    answer = system.ask("redrive", body=json.dumps({"reason": "a test", "rejectedAs": "too_late"}))
    assert json.loads(answer["body"])["sent"] == 2


def redrive_too_late(system: System) -> None:
    """Of days that are sealed: the ledger is asked whether their events have counted."""
    answer = system.ask("redrive", body=json.dumps({"reason": "a test", "rejectedAs": "too_late"}))
    assert json.loads(answer["body"])["tooLate"] == 1
    assert system.invoke("redrive", {"reason": "too_late"})["tooLate"] == 1


def forget(system: System) -> None:
    """Two players: the API moves one of them, and closing another, for whom there was no time."""
    system.ask("pseudonymise")
    with pytest.MonkeyPatch.context() as hurry:
        hurry.setattr(system.modules["api"].assembly.pseudonymisation, "_move", lambda *_: False)
        path = sample("api-pseudonymise")["rawPath"].replace("u-42", "ann")
        answer = system.ask("pseudonymise", rawPath=path)
        assert not json.loads(answer["body"])["complete"]
    system.close()
    system.play("ann", 1)
    system.ahead_ms += DAY_MS
    system.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_function_may_do_all_that_it_asks_for(calls: Calls, name: str) -> None:
    granted = set(rights(FUNCTIONS[NAMES[name]]))
    missing = [one for one in sorted(calls.rights[name]) if not any(right.covers(one) for right in granted)]
    assert not missing, missing


@pytest.mark.parametrize("name", NAMES)
def test_a_function_may_do_nothing_that_it_never_asks_for(calls: Calls, name: str) -> None:
    granted = {one for one in rights(FUNCTIONS[NAMES[name]]) if one.action != SECRET}
    unused = [right for right in sorted(granted) if not any(map(right.covers, calls.rights[name]))]
    assert not unused, unused


def test_every_place_that_asks_aws_was_reached(calls: Calls) -> None:
    unreached = sorted(written() - calls.places)
    assert not unreached, unreached
