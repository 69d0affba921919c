"""`template.yaml` with what it nests, as CloudFormation gets it: transformed by AWS's SAM, nested templates by URL."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

from infra.local.config import REGION, InvalidConfiguration

ROOT: Final = Path(__file__).parents[2]
STACK: Final = "template.yaml"
NESTED: Final = "infra/templates"
TRANSFORM: Final = """
import json, sys
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

given = json.load(sys.stdin)
stack, nested = yaml_parse(given["stack"]), {path: yaml_parse(text) for path, text in given["nested"].items()}
for resource in stack["Resources"].values():
    location = resource.get("Properties", {}).get("Location")
    if location:
        resource["Properties"]["Location"] = given["urls"][location]
made = Translator({}, Parser()).translate(stack, given["parameters"])
print(json.dumps({"stack": made, "nested": nested}, default=str))
"""
"""Runs with the translator of the SAM CLI, which is not among this project's own packages."""
UNKNOWN: Final = ("AWS::CodeDeploy::Application", "AWS::CodeDeploy::DeploymentGroup")
"""Types that ministack 1.5.33 doesn't know: what a DeploymentPreference becomes."""

Template = dict[str, Any]


class Package(NamedTuple):
    """What a stack is created from."""

    stack: Template
    """The template itself, transformed, without what the engine doesn't know."""
    nested: dict[str, Template]
    """By the names that end their URLs."""
    left_out: list[str]
    """Resources that the engine doesn't know."""


def package(root: Path, sam: Path, url: str, parameters: Mapping[str, str]) -> Package:
    """Transform the templates of a directory as CloudFormation does before it creates anything.

    Args:
        root: Where `template.yaml` is.
        sam: Packages of the SAM CLI, which has AWS's transform.
        url: What comes before the name of a nested template in its URL.
        parameters: Of the stack, by name.

    Raises:
        InvalidConfiguration: if the translator refuses them, with its last words.
    """
    environment = os.environ | {"PYTHONPATH": str(sam), "AWS_DEFAULT_REGION": REGION}
    nested = {str(path.relative_to(root)): path.read_text() for path in (root / NESTED).glob("*.yaml")}
    # named by their content, as `sam package` does: a stack updates what it nests only where that has changed
    names = {path: sha256(text.encode()).hexdigest() + ".template" for path, text in nested.items()}
    urls = {path: url + name for path, name in names.items()}
    stack = (root / STACK).read_text()
    given = json.dumps({"stack": stack, "nested": nested, "urls": urls, "parameters": dict(parameters)})
    command = [sys.executable, "-c", TRANSFORM]
    done = subprocess.run(command, env=environment, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InvalidConfiguration(f"the SAM transform refused it: {(done.stderr.splitlines() or [''])[-1]}")
    made = json.loads(done.stdout)
    known, left_out = without_unknown(made["stack"])
    _use_numbers(known, parameters)
    return Package(known, {names[path]: one for path, one in made["nested"].items()}, left_out)


def without_unknown(template: Template) -> tuple[Template, list[str]]:
    """A transformed template without what the engine doesn't know.

    Returns:
        The template, and the names of the resources that were taken out.
    """
    resources = template["Resources"]
    left_out = sorted(name for name, one in resources.items() if one["Type"] in UNKNOWN)
    kept = {
        name: {key: value for key, value in one.items() if key != "UpdatePolicy" or "CodeDeploy" not in str(value)}
        for name, one in resources.items()
        if name not in left_out
    }
    return {**template, "Resources": kept}, left_out


def _use_numbers(template: Template, parameters: Mapping[str, str]) -> None:
    """CloudFormation makes numbers of parameters where a property is one; ministack 1.5.33 compares them as text."""
    for resource in template["Resources"].values():
        scaling = resource["Properties"].get("ScalingConfig") if "Properties" in resource else None
        if scaling and isinstance(scaling["MaximumConcurrency"], dict):
            name = scaling["MaximumConcurrency"]["Ref"]
            scaling["MaximumConcurrency"] = int(parameters.get(name) or template["Parameters"][name]["Default"])


def commit_before(root: Path = ROOT) -> str | None:
    """The newest commit whose templates are others than those here; None outside a git clone or if there is none."""
    if _git(root, "rev-parse", "--show-toplevel") is None:
        return None
    if _git(root, "status", "--porcelain", "--", STACK, NESTED):
        return _git(root, "rev-parse", "HEAD")
    last = _git(root, "log", "-1", "--format=%H", "--", STACK, NESTED)
    return _git(root, "rev-parse", "--verify", "--quiet", f"{last}^") if last else None


def check_out(commit: str, directory: Path, root: Path = ROOT) -> None:
    """Write the templates of a commit below a directory."""
    archive = subprocess.run(
        ["git", "archive", commit, STACK, NESTED], cwd=root, capture_output=True, check=True
    ).stdout
    subprocess.run(["tar", "-x", "-C", str(directory)], input=archive, check=True)


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
