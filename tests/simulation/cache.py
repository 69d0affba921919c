"""A real Redis behind faults: out of reach before or after a command, slow, or failed over with lost writes."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
from circuitbreaker import CircuitBreaker
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.domain.calendar import ALL_TIME_DAY
from tests.simulation.course import Fault
from tests.simulation.scheduler import Scheduler

if TYPE_CHECKING:
    from tests.simulation.world import World

TIMEOUT_S = 1
"""As the product's setting."""


class Breaker(CircuitBreaker):  # type: ignore[misc]
    """The product's breaker by the time of the world."""

    def __init__(self, scheduler: Scheduler, failures: int, rest_s: int, expected: tuple[type[Exception], ...]) -> None:
        super().__init__(failures, rest_s, expected)
        self._scheduler = scheduler
        self._rest_s = rest_s
        self._opened_ms = 0

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        super().__exit__(kind, error, traceback)
        self._opened_ms = self._scheduler.now_ms

    @property
    def open_remaining(self) -> float:
        """Seconds until a command may try again."""
        return self._opened_ms / 1000 + self._rest_s - self._scheduler.now_ms / 1000


class Cache:
    """The part of redis-py's client that the product uses."""

    def __init__(self, world: "World", redis: Redis) -> None:
        self._world = world
        self._scheduler = world.scheduler
        self._redis = redis
        self._refused: list[tuple[str, bytes]] = []

    def take_refused(self) -> list[tuple[str, bytes]]:
        """The calls of the apply script that were refused since, unless Redis could not be reached after that: then
        players are queued for repair, and may be shown as they were until that is done.
        """
        refused, self._refused = self._refused, []
        return refused

    def register_script(self, text: bytes) -> Callable[..., Any]:
        script = self._redis.register_script(text)
        applies = b"cmsgpack.unpack(ARGV[2])" in text

        def call(keys: Any, args: Any, client: Any = None) -> Any:
            if client is not None:
                return script(keys=keys, args=args, client=client)
            if not applies:
                return self._command(lambda: script(keys=keys, args=args))
            if self._scheduler.fails(Fault.CACHE_LOSES):
                if not _is_of_build(keys):
                    self._world.lost_outside_builds.add(_scores_id(keys[0]))
                return self._command(lambda: [0, None])
            return self._command(lambda: self._apply(script, keys, args))

        return call

    def _apply(self, script: Any, keys: Any, args: Any) -> Any:
        try:
            if keys[0].startswith(f"lb:{{{self._world.failing_board}}}:"):
                raise ResponseError("user_script:1: bad argument script: f_0, on @user_script:1.")
            answer = script(keys=keys, args=args)
        except ResponseError:
            if _applies(keys) and not _is_of_build(keys):  # before the end of a build nothing is complete
                self._refused.append(args[:2])
            raise
        if _applies(keys):
            self._world.shown.note(*args[:2])
        return answer

    def pipeline(self, transaction: bool) -> Any:
        pipe: Any = self._redis.pipeline(transaction=transaction)
        execute = pipe.execute
        pipe.execute = lambda: self._command(execute)
        return pipe

    def set(self, *args: Any, **kwargs: Any) -> Any:
        return self._command(lambda: self._redis.set(*args, **kwargs))

    def unlink(self, *keys: str) -> Any:
        return self._command(lambda: self._redis.unlink(*keys))

    def hget(self, key: str, field: str) -> Any:
        return self._command(lambda: self._redis.hget(key, field))

    def hgetall(self, key: str) -> Any:
        """In an order of their own: Redis's is another one in each of its processes."""
        found: Any = self._command(lambda: self._redis.hgetall(key))
        return dict(sorted(found.items()))

    def get(self, key: str) -> Any:
        return self._command(lambda: self._redis.get(key))

    def mget(self, *keys: str) -> Any:
        return self._command(lambda: self._redis.mget(*keys))

    def _command(self, command: Callable[[], Any]) -> Any:
        try:
            return self._through_faults(command)
        except (RedisConnectionError, RedisTimeoutError):
            self._refused.clear()
            raise

    def _through_faults(self, command: Callable[[], Any]) -> Any:
        self._scheduler.pause()
        self._scheduler.hold()
        if self._scheduler.fails(Fault.CACHE_AWAY):
            raise RedisConnectionError("away")
        if self._scheduler.fails(Fault.SLOW):
            return self._slowly(command)
        answer = command()
        self._scheduler.pause()
        if self._scheduler.fails(Fault.CACHE_AWAY):
            raise RedisConnectionError("away")
        return answer

    def _slowly(self, command: Callable[[], Any]) -> Any:
        """A command that waits in the server, at times for longer than its client, who then gives up: it is run."""
        takes_s = self._scheduler.rng.uniform(0, 2 * TIMEOUT_S)
        if takes_s <= TIMEOUT_S:
            self._scheduler.sleep(takes_s)
            return command()

        def run_later() -> None:
            self._scheduler.sleep(takes_s)
            told = len(self._refused)
            with suppress(ResponseError):
                command()
            del self._refused[told:]  # nobody hears of it

        self._scheduler.spawn(run_later, mortal=False)
        self._scheduler.sleep(TIMEOUT_S)
        raise RedisTimeoutError("slow")


def _applies(keys: Sequence[str]) -> bool:
    """Whether a script applies standings: the other one only says who is disqualified."""
    return keys[0].endswith(":ranges")


def _is_of_build(keys: Sequence[str]) -> bool:
    return len(keys) > 1 + _applies(keys)


def _scores_id(key: str) -> str:
    return key.removeprefix("lb:{").partition("}:")[0]


class Replica:
    """A copy of all keys as they were at a moment."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._kept = self._copy()

    def _copy(self) -> dict[bytes, tuple[bytes, int]]:
        """By the name of each key what it holds, and for how many milliseconds; 0 for ever."""
        names: Any = self._world.redis.keys("*")
        pipe = self._world.redis.pipeline(transaction=False)
        for name in names:
            pipe.dump(name)
            pipe.pttl(name)
        answers = pipe.execute()
        copied = zip(names, answers[::2], answers[1::2], strict=True)
        return {name: (dump, max(0, ttl_ms)) for name, dump, ttl_ms in copied if dump is not None}

    def take_over(self) -> None:
        """Every write since then is lost, and leaderboards that had some may be behind."""
        now, kept = ({name: dump for name, (dump, _) in of.items()} for of in (self._copy(), self._kept))
        lost = {name for name in now.keys() | kept if now.get(name) != kept.get(name)}
        self._world.lost_outside_builds |= {_scores_id(name.decode()) for name in lost if name.startswith(b"lb:{")}
        pipe = self._world.redis.pipeline(transaction=True)
        pipe.flushall()
        for name, (dump, ttl_ms) in self._kept.items():
            pipe.restore(name, ttl_ms, dump)
        pipe.execute()


class Shown:
    """Which versions of all-time standings the live windows were brought up to: they must never show older ones."""

    def __init__(self) -> None:
        self.versions: dict[tuple[str, str], int] = {}

    def note(self, prefix: str, payload: bytes) -> None:
        """Take in a call of the product's script that was run, or refused: then its leaderboard may not be live without
        what was refused, once whoever called it has gone on.
        """
        board = prefix.removeprefix("lb:{").partition("}:")[0]
        groups, *more = msgspec.msgpack.decode(payload)[5:]
        stride = 5 if more and more[0] else 4
        for day, updates, _ in groups:
            if day == ALL_TIME_DAY:
                for user, version in zip(updates[::stride], updates[1::stride], strict=True):
                    place = (board, user)
                    self.versions[place] = max(version, self.versions.get(place, 0))
