"""Every Kafka consumer states what it does where an offset is gone: librdkafka's default goes on at the end."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDERS = ("shared", "functions", "infra", "tests", "docs")
FILES = [path for folder in FOLDERS for path in Path(folder).rglob("*.py")]
PROPERTY = "auto.offset.reset"


def consumers(tree: ast.AST) -> Iterator[ast.Call]:
    """The calls that make a consumer: confluent_kafka's class, or what stands in for it where it is made."""
    for node in ast.walk(tree):
        name = getattr(node, "func", None)
        called = getattr(name, "id", "") or getattr(name, "attr", "")
        given = isinstance(node, ast.Call) and any(isinstance(one, ast.Dict | ast.BinOp) for one in node.args)
        if isinstance(node, ast.Call) and called.endswith("onsumer") and given:
            yield node


def stated(call: ast.Call) -> bool:
    return any(isinstance(node, ast.Constant) and node.value == PROPERTY for node in ast.walk(call))


@pytest.mark.parametrize("path", [one for one in FILES if "confluent_kafka" in one.read_text()], ids=str)
def test_every_consumer_states_its_reset_policy(path: Path) -> None:
    unstated = [call.lineno for call in consumers(ast.parse(path.read_text())) if not stated(call)]

    assert unstated == []


def test_the_consumers_are_found() -> None:
    found = {str(path) for path in FILES if list(consumers(ast.parse(path.read_text())))}

    assert {
        "shared/messaging/topic.py",
        "infra/local/trigger.py",
        "tests/support/stack.py",
        "tests/integration/test_topic.py",
    } <= found
    assert not stated(next(consumers(ast.parse('Consumer({"group.id": "g"})'))))
