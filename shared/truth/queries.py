"""Items of a partition of the registry table."""

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from shared.truth.failures import passing_as_unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


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
