"""template.yaml and what it nests, read as data, and what its roles allow."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "template.yaml"
NESTED = sorted((ROOT / "infra" / "templates").glob("*.yaml"))


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Reads CloudFormation's short forms as what stands behind them."""


def _short_form(loader: _Loader, suffix: str, node: Any) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    construct = loader.construct_sequence if isinstance(node, yaml.SequenceNode) else loader.construct_mapping
    return {suffix: construct(node, deep=True)}


_Loader.add_multi_constructor("!", _short_form)


def read(path: Path) -> Any:
    return yaml.load(path.read_text(), _Loader)


STACK = read(TEMPLATE)
FUNCTIONS = {
    name: resource["Properties"]
    for name, resource in STACK["Resources"].items()
    if resource["Type"] == "AWS::Serverless::Function"
}


PARAMETERS = STACK["Parameters"]


def value(given: Any) -> Any:
    """What stands in the template, parameters by what they are without another."""
    return PARAMETERS[given["Ref"]]["Default"] if isinstance(given, dict) and given.get("Ref") in PARAMETERS else given


def branches(given: Any) -> list[Any]:
    """What may come of it: both sides of a condition, but for nothing at all."""
    sides = given["If"][1:] if isinstance(given, dict) and "If" in given else [given]
    return [side for side in sides if side != {"Ref": "AWS::NoValue"}]


def folder(function: Any) -> str:
    match = re.fullmatch(r"functions\.(\w+)\.handler\.handler", function["ImageConfig"]["Command"][0])
    assert match is not None
    return match[1]


def statements(function: Any) -> list[dict[str, Any]]:
    """What a function may do; statements that stand under a condition like the others."""
    own = [policy for policy in function["Policies"] if "Statement" in policy]  # the others are AWS's
    found = [one for policy in own for statement in policy["Statement"] for one in branches(statement)]
    return [one | {"Action": [one["Action"]] if isinstance(one["Action"], str) else one["Action"]} for one in found]


class Right(NamedTuple):
    """One action on one resource, e.g. `s3:PutObject` on `ExportBucket/exports/*`."""

    action: str
    resource: str

    def covers(self, other: "Right") -> bool:
        return self.action == other.action and fnmatchcase(other.resource, self.resource)


def rights(function: Any) -> Iterator[Right]:
    """Each for itself, resources by their names in the template; those of Kafka are left to `kafka_rights`."""
    for statement in statements(function):
        resources = statement["Resource"]
        for resource in resources if isinstance(resources, list) else [resources]:
            for action in statement["Action"]:
                if not action.startswith("kafka-cluster:"):
                    yield Right(action, _name(resource))


def kafka_rights(function: Any) -> set[Right]:
    """The rights on the cluster, its topic and consumer groups."""
    return {
        Right(action.removeprefix("kafka-cluster:"), _part_of_cluster(statement["Resource"]))
        for statement in statements(function)
        for action in statement["Action"]
        if action.startswith("kafka-cluster:")
    }


def _name(resource: Any) -> str:
    ((kind, value),) = resource.items()
    match kind:
        case "Ref":
            return str(value)
        case "GetAtt":
            return re.sub(r"\.Arn$", "", value)
        case "Sub":
            return re.sub(r"\$\{(\w+)(?:\.Arn)?\}", r"\1", value)
    raise ValueError(f"a resource that nobody can name: {resource}")


def _part_of_cluster(resource: Any) -> str:
    """`cluster`, `topic/<parameter>` or `group/<pattern>`."""
    if resource == {"Ref": "KafkaClusterArn"}:
        return "cluster"
    separator, (arn, name) = resource["Join"]
    assert separator == "/"
    split = {"Split": [":cluster", {"Ref": "KafkaClusterArn"}]}
    kind, parts = arn["Join"]
    assert parts == split
    return f"{kind.removeprefix(':')}/{name if isinstance(name, str) else name['Ref']}"
