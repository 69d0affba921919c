"""What runs for contributors: the hook before a commit, and CI."""

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_the_hook_before_a_commit_runs_the_check() -> None:
    configuration = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (hook,) = (hook for repository in configuration["repos"] for hook in repository["hooks"])
    assert hook["entry"] == "make check AUDIT=no"
    assert hook["language"] == "system"
    assert not hook["pass_filenames"], "make would take the names of files for targets"


def test_hosted_ci_runs_what_contributors_run() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    (job,) = workflow["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step][-1] == ".ci/run"
    assert workflow["permissions"] == {"contents": "read"}
