"""What Redis answers when it doesn't do what it was asked: nothing at all, or that it won't."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from redis.exceptions import (
    ClusterError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

_OF_ALL: Final = (ReadOnlyError, ClusterError, TryAgainError, NoPermissionError)
"""Answers of a Redis that fails over, or to a client that may do nothing: of no leaderboard's making."""


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
    except OutOfMemoryError as error:
        raise CacheFull(str(error)) from error
    except _OF_ALL as error:
        raise CacheUnavailable(str(error)) from error
    except ResponseError as error:
        raise CacheRefused(str(error)) from error
    except RedisError as error:
        raise CacheUnavailable(str(error)) from error
