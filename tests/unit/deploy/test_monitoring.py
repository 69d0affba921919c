"""What is handed to Prometheus and Grafana: complete, valid, and of series that there are."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.api_series import EXAMPLE
from infra.local import packages
from infra.local.config import InvalidConfiguration
from infra.local.servers import PACKAGES
from tests.support.template import ROOT, read

FOLDER = ROOT / "infra" / "monitoring"
RULES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"][0]["rules"]
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "grafana" / "dashboards" / "leaderboards.json").read_text())
SEEN_ONLY_FROM_HERE = {"DependencyUnseen"}
"""Alerts without an alarm: CloudWatch does not depend on a scrape."""
RUNBOOK = re.compile(r"\{\{ \$externalLabels\.runbook \}\}#(.+)")
SERIES = re.compile(r"\bleaderboards_\w+")


def _alarms() -> Mapping[str, str]:
    """Name of each alarm, without the number of a server → its section of the runbook."""
    template = read(ROOT / "infra" / "templates" / "monitoring.yaml")
    return {
        re.sub("(One|Two)$", "", name): resource["Properties"]["AlarmDescription"]["Sub"].rpartition("#")[2]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }


def _targets() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


@pytest.fixture(scope="module")
def promtool() -> str:
    try:
        return str(packages.prepare_prometheus(PACKAGES) / "promtool")
    except InvalidConfiguration as error:
        pytest.skip(f"promtool can't be had here: {error}")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alarm_has_an_alert_that_leads_to_the_same_section_of_the_runbook() -> None:
    alerts = {}
    for rule in RULES:
        section = RUNBOOK.fullmatch(rule["annotations"]["runbook_url"])
        assert section is not None, rule["alert"]
        alerts[rule["alert"]] = section[1]
    assert {name: alerts[name] for name in alerts.keys() - SEEN_ONLY_FROM_HERE} == _alarms()
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    assert all(f"\n## {section}\n" in runbook for section in alerts.values())
    assert all(rule["labels"]["severity"] in ("page", "ticket") for rule in RULES)


def test_rules_and_panels_ask_for_series_that_a_scrape_shows() -> None:
    shown = {sample for family in EXAMPLE.collect() for sample in (family.name, *(one.name for one in family.samples))}
    shown |= {f"{family.name}_total" for family in EXAMPLE.collect() if family.type == "counter"}
    for expression in (*(rule["expr"] for rule in RULES), *_targets()):
        asked = set(SERIES.findall(expression))
        assert asked <= shown, asked - shown


def test_every_alert_is_raised_by_what_it_is_for_and_by_nothing_else(promtool: str) -> None:
    _run(promtool, "test", "rules", str(FOLDER / "rules.test.yml"))


@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus.local.yml"])
def test_a_configuration_is_what_prometheus_takes(promtool: str, name: str, tmp_path: Path) -> None:
    for file in FOLDER.glob("*.yml"):
        shutil.copy(file, tmp_path)
    (tmp_path / "token").write_text("a token")
    _run(promtool, "check", "config", str(tmp_path / name))


def test_what_a_panel_asks_is_promql(promtool: str, tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(_targets())]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    _run(promtool, "check", "rules", str(tmp_path / "panels.yml"))


def test_panels_lie_beside_each_other_and_ask_the_provisioned_source() -> None:
    source = yaml.safe_load((FOLDER / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert panel["datasource"] == {"type": source["type"], "uid": source["uid"]}
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
