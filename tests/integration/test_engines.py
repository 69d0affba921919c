"""What the product relies on of DynamoDB, on every engine that stands in for it here: races, transactions, kills."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.local import packages
from infra.local.dynamodb import Engine, dynamodb_server
from infra.local.servers import PACKAGES, Server, free_port

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

WRITERS = 8
KILLS = int(os.environ.get("ENGINE_KILLS", "3"))
BEFORE_A_KILL = 40
"""Transactions that are answered before each kill."""
TABLE = "accounts"


def _client(port: int) -> "DynamoDBClient":
    return boto3.client(
        "dynamodb",
        region_name="eu-central-1",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=60, max_pool_connections=WRITERS),
    )


def _create_table(client: "DynamoDBClient") -> None:
    client.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


@pytest.fixture(scope="module", params=Engine)
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where an engine listens."""
    packages.prepare(PACKAGES)
    engine: Engine = request.param
    port = free_port()
    if not (PACKAGES / engine / "version.txt").exists():
        pytest.skip(f"{engine} can't be had on this machine")
    with dynamodb_server(tmp_path_factory.mktemp(engine), port, engine=engine):
        _create_table(_client(port))
        yield port


def _in_parallel(calls: int, call: Any) -> list[Any]:
    with ThreadPoolExecutor(WRITERS) as threads:
        return list(threads.map(call, range(calls)))


def test_of_racing_conditional_writes_one_wins(port: int) -> None:
    client = _client(port)

    def put(number: int) -> bool:
        item = {"id": {"S": f"race-{number // WRITERS}"}, "by": {"N": str(number)}}
        try:
            client.put_item(TableName=TABLE, Item=item, ConditionExpression="attribute_not_exists(id)")
        except client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    won = _in_parallel(20 * WRITERS, put)

    assert [sum(won[start : start + WRITERS]) for start in range(0, len(won), WRITERS)] == [1] * 20


def test_no_concurrent_addition_is_lost(port: int) -> None:
    client = _client(port)

    def add(_: int) -> None:
        client.update_item(
            TableName=TABLE,
            Key={"id": {"S": "sum"}},
            UpdateExpression="ADD points :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )

    _in_parallel(200, add)

    assert client.get_item(TableName=TABLE, Key={"id": {"S": "sum"}}, ConsistentRead=True)["Item"]["points"] == {
        "N": "200"
    }


def _add(name: str, points: int, condition: str = "attribute_exists(id)") -> Any:
    update = {
        "TableName": TABLE,
        "Key": {"id": {"S": name}},
        "UpdateExpression": "ADD points :points",
        "ConditionExpression": condition,
        "ExpressionAttributeValues": {":points": {"N": str(points)}},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    return {"Update": update}


def test_concurrent_transfers_keep_the_sum_and_a_cancelled_one_tells_the_old_item(port: int) -> None:
    client = _client(port)
    for name in ("from", "to"):
        client.put_item(TableName=TABLE, Item={"id": {"S": name}, "points": {"N": "100"}})

    _in_parallel(80, lambda number: client.transact_write_items(TransactItems=[_add("from", -1), _add("to", 1)]))

    def points(name: str) -> int:
        return int(
            client.get_item(TableName=TABLE, Key={"id": {"S": name}}, ConsistentRead=True)["Item"]["points"]["N"]
        )

    assert (points("from"), points("to")) == (20, 180)
    with pytest.raises(client.exceptions.TransactionCanceledException) as refused:
        client.transact_write_items(TransactItems=[_add("from", -1), _add("to", 1, "attribute_not_exists(id)")])
    reasons = refused.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["None", "ConditionalCheckFailed"]
    assert reasons[1]["Item"] == {"id": {"S": "to"}, "points": {"N": "180"}}
    assert points("from") == 20


def test_a_token_makes_a_repeated_transaction_one_and_is_refused_for_another(port: int) -> None:
    client = _client(port)
    client.put_item(TableName=TABLE, Item={"id": {"S": "token"}, "points": {"N": "0"}})

    for _ in range(2):
        client.transact_write_items(TransactItems=[_add("token", 1)], ClientRequestToken="one")

    assert client.get_item(TableName=TABLE, Key={"id": {"S": "token"}})["Item"]["points"] == {"N": "1"}
    with pytest.raises(client.exceptions.IdempotentParameterMismatchException):
        client.transact_write_items(TransactItems=[_add("token", 2)], ClientRequestToken="one")


class Writers:
    """Transactions of two items each from several threads, and which of them were answered."""

    def __init__(self, port: int) -> None:
        self._client = _client(port)
        self.answered: set[str] = set()
        self.enough = threading.Event()
        self._over = threading.Event()

    def write(self, names: Iterator[str]) -> None:
        while not self._over.is_set():
            name = next(names)
            pair = [{"Put": {"TableName": TABLE, "Item": {"id": {"S": name + half}}}} for half in ("-a", "-b")]
            try:
                self._client.transact_write_items(TransactItems=pair)  # type: ignore[arg-type]
            except (BotoCoreError, ClientError):
                return
            self.answered.add(name)
            if len(self.answered) >= BEFORE_A_KILL:
                self.enough.set()

    def until_killed(self, server: Server, life: int) -> None:
        """Write until the server is killed, in the middle of writes."""
        threads = [
            threading.Thread(target=self.write, args=((f"{life}-{writer}-{n}" for n in range(10**6)),))
            for writer in range(WRITERS)
        ]
        for thread in threads:
            thread.start()
        assert self.enough.wait(120)
        server.kill()
        self._over.set()
        for thread in threads:
            thread.join()


def _names(client: "DynamoDBClient") -> set[str]:
    pages = client.get_paginator("scan").paginate(TableName=TABLE, ConsistentRead=True)
    return {item["id"]["S"] for page in pages for item in page["Items"]}


def test_dynoxide_loses_no_answered_transaction_when_killed_and_keeps_none_by_half(tmp_path: Path) -> None:
    """DynamoDB Local does lose its last answers: tests/chaos/line.py."""
    packages.prepare(PACKAGES)
    if not (PACKAGES / Engine.DYNOXIDE / "version.txt").exists():
        pytest.skip("dynoxide can't be had on this machine")
    port = free_port()
    server = dynamodb_server(tmp_path, port, engine=Engine.DYNOXIDE)
    server.start()
    try:
        _create_table(_client(port))
        answered: set[str] = set()
        for life in range(KILLS):
            writers = Writers(port)
            writers.until_killed(server, life)
            answered |= writers.answered
            server.start()
            names = _names(_client(port))
            assert {name for name in answered if not {f"{name}-a", f"{name}-b"} <= names} == set()
            halves = {name.rpartition("-")[0] for name in names}
            assert names == {f"{name}-{half}" for name in halves for half in "ab"}
    finally:
        with suppress(ProcessLookupError):
            server.stop()
