"""A real Redis behind faults: out of reach before or after a command, flushed, or failed over with lost writes."""

from collections.abc import Callable
from typing import Any

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.simulation.course import Fault
from tests.simulation.scheduler import Scheduler


class Cache:
    """The part of redis-py's client that the product uses."""

    def __init__(self, scheduler: Scheduler, redis: Redis) -> None:
        self._scheduler = scheduler
        self._redis = redis

    def register_script(self, text: bytes) -> Callable[..., Any]:
        script = self._redis.register_script(text)
        applies = b"cmsgpack" in text

        def call(keys: Any, args: Any, client: Any = None) -> Any:
            if client is not None:
                return script(keys=keys, args=args, client=client)
            lost = applies and self._scheduler.fails(Fault.CACHE_LOSES)
            return self._command(lambda: [0, None] if lost else script(keys=keys, args=args))

        return call

    def pipeline(self, transaction: bool) -> Any:
        pipe = self._redis.pipeline(transaction=transaction)
        execute = pipe.execute
        pipe.execute = lambda: self._command(execute)  # type: ignore[method-assign]
        return pipe

    def set(self, *args: Any, **kwargs: Any) -> Any:
        return self._command(lambda: self._redis.set(*args, **kwargs))

    def unlink(self, *keys: str) -> Any:
        return self._command(lambda: self._redis.unlink(*keys))

    def hgetall(self, key: str) -> Any:
        return self._command(lambda: self._redis.hgetall(key))

    def get(self, key: str) -> Any:
        return self._command(lambda: self._redis.get(key))

    def _command(self, command: Callable[[], Any]) -> Any:
        self._scheduler.pause()
        if self._scheduler.fails(Fault.CACHE_AWAY):
            raise RedisConnectionError("away")
        answer = command()
        self._scheduler.pause()
        if self._scheduler.fails(Fault.CACHE_AWAY):
            raise RedisConnectionError("away")
        return answer
