"""What a Prometheus that knows nothing but `GET /metrics` sees of a running service: every panel, and an alert."""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
import requests
import yaml

from infra.local import packages
from infra.local.config import HOST, InvalidConfiguration
from infra.local.servers import PACKAGES, Server, free_port, http_probe
from infra.local.stack import Stack
from tests.support.stack import System, until
from tests.support.template import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

FOLDER: Final = ROOT / "infra" / "monitoring"
BOARD: Final = "watched"
QUIET: Final = {"leaderboards_closing_blocked > 0", "leaderboards_cache_limit_bytes"}
"""What a service without trouble, and a cache without a limit, show nothing of."""
REJECTED: Final = "leaderboards_events_rejected_total"


@pytest.fixture(scope="module")
def system(quick_stack: Stack) -> Iterator[System]:
    running = System(quick_stack)
    yield running
    running.close()


class Prometheus:
    """The server, by its HTTP API."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, query: str) -> list[dict[str, Any]]:
        """What an expression finds now."""
        return self._get("query", query=query)["result"]  # type: ignore[no-any-return]

    def firing(self) -> dict[str, dict[str, str]]:
        """Alerts by name, with their annotations."""
        alerts = self._get("alerts")["alerts"]
        return {one["labels"]["alertname"]: one["annotations"] for one in alerts if one["state"] == "firing"}

    def _get(self, path: str, **query: str) -> Any:
        answer = requests.get(f"{self._url}/api/v1/{path}", params=query, timeout=10)
        assert answer.status_code == requests.codes.ok, answer.text
        return answer.json()["data"]


@pytest.fixture
def prometheus(system: System, tmp_path: Path) -> Iterator[Prometheus]:
    """With the rules and the configuration of compose, but faster, and of this stack."""
    try:
        program = packages.prepare_prometheus(PACKAGES) / "prometheus"
    except InvalidConfiguration as error:
        pytest.skip(f"Prometheus can't be had here: {error}")
    configuration = yaml.safe_load((FOLDER / "prometheus.local.yml").read_text())
    configuration["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configuration["scrape_configs"][0]["static_configs"][0]["targets"] = [system.url.removeprefix("http://")]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    (tmp_path / "rules.yml").write_text((FOLDER / "rules.yml").read_text())
    port = free_port()
    command = [str(program), "--config.file=prometheus.yml", f"--web.listen-address={HOST}:{port}"]
    command.append(f"--storage.tsdb.path={tmp_path / 'data'}")
    log = tmp_path / "prometheus.log"
    with Server("prometheus", command, log=log, ready=http_probe(port), port=port, directory=tmp_path):
        yield Prometheus(f"http://{HOST}:{port}")


def test_every_panel_shows_something_and_a_refused_record_alerts(system: System, prometheus: Prometheus) -> None:
    dashboard = json.loads((FOLDER / "grafana" / "dashboards" / "leaderboards.json").read_text())
    panels = [(one["title"], target["expr"]) for one in dashboard["panels"] for target in one["targets"]]
    system.put(f"/leaderboards/{BOARD}", {"name": "Watched", "aggregation": "sum"})
    fields = {"eventId": "e", "leaderboardId": BOARD, "userId": "ann", "points": 1}
    fields |= {"occurredAt": datetime.now(UTC).isoformat()}
    key = f"{BOARD}:ann".encode()

    system.produce([(key, json.dumps(fields).encode()), (key, b"no JSON")])
    until(lambda: prometheus.ask(REJECTED), "the rejection is scraped")  # from which on rates see more of them
    system.produce([(key, b"no JSON either")])
    system.settle()
    system.get(f"/leaderboards/{BOARD}/rankings")

    def empty() -> list[tuple[str, str]]:
        return [(title, query) for title, query in panels if query not in QUIET and not prometheus.ask(query)]

    with suppress(AssertionError):  # the next line says which
        until(lambda: not empty(), "every panel shows something")
    assert empty() == []
    until(lambda: "DeadLetters" in prometheus.firing(), "the alert fires")
    assert prometheus.firing()["DeadLetters"]["runbook_url"] == "docs/runbook.md#dead-letters"
    letters = [one for one in system.letters().values() if one.key == key]  # other modules need not find them
    assert [one.reason for one in letters] == ["malformed"] * 2
