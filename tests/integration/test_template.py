"""template.yaml as AWS's own tools take it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.template import FUNCTIONS, PARAMETERS, STACK

ROOT = Path(__file__).parents[2]
TRANSFORM = """
import json, sys
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

for parameters in json.load(sys.stdin):
    made = Translator({}, Parser()).translate(yaml_parse(open("template.yaml").read()), parameters)
    print(json.dumps(made["Resources"]))
"""
"""What CloudFormation makes of the template before it deploys it, for each of some sets of parameters."""
CHOSEN = {name: f"a-{name}" for name, one in PARAMETERS.items() if "Default" not in one}
Transform = Callable[..., list[dict[str, Any]]]


def run(sam: Path, *command: str, given: str = "") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(sam), "SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "eu-central-1"}
    whole = [sys.executable, *command]
    return subprocess.run(whole, cwd=ROOT, env=environment, input=given, capture_output=True, text=True, check=False)


@pytest.fixture
def transform(sam: Path) -> Transform:
    """The stack's resources for each set of parameters."""

    def transform(*chosen: Mapping[str, str]) -> list[dict[str, Any]]:
        done = run(sam, "-c", TRANSFORM, given=json.dumps([{**CHOSEN, **one} for one in chosen]))
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return transform


def test_sam_takes_the_template(sam: Path) -> None:
    done = run(sam, "-m", "samcli", "validate", "--lint")

    assert "is a valid SAM Template" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


def test_a_version_is_published_when_anything_changes_that_a_version_fixes(transform: Transform) -> None:
    names = [name for name, one in FUNCTIONS.items() if "AutoPublishAlias" in one]
    fixed = {name: set(named_parameters(frozen(FUNCTIONS[name]), set())) for name in names}
    changes = sorted(set().union(*fixed.values()))

    before, *after = transform({}, *({name: "changed"} for name in changes))

    assert names
    assert {"ImageUri", "KafkaTopic", "KafkaSecretArn", "ApiMemoryMB", "IngestMemoryMB", "SubnetIds"} <= set(changes)
    for name in names:
        published = {
            change for change, one in zip(changes, after, strict=True) if version(one, name) != version(before, name)
        }
        # what is no part of this version may be no reason for another: Lambda refuses one in which nothing has changed
        assert published == fixed[name]


def frozen(function: Any) -> Any:
    """What of a function is as it was when its version was published."""
    shared = STACK["Globals"]["Function"]
    own = [function.get(one, shared.get(one)) for one in ("MemorySize", "Timeout", "VpcConfig")]
    image = {"Ref": "ImageUri"}
    return [image, *own, shared["Environment"], function["Environment"]]


def named_parameters(given: Any, seen: set[str]) -> Iterator[str]:
    """Parameters that decide a value, through conditions as well."""
    for name in re.findall(r"[A-Z]\w+", json.dumps(given)):
        if name in PARAMETERS:
            yield name
        elif name in STACK["Conditions"] and name not in seen:
            yield from named_parameters(STACK["Conditions"][name], seen | {name})


def version(resources: Mapping[str, Any], function: str) -> str:
    (alias,) = [one for name, one in resources.items() if name == f"{function}Aliaslive"]
    published: str = alias["Properties"]["FunctionVersion"]["Fn::GetAtt"][0]
    assert resources[published]["Type"] == "AWS::Lambda::Version"
    return published


def test_the_event_source_may_find_the_cluster_and_read_for_the_version_that_is_live(transform: Transform) -> None:
    (resources,) = transform({})

    policies = json.dumps(resources["IngestFunctionRole"]["Properties"]["ManagedPolicyArns"])
    assert "service-role/AWSLambdaMSKExecutionRole" in policies
    for source in ("MskSource", "OwnKafkaSource"):
        assert resources[source]["Properties"]["FunctionName"] == {"Ref": "IngestFunctionAliaslive"}


def test_named_origins_reach_the_gateway_with_all_that_they_may_do(transform: Transform) -> None:
    (resources,) = transform({"AllowedOrigins": "https://a.example,https://b.example"})

    condition, cors, otherwise = resources["HttpApi"]["Properties"]["Body"]["x-amazon-apigateway-cors"]["Fn::If"]
    assert (condition, otherwise) == ("Browsers", {"Ref": "AWS::NoValue"})
    assert cors["allowOrigins"] == {"Fn::Split": [",", "https://a.example,https://b.example"]}
    assert cors.keys() == {"allowOrigins", "allowMethods", "allowHeaders", "exposeHeaders", "maxAge"}


def test_a_throttle_of_a_route_is_for_a_route_that_is_there(transform: Transform) -> None:
    (resources,) = transform({})

    paths = resources["HttpApi"]["Properties"]["Body"]["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    (stage,) = [one["Properties"] for one in resources.values() if one["Type"] == "AWS::ApiGatewayV2::Stage"]
    assert stage["RouteSettings"]
    assert stage["RouteSettings"].keys() <= routes
