"""Writes of single items on a condition whose failure is an answer, not an error. All their values are integers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shared.truth.failures import ConditionFailed, passing_as_unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def update_if(
    client: "DynamoDBClient",
    table: str,
    key: Mapping[str, Any],
    change: str,
    condition: str,
    *,
    values: Mapping[str, int],
) -> Mapping[str, Any] | None:
    """Update an item if a condition holds; None, or the item for which it does not.

    Raises:
        Unavailable: if DynamoDB throttles or is out of reach; it may have been updated.
    """
    try:
        with passing_as_unavailable():
            client.update_item(
                TableName=table,
                Key=key,
                UpdateExpression=change,
                ConditionExpression=condition,
                ExpressionAttributeValues=_encoded(values),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
    except ConditionFailed as failed:
        return failed.item
    return None


def delete_if(
    client: "DynamoDBClient", table: str, key: Mapping[str, Any], condition: str, *, values: Mapping[str, int]
) -> None:
    """Delete an item if a condition holds, and leave it otherwise.

    Raises:
        Unavailable: if DynamoDB throttles or is out of reach; it may have been deleted.
    """
    try:
        with passing_as_unavailable():
            client.delete_item(
                TableName=table,
                Key=key,
                ConditionExpression=condition,
                ExpressionAttributeValues=_encoded(values),
            )
    except ConditionFailed:
        return


def _encoded(values: Mapping[str, int]) -> dict[str, Any]:
    return {name: {"N": str(value)} for name, value in values.items()}
