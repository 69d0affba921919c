"""What an update of DynamoDB makes of an item, as far as the product writes such expressions."""

import re
from collections.abc import Mapping
from typing import Any

_SET = re.compile(r"(\w+) = (:\w+)")
_ADD = re.compile(r"(\w+) (:\w+)")


def updated(item: Mapping[str, Any] | None, update: Mapping[str, Any]) -> dict[str, Any]:
    """The item after `SET a = :x, … REMOVE c` or `… ADD b :y, …`; a number that is missing is 0, and so is an item that
    has none.
    """
    rest, _, removed = update["UpdateExpression"].partition("REMOVE ")
    sets, _, adds = rest.partition("ADD ")
    values = update["ExpressionAttributeValues"]
    after = {**update["Key"], **(item or {})}
    if sets:
        assert sets.startswith("SET ")
        after |= {name: dict(values[value]) for name, value in _SET.findall(sets)}
    for name, value in _ADD.findall(adds):
        before = int(after[name]["N"]) if name in after else 0
        after[name] = {"N": str(before + int(values[value]["N"]))}
    return {name: value for name, value in after.items() if name not in removed.split()}
