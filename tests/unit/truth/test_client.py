"""The client that encodes items directly says and hears what botocore's own serialiser and parser would."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock
from zlib import crc32

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.httpsession import URLLib3Session

from shared.truth.client import skip_model

ITEM = {"pk": {"S": "cup#ü"}, "sk": {"S": 'e"1'}, "points": {"N": "9007199254740991"}, "attributes": {"M": {}}}
PUT = {"Put": {"TableName": "ledger", "Item": ITEM, "ConditionExpression": "attribute_not_exists(pk)"}}
KEYS = {"standings": {"Keys": [{"pk": {"S": "cup"}, "sk": {"S": "ü"}}], "ConsistentRead": True}}
FOUND = {"Responses": {"standings": [ITEM]}, "UnprocessedKeys": KEYS}
REASONS = [{"Code": "None"}, {"Code": "ConditionalCheckFailed", "Item": ITEM, "Message": "no"}]
CANCELLED = {"__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException", "CancellationReasons": REASONS}

DAMAGED = b'{"Items": [], "Responses": {}, "UnprocessedKeys": {}}'
"""What came is no longer what its CRC-32 was taken of."""

Answer = tuple[int, Any] | Exception


def body_of(request: AWSPreparedRequest) -> bytes:
    assert isinstance(request.body, bytes)
    return request.body


class Wire:
    """What was sent, and what is answered."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[AWSPreparedRequest] = []

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(body_of(request)) for request in self.requests]

    def send(self, request: AWSPreparedRequest) -> AWSResponse:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, content = answer
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        headers: Any = {"x-amz-crc32": str(crc32(body)), "x-amzn-RequestId": "request-1"}
        response = AWSResponse(request.url, status, headers, mock.Mock(stream=lambda: iter([body])))
        if content == DAMAGED:
            response.headers["x-amz-crc32"] = "1"
        return response


@contextmanager
def wire(*answers: Answer) -> Iterator[Wire]:
    one = Wire(*answers)
    with mock.patch.object(URLLib3Session, "send", one.send), mock.patch("time.sleep"):
        yield one


def client(wrap: Callable[[Any], Any]) -> Any:
    return wrap(
        boto3.client(
            "dynamodb",
            region_name="eu-central-1",
            aws_access_key_id="id",
            aws_secret_access_key="secret",
            config=Config(parameter_validation=False, retries={"mode": "standard", "total_max_attempts": 3}),
        )
    )


def plain(one: Any) -> Any:
    return one


REQUESTS: dict[str, Any] = {
    "transact_write_items": {
        "TransactItems": [PUT, PUT],
        "ClientRequestToken": "token",
        "ReturnConsumedCapacity": "NONE",
    },
    "batch_get_item": {"RequestItems": KEYS, "ReturnConsumedCapacity": "TOTAL"},
    "update_item": {
        "TableName": "registry",
        "Key": {"pk": {"S": "cup"}, "sk": {"S": "ü"}},
        "UpdateExpression": "SET next_offset = :next ADD applied :applied",
        "ConditionExpression": "attribute_not_exists(pk)",
        "ExpressionAttributeValues": {":next": {"N": "4"}, ":applied": {"N": "2"}},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    },
    "query": {"TableName": "standings", "ExpressionAttributeValues": {":pk": {"S": "cup"}}, "ConsistentRead": True},
}
ANSWERS: dict[str, Any] = {
    "transact_write_items": {},
    "batch_get_item": FOUND,
    "update_item": {},
    "query": {"Items": [ITEM, ITEM], "Count": 2, "LastEvaluatedKey": {"pk": {"S": "cup"}}},
}


@pytest.mark.parametrize("operation", REQUESTS)
def test_a_request_has_the_body_signature_and_endpoint_that_botocore_gives_it(operation: str) -> None:
    sent = []
    for wrap in (plain, skip_model):
        with wire((200, ANSWERS[operation])) as one:
            getattr(client(wrap), operation)(**REQUESTS[operation])
        sent.append(one)

    assert sent[0].bodies == sent[1].bodies
    assert sent[0].requests[0].url == sent[1].requests[0].url
    assert sent[0].requests[0].headers["X-Amz-Target"] == sent[1].requests[0].headers["X-Amz-Target"]
    assert int(sent[1].requests[0].headers["Content-Length"]) == len(body_of(sent[1].requests[0]))
    assert b"Signature=" in sent[1].requests[0].headers["Authorization"]


@pytest.mark.parametrize("operation", REQUESTS)
def test_an_answer_is_heard_as_botocore_hears_it(operation: str) -> None:
    heard = []
    for wrap in (plain, skip_model):
        with wire((200, ANSWERS[operation])):
            heard.append(getattr(client(wrap), operation)(**REQUESTS[operation]))

    assert heard[0] == heard[1]


def test_the_parameters_of_the_caller_stay_as_they_are() -> None:
    params = {"TransactItems": [PUT]}
    with wire((200, {})):
        client(skip_model).transact_write_items(**params)

    assert params == {"TransactItems": [PUT]}


def test_a_transaction_sent_again_carries_the_token_of_the_first_try() -> None:
    with wire(ReadTimeoutError(endpoint_url="x"), (500, {"__type": "InternalServerError"}), (200, {})) as one:
        client(skip_model).transact_write_items(TransactItems=[PUT])

    tokens = {body["ClientRequestToken"] for body in one.bodies}
    assert len(one.bodies) == 3
    assert len(tokens) == 1
    assert all(body["TransactItems"] == [PUT] for body in one.bodies)


def test_two_transactions_carry_different_tokens() -> None:
    with wire((200, {}), (200, {})) as one:
        dynamodb = client(skip_model)
        dynamodb.transact_write_items(TransactItems=[PUT])
        dynamodb.transact_write_items(TransactItems=[PUT])

    assert len({body["ClientRequestToken"] for body in one.bodies}) == 2


def test_a_cancelled_transaction_names_its_reasons_with_the_old_items() -> None:
    dynamodb = client(skip_model)
    with wire((400, CANCELLED)), pytest.raises(dynamodb.exceptions.TransactionCanceledException) as raised:
        dynamodb.transact_write_items(TransactItems=[PUT, PUT])

    assert raised.value.response["CancellationReasons"] == REASONS


@pytest.mark.parametrize("operation", ["batch_get_item", "query"])
def test_a_refusal_is_raised_not_taken_for_an_answer(operation: str) -> None:
    refusal = {"__type": "com.amazon.coral.validate#ValidationException", "message": "no"}
    with wire((400, refusal)), pytest.raises(ClientError, match="ValidationException"):
        getattr(client(skip_model), operation)(**REQUESTS[operation])


@pytest.mark.parametrize("operation", ["batch_get_item", "query"])
def test_an_answer_that_was_damaged_on_its_way_is_asked_for_again(operation: str) -> None:
    with wire((200, DAMAGED), (200, ANSWERS[operation])) as one:
        answer = getattr(client(skip_model), operation)(**REQUESTS[operation])

    assert len(one.requests) == 2
    assert answer.get("Items", answer.get("Responses"))
