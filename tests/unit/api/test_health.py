"""Health: what is asked, for how long, and what is told of it."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from threading import Event, get_ident
from types import SimpleNamespace
from typing import Any

import pytest

from functions.api.probes import Probe, Probes, Wrong
from shared.cache.connection import ServerLoad
from shared.cache.errors import CacheFull, CacheUnavailable
from shared.domain.rules import Leaderboard
from shared.messaging.queues import Depth, QueueUnavailable
from shared.truth.commits import Unavailable
from shared.truth.counters import Noted, TopicSettings
from shared.truth.progress import Position
from tests.unit.api.conftest import NOW_MS, Api

QUEUES = ("repairs", "ranges", "exports", "deadLetters")
START, LATER = "2026-11-23T10:00:00.000Z", "2026-11-23T10:00:05.000Z"


class World:
    """All that the service stands on, each part of which may fail or hang."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.failures: dict[str, Exception] = {}
        self.depths = dict.fromkeys(QUEUES, Depth(0, 0))
        self.loads = {"one": ServerLoad(300, 400, 1), "other": ServerLoad(390, 600, 2)}
        self.complete = {"cup"}
        self.counted = 0
        self.wrong: Sequence[str] = []
        self.positions = [Position("events", 0, 1, 1, NOW_MS - 9_000), Position("events", 1, 1, 1, NOW_MS - 2_000)]
        self.hanging: dict[str, Event] = {}
        self.threads: set[int] = set()
        parts = api.parts
        parts.settings.kafka_topic = "events"
        parts.cache.ping = self._answer("cache")
        parts.cache.loads = self.cache_loads
        parts.cache.is_complete = self._is_complete
        parts.cache.breaker_state = "closed"
        parts.downloads = SimpleNamespace(ping=self._answer("s3"))
        parts.telemetry = SimpleNamespace(noted=lambda _: Noted("events", 0, None, TopicSettings(1, self.wrong)))
        parts.progress = SimpleNamespace(positions=self._answer("topic", lambda: self.positions))
        queues = [SimpleNamespace(depth=self._answer(one, lambda one=one: self.depths[one])) for one in QUEUES]
        parts.repairs, parts.range_builds, parts.export_queue, letters = queues
        parts.dead_letters = SimpleNamespace(queue=letters)
        leaderboard = api.registry.leaderboard
        api.registry.leaderboard = self._answer("dynamodb", leaderboard)  # type: ignore[method-assign]

    def _answer(self, name: str, answer: Callable[..., Any] = lambda *_: None) -> Callable[..., Any]:
        def ask(*args: Any) -> Any:
            self.threads.add(get_ident())
            if name in self.hanging:
                self.hanging[name].wait(20)
            if name in self.failures:
                raise self.failures[name]
            return answer(*args) if name == "dynamodb" else answer()

        return ask

    def _is_complete(self, leaderboard: Leaderboard) -> bool:
        self.counted += 1
        return leaderboard.id in self.complete

    def cache_loads(self) -> dict[str, ServerLoad]:
        if not self.loads:
            raise CacheUnavailable("this user may not ask for it")
        return self.loads

    def health(self) -> tuple[int, dict[str, Any]]:
        answer = self.api.get("/health")
        return answer.status, answer.json["dependencies"]


@pytest.fixture
def world(api: Api) -> Iterator[World]:
    made = World(api)
    yield made
    for event in made.hanging.values():
        event.set()


def test_all_that_is_up_is_told_with_its_numbers_and_since_when(world: World) -> None:
    status, found = world.health()

    assert status == 200
    assert [*found] == ["dynamodb", "cache", "s3", "topic", "queues"]
    assert {(one["status"], one["since"]) for one in found.values()} == {("up", START)}
    cache, topic, queues = found["cache"], found["topic"], found["queues"]["queues"]
    assert (cache["memoryUsedBytes"], cache["memoryLimitBytes"]) == (300, 400)
    assert (cache["leaderboards"], cache["completeLeaderboards"]) == (1, 1)
    assert (topic["lastCommitAt"], topic["lastCommitAgeMs"]) == ("2026-11-23T09:59:58.000Z", 2_000)
    assert {name: (one["waiting"], one["inFlight"], one["notEmptySince"]) for name, one in queues.items()} == (
        dict.fromkeys(QUEUES, (0, 0, None))
    )


def test_the_breakers_of_who_answers_are_told_however_the_stores_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.api.routes.health.Probe", partial(Probe, timeout_ms=250))
    world.api.parts.truth_guard = SimpleNamespace(breaker_state="trial", begin=lambda _: None)
    world.api.start()
    found = [world.health()[1]]
    world.api.parts.cache.breaker_state = "open"
    world.failures["cache"] = CacheUnavailable("away")
    found.append(world.health()[1])
    world.hanging["cache"] = Event()
    found.append(world.health()[1])

    assert [(one["cache"]["status"], one["cache"]["breaker"]) for one in found] == [
        ("up", "closed"),
        ("down", "open"),
        ("down", "open"),
    ]
    assert {one["dynamodb"]["breaker"] for one in found} == {"trial"}
    assert "breaker" not in found[0]["s3"]


@pytest.mark.parametrize("name", ["dynamodb", "cache", "s3", "topic"])
def test_what_fails_is_down_and_the_others_are_asked_all_the_same(world: World, name: str) -> None:
    world.failures[name] = ConnectionError("secret.example.com")

    status, found = world.health()

    assert (status, found[name]["detail"]) == (503, "ConnectionError"), "no more than anybody may know"
    assert [other for other, one in found.items() if one["status"] == "down"] == [name]


@pytest.mark.parametrize("name", QUEUES)
def test_a_queue_that_fails_is_named_and_the_others_are_counted(world: World, name: str) -> None:
    world.failures[name] = QueueUnavailable("nobody")
    world.depths = dict.fromkeys(QUEUES, Depth(3, 1))

    status, found = world.health()

    queues = found["queues"]["queues"]
    assert (status, found["queues"]["status"], found["queues"]["detail"]) == (503, "down", f"{name}: QueueUnavailable")
    assert {other: one.get("waiting") for other, one in queues.items()} == dict.fromkeys(QUEUES, 3) | {name: None}


def test_since_when_a_state_lasts_is_told_until_it_changes(world: World) -> None:
    world.health()
    world.api.now_ms += 5_000
    world.failures["s3"] = ConnectionError()
    found = [world.health()[1]]
    world.api.now_ms += 5_000
    found.append(world.health()[1])
    del world.failures["s3"]
    found.append(world.health()[1])

    assert [(one["s3"]["status"], one["s3"]["since"]) for one in found] == [
        ("down", LATER),
        ("down", LATER),
        ("up", "2026-11-23T10:00:10.000Z"),
    ]
    assert {one["cache"]["since"] for one in found} == {START}


def test_queues_are_down_since_the_first_and_up_since_the_last(world: World) -> None:
    world.health()
    sinces = []
    for name in ("repairs", "exports"):
        world.api.now_ms += 5_000
        world.failures[name] = QueueUnavailable("nobody")
        sinces.append(world.health()[1]["queues"]["since"])
    for name in ("repairs", "exports"):
        world.api.now_ms += 5_000
        del world.failures[name]
        sinces.append(world.health()[1]["queues"]["since"])

    assert sinces == [LATER, LATER, "2026-11-23T10:00:10.000Z", "2026-11-23T10:00:20.000Z"]


def test_how_long_a_queue_was_never_found_empty_is_told(world: World) -> None:
    found = []
    for depth in (Depth(0, 0), Depth(2, 0), Depth(0, 1), Depth(0, 0), Depth(1, 0)):
        world.depths["repairs"] = depth
        found.append(world.health()[1]["queues"]["queues"]["repairs"]["notEmptySince"])
        world.api.now_ms += 5_000

    assert found == [None, LATER, LATER, None, "2026-11-23T10:00:20.000Z"]


def test_wrong_settings_of_the_topic_are_told_beside_its_last_commit(world: World) -> None:
    world.wrong = ["cleanup.policy must be delete, not compact", "retention.ms must be 86400000 or more, not 5"]

    _, found = world.health()

    assert (found["topic"]["status"], found["topic"]["detail"]) == ("down", "; ".join(world.wrong))
    assert found["topic"]["lastCommitAgeMs"] == 2_000
    world.wrong = []
    assert world.health()[1]["topic"]["status"] == "up"


def test_before_the_first_commit_there_is_none(world: World) -> None:
    world.positions = [Position("events", 0, 1, 1)]

    topic = world.health()[1]["topic"]

    assert (topic["status"], topic["lastCommitAt"], topic["lastCommitAgeMs"]) == ("up", None, None)


def test_what_the_cache_does_not_say_of_itself_is_left_out(world: World) -> None:
    world.loads = {}
    assert "memoryUsedBytes" not in world.health()[1]["cache"]
    world.loads = {"": ServerLoad(5, 0, 1)}
    assert world.health()[1]["cache"]["memoryLimitBytes"] is None


def test_complete_leaderboards_are_counted_now_and_then(world: World) -> None:
    world.complete = set()
    found = []
    for later_ms in (0, 4_999, 1):
        world.api.now_ms += later_ms
        found.append(world.health()[1]["cache"]["completeLeaderboards"])
        world.complete = {"cup"}

    assert (found, world.counted) == ([0, 0, 1], 2)


def test_a_cache_is_up_though_nobody_can_say_what_is_complete(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise Unavailable("throttled")

    monkeypatch.setattr(world.api.registry, "leaderboards", fail)

    status, found = world.health()

    assert (status, found["cache"]["status"]) == (200, "up")
    assert "completeLeaderboards" not in found["cache"]


@pytest.mark.parametrize("name", ["dynamodb", "cache", "repairs", "deadLetters", "s3", "topic"])
def test_one_that_hangs_is_down_in_time_and_keeps_no_other_from_answering(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.api.routes.health.Probe", partial(Probe, timeout_ms=250))
    world.api.start()
    world.hanging[name] = Event()
    start_s = time.monotonic()

    found = [world.health()[1] for _ in range(2)]

    assert time.monotonic() - start_s < 10, "the second answer waits for nothing"
    for dependencies in found:
        down = [other for other, one in dependencies.items() if one["status"] == "down"]
        assert down == ["queues" if name in QUEUES else name]
    world.hanging.pop(name).set()
    assert until_up(world, "queues" if name in QUEUES else name)


def until_up(world: World, name: str) -> bool:
    for _ in range(100):
        if world.health()[1][name]["status"] == "up":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("failure", [CacheUnavailable("away"), CacheFull("OOM")])
def test_without_the_cache_rankings_are_ready_and_without_the_truth_not(world: World, failure: Exception) -> None:
    world.failures["cache"] = failure
    answer = world.api.get("/health/ready")
    assert (answer.status, [*answer.json["dependencies"]]) == (200, ["dynamodb", "cache"])

    world.failures = {"dynamodb": Unavailable("throttled")}
    assert world.api.get("/health/ready").status == 503


def test_a_process_that_answers_is_alive_whatever_is_down_and_asks_nothing(world: World) -> None:
    names = ("dynamodb", "cache", "s3", "topic", *QUEUES)
    world.failures = dict.fromkeys(names, ConnectionError())
    world.hanging = {name: Event() for name in names[:2]}

    answer = world.api.get("/health/live")

    assert (answer.status, answer.json) == (200, {"status": "up", "dependencies": {}})
    assert world.threads == set()


def test_readiness_asks_only_for_what_reads_need(world: World) -> None:
    world.failures = dict.fromkeys(("s3", "topic", *QUEUES), ConnectionError())

    assert world.api.get("/health/ready").status == 200


def test_what_is_asked_is_asked_beside_the_thread_that_serves_requests(world: World) -> None:
    world.health()

    assert world.threads
    assert get_ident() not in world.threads


def test_each_probe_has_a_time_of_its_own_and_is_not_asked_again_while_it_hangs() -> None:
    release, calls = Event(), []

    def hang() -> None:
        calls.append(1)
        release.wait(20)

    patient, impatient = Probe(lambda: time.sleep(0.2), 10_000), Probe(hang, 20)
    probes = Probes({"a": impatient, "b": patient}, lambda: NOW_MS)
    found = [probes.ask(("a", "b")) for _ in range(3)]
    release.set()

    assert [(one["a"].status, one["a"].detail) for one in found] == [("down", "no answer in time")] * 3
    assert [one["b"].status for one in found] == ["up"] * 3
    assert found[2]["a"].latency_ms > found[0]["a"].latency_ms >= 20, "how long it has been waited for"
    assert len(calls) == 1


def test_what_is_wrong_is_told_with_its_facts_and_what_fails_only_by_its_kind() -> None:
    def wrong() -> None:
        raise Wrong("a setting", {"waiting": 3})

    def fail() -> None:
        raise ConnectionError("10.0.0.1")

    found = Probes({"a": Probe(wrong), "b": Probe(fail)}, lambda: 5).ask(("a", "b"))

    assert [(one.detail, one.facts, one.since_ms) for one in found.values()] == [
        ("a setting", {"waiting": 3}, 5),
        ("ConnectionError", {}, 5),
    ]
