"""What runs for contributors: the hook before a commit, and CI."""

import ast
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
TEST_NAME_MAX = 80
"""Characters: a rule that needs more is two rules, or is not understood yet."""


def test_the_hook_before_a_commit_runs_the_check() -> None:
    configuration = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (hook,) = (hook for repository in configuration["repos"] for hook in repository["hooks"])
    assert hook["entry"] == "make check AUDIT=no"
    assert hook["language"] == "system"
    assert not hook["pass_filenames"], "make would take the names of files for targets"


def test_hosted_ci_runs_what_contributors_run() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    last = {name: [step["run"] for step in job["steps"] if "run" in step][-1] for name, job in workflow["jobs"].items()}
    assert last == {"ci": ".ci/run", "redis": "make test-redis"}
    assert workflow["permissions"] == {"contents": "read"}


def test_the_name_of_a_test_says_its_rule_in_80_characters() -> None:
    definitions = (
        node
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    names = [node.name for node in definitions if node.name.startswith("test_")]

    assert len(names) > 1_000
    assert [name for name in names if len(name) > TEST_NAME_MAX] == []
