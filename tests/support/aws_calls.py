"""What code asks of AWS: each request as the rights that IAM wants for it, and the place in `shared/` that sent it."""

import ast
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import pytest
from botocore import xform_name
from botocore.client import BaseClient
from botocore.session import get_session

from tests.support.template import ROOT, Right

SHARED = ROOT / "shared"
NO_CALLS = {"truth/tables.py", "messaging/topic.py"}
"""Tables are made so where CloudFormation does not make them; topics are Kafka's."""
CONDITIONS = {"ConditionCheck": "ConditionCheckItem", "Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem"}
"""https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html"""
ACTIONS = {
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:UploadPart": "s3:PutObject",
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListMultipartUploads": "s3:ListBucketMultipartUploads",
}
"""Where the action is not called as the operation is. S3's: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html"""
SERVICES = ("dynamodb", "s3", "sns", "sqs")
METHODS = {"get_paginator", "generate_presigned_url"} | {
    xform_name(operation)
    for service in SERVICES
    for operation in get_session().get_service_model(service).operation_names
}
"""All that a client of theirs can be asked."""


class Place(NamedTuple):
    """A function or method of `shared/`, e.g. `truth/finals.py` `FinalResults._transact`."""

    file: str
    name: str


class Calls:
    """What each function has asked of AWS."""

    def __init__(self, resources: Mapping[str, str]) -> None:
        """`resources` are the template's names of tables, queues, buckets and topics, by what their settings say."""
        self._resources = resources
        self._function: str | None = None
        self.rights: dict[str, set[Right]] = {}
        self.places: set[Place] = set()

    @contextmanager
    def of(self, function: str) -> Iterator[None]:
        """Whatever is asked meanwhile, in any thread, is asked by this function."""
        self._function = function
        try:
            yield
        finally:
            self._function = None

    def note(self, service: str, operation: str, params: Mapping[str, Any], frame: FrameType) -> None:
        if self._function is None:
            return
        self.rights.setdefault(self._function, set()).update(self._needed(service, operation, params))
        self.places.update(_places(frame))

    def _needed(self, service: str, operation: str, params: Mapping[str, Any]) -> Iterator[Right]:
        match service, operation:
            case "dynamodb", "TransactWriteItems":
                for action in params["TransactItems"]:
                    ((kind, item),) = action.items()
                    yield Right(f"dynamodb:{CONDITIONS[kind]}", self._resources[item["TableName"]])
            case "dynamodb", "BatchGetItem" | "BatchWriteItem":
                for table in params["RequestItems"]:
                    yield Right(f"dynamodb:{operation}", self._resources[table])
            case _:
                name = f"{service}:{operation}"
                yield Right(ACTIONS.get(name, name), self._resource(params))

    def _resource(self, params: Mapping[str, Any]) -> str:
        for field in ("TableName", "QueueUrl", "TopicArn"):
            if field in params:
                return self._resources[params[field]]
        bucket = self._resources[params["Bucket"]]
        return f"{bucket}/{params['Key']}" if "Key" in params else bucket


@contextmanager
def recorded(calls: Calls) -> Iterator[None]:
    """Every client of botocore is watched: those of boto3, of PynamoDB, and presigning, which sends nothing."""
    original = BaseClient._emit_api_params  # type: ignore[attr-defined]

    def emit(self: Any, api_params: Any, operation_model: Any, context: Any) -> Any:
        service = self.meta.service_model.service_name
        calls.note(service, operation_model.name, api_params, sys._getframe(1))
        return original(self, api_params=api_params, operation_model=operation_model, context=context)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_emit_api_params", emit)
        yield


def _places(frame: FrameType | None) -> Iterator[Place]:
    while frame is not None:
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(SHARED):
            yield Place(str(file.relative_to(SHARED)), frame.f_code.co_qualname.partition(".<locals>")[0])
        frame = frame.f_back


def written() -> set[Place]:
    """Every place of `shared/` that calls a method of a boto3 client, and every method of the registry, which is
    PynamoDB's."""
    found = set()
    for path in SHARED.rglob("*.py"):
        name = str(path.relative_to(SHARED))
        if name not in NO_CALLS:
            found |= {Place(name, function) for function in _callers(ast.parse(path.read_text()))}
    registry = ast.parse((SHARED / "truth" / "registry.py").read_text())
    (kept,) = [one for one in registry.body if isinstance(one, ast.ClassDef) and one.name == "Registry"]
    methods = [one.name for one in kept.body if isinstance(one, ast.FunctionDef) and one.decorator_list]
    return found | {Place("truth/registry.py", f"Registry.{method}") for method in methods}


def _callers(module: ast.Module) -> Iterator[str]:
    for top in module.body:
        inside = top.body if isinstance(top, ast.ClassDef) else [top]
        for function in inside:
            if isinstance(function, ast.FunctionDef) and any(map(_calls_aws, ast.walk(function))):
                yield f"{top.name}.{function.name}" if isinstance(top, ast.ClassDef) else function.name


def _calls_aws(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS
