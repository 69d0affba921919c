"""A boto3 client whose large requests and answers skip botocore's general serialiser and parser.

botocore walks the service's model for every attribute of every item, and looks all table names of a transaction up to
choose an endpoint. Requests and answers of DynamoDB are their JSON as it stands, so msgspec does the same at once. It
is hooked into botocore's own events; endpoints, signing, timeouts, retries and errors stay botocore's. docs/adr/0009.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_REQUESTS: Final = ("BatchGetItem", "TransactWriteItems", "UpdateItem")
_ANSWERS: Final = ("BatchGetItem", "Query")
_ITEMS: Final = "items_of_request"


def skip_model(client: "DynamoDBClient") -> "DynamoDBClient":
    """Make the client encode and decode items directly.

    It has to be made with `parameter_validation=False`: items are not validated, and have to be as DynamoDB takes them.

    Tables have to be given by name: only ARNs have a part in choosing the endpoint. Binary attributes are not turned
    into bytes; the service has none.
    """
    events: Any = client.meta.events
    for operation in _REQUESTS:
        events.register(f"provide-client-params.dynamodb.{operation}", _keep_back)
        events.register(f"before-call.dynamodb.{operation}", _put_back)
    for operation in _ANSWERS:
        events.register(f"before-parse.dynamodb.{operation}", _decode)
    return client


def _keep_back(params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> dict[str, Any]:
    """What is left for the model: small fields, and the token that makes a transaction sent twice count once."""
    context[_ITEMS] = {name: value for name, value in params.items() if isinstance(value, dict | list)}
    return {name: type(value)() if name in context[_ITEMS] else value for name, value in params.items()}


def _put_back(params: dict[str, Any], context: Mapping[str, Any], **_: Any) -> None:
    params["body"] = msgspec.json.encode(msgspec.json.decode(params["body"]) | context[_ITEMS])


def _decode(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Decode a good answer; errors are left to botocore, and so is what is no JSON."""
    if response_dict["status_code"] != HTTPStatus.OK:
        return
    try:
        answer = msgspec.json.decode(response_dict["body"], type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    customized_response_dict.update(answer)
    response_dict["body"] = b"{}"
