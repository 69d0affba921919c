"""What Redis answers when it doesn't do what it was asked: nothing at all, or that it won't."""

from collections.abc import Iterator
from contextlib import contextmanager


class CacheUnavailable(Exception):
    """Redis did not answer, or not to anybody. The truth is not touched by this."""


class CacheRefused(CacheUnavailable):
    """Redis answered a command with an error, as of a script: the fault of the leaderboard that it was about."""

    withdrawn: bool = False
    """Whether nothing of the leaderboard is marked as complete any more: no read takes what is left for live."""


class CacheFull(CacheRefused):
    """Redis has no memory for what was to be written. Reads and deletes go on."""


@contextmanager
def raising() -> Iterator[None]:
    """Turns errors of the client into ours."""
    try:
        yield
    except Exception as error:
        meaning = _meaning(error)
        if meaning is None:
            raise
        raise meaning(str(error)) from error


def _meaning(error: Exception) -> type[CacheUnavailable] | None:
    """What an error of the client means; None for any other error."""
    from redis import exceptions as redis  # noqa: PLC0415 - who only handles our errors does not load the client

    # of a server that fails over, or to a client that may do nothing: of no leaderboard's making
    of_all = redis.ReadOnlyError, redis.ClusterError, redis.TryAgainError, redis.NoPermissionError
    if isinstance(error, redis.OutOfMemoryError):
        return CacheFull
    if isinstance(error, redis.ResponseError) and not isinstance(error, of_all):
        return CacheRefused
    return CacheUnavailable if isinstance(error, redis.RedisError) else None
