"""The three tables, for where CloudFormation doesn't make them: the local stack and tests."""

from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

EXPIRY: Final = "expires_at"
"""Attribute of the registry by which DynamoDB lets items go, in seconds since 1970; those without it stay."""


class Tables(Struct, frozen=True):
    """Table names. All three have the string keys `pk` and `sk`."""

    ledger: str = "leaderboard-ledger"
    standings: str = "leaderboard-standings"
    registry: str = "leaderboard-registry"


def create_tables(client: "DynamoDBClient", tables: Tables | None = None) -> None:
    """Create what is missing, on demand capacity, and wait until it can be used; items of the registry may expire."""
    wanted = tables or Tables()
    for name in (wanted.ledger, wanted.standings, wanted.registry):
        try:
            client.create_table(
                TableName=name,
                BillingMode="PAY_PER_REQUEST",
                KeySchema=[
                    {"AttributeName": "pk", "KeyType": "HASH"},
                    {"AttributeName": "sk", "KeyType": "RANGE"},
                ],
                AttributeDefinitions=[
                    {"AttributeName": "pk", "AttributeType": "S"},
                    {"AttributeName": "sk", "AttributeType": "S"},
                ],
            )
        except client.exceptions.ResourceInUseException:
            continue
        client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    if (
        client.describe_time_to_live(TableName=wanted.registry)["TimeToLiveDescription"]["TimeToLiveStatus"]
        == "DISABLED"
    ):
        expiry = {"Enabled": True, "AttributeName": EXPIRY}
        client.update_time_to_live(TableName=wanted.registry, TimeToLiveSpecification=expiry)  # type: ignore[arg-type]
