"""Strongly consistent reads of several items: of a partition of the registry table, or by their keys."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

from shared.retries import Backoff
from shared.truth.failures import Unavailable, passing_as_unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BATCH_GET_KEYS_MAX: Final = 100
"""https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html"""
UNPROCESSED_ROUNDS_MAX: Final = 8
"""How often the keys that a BatchGetItem left over are asked for again."""


def items(
    client: "DynamoDBClient",
    table: str,
    partition: str,
    condition: str | None = None,
    *,
    limit: int | None = None,
    **values: str,
) -> Iterator[Mapping[str, Any]]:
    """The items of a partition, strongly consistent, in the order of their sort keys; page by page as they are taken.

    Args:
        client: of boto3.
        table: its name.
        partition: the partition key.
        condition: on the sort key `sk`, with names for values, e.g. `begins_with(sk, :sk)`; all items without one.
        limit: how many items to read at most; None for all. DynamoDB reads and charges a page of 1 MB otherwise,
            however few of its items are taken.
        values: what the names stand for.

    Raises:
        Unavailable: if DynamoDB throttles or is out of reach.
    """
    pages = client.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="pk = :pk" if condition is None else f"pk = :pk AND {condition}",
        ExpressionAttributeValues={f":{name}": {"S": value} for name, value in {"pk": partition, **values}.items()},
        ConsistentRead=True,
        PaginationConfig={"PageSize": limit},  # type: ignore[typeddict-item]  # None is left out
    )
    with passing_as_unavailable():
        yield from islice(chain.from_iterable(page["Items"] for page in pages), limit)


def batch_get(
    client: "DynamoDBClient", table: str, places: Iterable[tuple[str, str]], backoff: Backoff
) -> Iterator[Mapping[str, Any]]:
    """The items with some partition and sort keys, in no particular order; those that are not there are left out.

    Args:
        client: of boto3.
        table: its name.
        places: up to BATCH_GET_KEYS_MAX keys, none of them twice.
        backoff: waits before keys that were left over are asked for again.

    Raises:
        Unavailable: if DynamoDB throttles or is out of reach, or still leaves keys over.
    """
    wanted = [{"pk": {"S": pk}, "sk": {"S": sk}} for pk, sk in places]
    request: Any = {table: {"Keys": wanted, "ConsistentRead": True}}
    for attempt in range(UNPROCESSED_ROUNDS_MAX):
        with passing_as_unavailable():
            answer = client.batch_get_item(RequestItems=request)
        yield from answer["Responses"].get(table, ())
        request = answer["UnprocessedKeys"]
        if not request:
            return
        backoff.wait(attempt)
    raise Unavailable("BatchGetItem left keys unprocessed")
