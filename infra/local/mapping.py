"""Lambda's Kafka event source mapping: batches, partial responses, retries, bisecting, offsets. No broker in here.

https://docs.aws.amazon.com/lambda/latest/dg/kafka-retry-configurations.html
"""

import base64
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

PAYLOAD_BYTES_MAX: Final = 6 * 1024 * 1024
"""https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
BACKOFF_BASE_MS: Final = 100
BACKOFF_CAP_MS: Final = 30_000
FOREVER: Final = -1

Partition = tuple[str, int]


class Message(Struct, frozen=True):
    """A record as the consumer got it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    timestamp_type: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()

    @property
    def bytes(self) -> int:
        """About what it takes of an invocation's payload: base64 and the fields around it."""
        return (len(self.key or b"") + len(self.value or b"")) * 4 // 3 + 300


class Policy(Struct, frozen=True):
    """Settings of the mapping, by AWS's names."""

    batch_size: int = 500
    maximum_retry_attempts: int = FOREVER
    maximum_record_age_s: int = FOREVER
    bisect_batch_on_function_error: bool = True


class _Chunk:
    """Records of one partition that are invoked together."""

    __slots__ = ("failures", "messages", "not_before_ms", "retries")

    def __init__(self, messages: list[Message], failures: int = 0, retries: int = 0, not_before_ms: int = 0) -> None:
        self.messages = messages
        self.failures = failures
        """How often it failed in a row, in whatever company: what the wait grows by."""
        self.retries = retries
        """What of that counts against MaximumRetryAttempts: splitting a batch does not."""
        self.not_before_ms = not_before_ms

    def rest(self, first: int) -> "_Chunk":
        """Cut off the records from an index on, as a chunk of their own with the same past."""
        rest = _Chunk(self.messages[first:], self.failures, self.retries, self.not_before_ms)
        del self.messages[first:]
        return rest


class EventSourceMapping:
    """Hands records to a function, each partition in order, and says which offsets are done.

    A failing partition waits for its next try while the others continue.
    """

    def __init__(
        self,
        policy: Policy,
        invoke: Callable[[dict[str, Any]], Any],
        on_failure: Callable[[Sequence[Message], str], None],
        uniform: Callable[[float, float], float],
        bootstrap_servers: str = "",
    ) -> None:
        """`on_failure` takes the records that are given up, before their offsets are committed; it may raise, then
        they are not given up yet."""
        self._policy = policy
        self._invoke = invoke
        self._on_failure = on_failure
        self._uniform = uniform
        self._bootstrap_servers = bootstrap_servers
        self._chunks: dict[Partition, deque[_Chunk]] = {}

    def add(self, messages: Iterable[Message]) -> None:
        """Take records that were just fetched, those of a partition in the order of their offsets."""
        for message in messages:
            chunks = self._chunks.setdefault((message.topic, message.partition), deque())
            last = chunks[-1] if chunks else None
            if last is None or last.failures or len(last.messages) >= self._policy.batch_size:
                chunks.append(_Chunk([message]))
            else:
                last.messages.append(message)

    def revoke(self, partition: Partition) -> None:
        """Forget a partition that another consumer has now; its records are that one's."""
        self._chunks.pop(partition, None)

    def backlog(self) -> set[Partition]:
        """Partitions that wait for a retry, or have more than a batch: not to be fetched from for now."""
        return {partition for partition, chunks in self._chunks.items() if chunks}

    def run(self, now_ms: int) -> dict[Partition, int]:
        """Invoke what is due: the first chunks of all partitions together, retries each on their own.

        Returns:
            For each partition that got further, the offset to commit.
        """
        done: dict[Partition, int] = {}
        together: dict[Partition, _Chunk] = {}
        alone: list[tuple[Partition, _Chunk]] = []
        records = size = 0
        for partition, chunks in self._chunks.items():
            if not chunks or chunks[0].not_before_ms > now_ms:
                continue
            chunk = chunks[0]
            self._split_to_fit(chunks)
            records_with = records + len(chunk.messages)
            size_with = size + sum(message.bytes for message in chunk.messages)
            fits = records_with <= self._policy.batch_size and size_with <= PAYLOAD_BYTES_MAX
            if chunk.failures == 0 and (fits or not together):
                together[partition] = chunk
                records, size = records_with, size_with
            else:
                alone.append((partition, chunk))
        if together:
            done |= self._try(together, now_ms)
        for partition, chunk in alone:
            done |= self._try({partition: chunk}, now_ms)
        return done

    def _split_to_fit(self, chunks: "deque[_Chunk]") -> None:
        """Keep the first chunk within one payload."""
        chunk, size = chunks[0], 0
        for index, message in enumerate(chunk.messages):
            size += message.bytes
            if size > PAYLOAD_BYTES_MAX and index:
                chunks.insert(1, chunk.rest(index))
                return

    def _try(self, batch: Mapping[Partition, _Chunk], now_ms: int) -> dict[Partition, int]:
        done: dict[Partition, int] = {}
        fresh: dict[Partition, _Chunk] = {}
        for partition, chunk in batch.items():
            expired = self._expired(chunk, now_ms)
            if not expired:
                fresh[partition] = chunk
                continue
            if expired < len(chunk.messages):
                self._chunks[partition].insert(1, chunk.rest(expired))
            done |= self._give_up(partition, chunk, "RecordAgeExceeded", now_ms)
        if not fresh:
            return done
        try:
            failures = _failures(self._invoke(self._event(fresh)), fresh)
        except Exception as error:  # noqa: BLE001 - whatever a function raises fails its batch
            return done | self._function_error(fresh, f"{type(error).__name__}: {error}", now_ms)
        for partition, chunk in fresh.items():
            failed = failures.get(partition)
            if failed is None:
                done[partition] = self._drop(partition)
                continue
            rest = [message for message in chunk.messages if message.offset >= failed]
            if len(rest) < len(chunk.messages):
                done[partition] = failed
                chunk.failures = chunk.retries = 0  # it made progress: the rest counts from 0 again
            chunk.messages = rest
            done |= self._retry(partition, chunk, "the function reported the record as failed", now_ms)
        return done

    def _function_error(self, batch: Mapping[Partition, _Chunk], reason: str, now_ms: int) -> dict[Partition, int]:
        done: dict[Partition, int] = {}
        for partition, chunk in batch.items():
            if not self._policy.bisect_batch_on_function_error or (len(batch) == 1 and len(chunk.messages) == 1):
                done |= self._retry(partition, chunk, reason, now_ms)
                continue
            if len(batch) == 1:
                self._chunks[partition].insert(1, half := chunk.rest(len(chunk.messages) // 2))
                half.failures += 1
            chunk.failures += 1
            self._wait(chunk, now_ms)
        return done

    def _retry(self, partition: Partition, chunk: _Chunk, reason: str, now_ms: int) -> dict[Partition, int]:
        chunk.failures += 1
        chunk.retries += 1
        limit = self._policy.maximum_retry_attempts
        if limit != FOREVER and chunk.retries > limit:
            return self._give_up(partition, chunk, f"RetryAttemptsExhausted: {reason}", now_ms)
        self._wait(chunk, now_ms)
        return {}

    def _wait(self, chunk: _Chunk, now_ms: int) -> None:
        ceiling = min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** min(chunk.failures, 16))
        chunk.not_before_ms = now_ms + int(self._uniform(ceiling / 2, ceiling))

    def _give_up(self, partition: Partition, chunk: _Chunk, reason: str, now_ms: int) -> dict[Partition, int]:
        try:
            self._on_failure(chunk.messages, reason)
        except Exception:  # noqa: BLE001 - the destination is out of reach: nothing may be dropped
            self._wait(chunk, now_ms)
            return {}
        return {partition: self._drop(partition)}

    def _drop(self, partition: Partition) -> int:
        """The first chunk of a partition is done; the offset to commit."""
        return self._chunks[partition].popleft().messages[-1].offset + 1

    def _expired(self, chunk: _Chunk, now_ms: int) -> int:
        """How many records at the start of a chunk are past their age."""
        age_s = self._policy.maximum_record_age_s
        if age_s == FOREVER:
            return 0
        oldest_ms = now_ms - age_s * 1000
        fresh = (index for index, message in enumerate(chunk.messages) if message.timestamp_ms >= oldest_ms)
        return next(fresh, len(chunk.messages))

    def _event(self, batch: Mapping[Partition, _Chunk]) -> dict[str, Any]:
        return {
            "eventSource": "SelfManagedKafka",
            "bootstrapServers": self._bootstrap_servers,
            "records": {
                f"{topic}-{number}": [record(message) for message in chunk.messages]
                for (topic, number), chunk in batch.items()
            },
        }


def record(message: Message) -> dict[str, Any]:
    """A record as Lambda hands it to a function; a tombstone has no value."""
    fields: dict[str, Any] = {
        "topic": message.topic,
        "partition": message.partition,
        "offset": message.offset,
        "timestamp": message.timestamp_ms,
        "timestampType": message.timestamp_type,
        "headers": [{name: list(value)} for name, value in message.headers],
    }
    if message.key is not None:
        fields["key"] = base64.b64encode(message.key).decode()
    if message.value is not None:
        fields["value"] = base64.b64encode(message.value).decode()
    return fields


def _failures(response: Any, batch: Mapping[Partition, _Chunk]) -> dict[Partition, int]:
    """Lowest failed offset of each partition.

    Raises:
        ValueError: if the response is none of a partial batch response; the whole batch has failed then.
    """
    failed: dict[Partition, int] = {}
    if response is None:
        return failed
    known = {f"{topic}-{number}": (topic, number) for topic, number in batch}
    for item in (response.get("batchItemFailures") if isinstance(response, dict) else _invalid(response)) or ():
        try:
            place, offset = item["itemIdentifier"]["partition"], int(item["itemIdentifier"]["offset"])
            partition = known[place]
        except (KeyError, TypeError, ValueError):
            _invalid(item)
        if not any(message.offset == offset for message in batch[partition].messages):
            _invalid(item)
        failed[partition] = min(offset, failed.get(partition, offset))
    return failed


def _invalid(response: Any) -> Any:
    raise ValueError(f"not a partial batch response: {str(response)[:200]}")
