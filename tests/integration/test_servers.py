"""The servers of the local stack: what is left over from a killed run, and what a kill leaves of the data."""

from pathlib import Path

import pytest
from redis import Redis

from infra.local.cache import cache_server
from infra.local.config import InvalidConfiguration
from infra.local.servers import free_port, kafka


def test_what_a_killed_run_left_over_is_ended_and_its_data_kept(tmp_path: Path) -> None:
    port = free_port()
    left_over = cache_server(tmp_path, port)
    left_over.start()
    Redis(port=port).set("key", "value")

    with cache_server(tmp_path, port):
        assert not left_over.is_alive()
        assert Redis(port=port).get("key") == b"value"


def test_a_port_that_somebody_else_has_is_named_with_what_to_set(tmp_path: Path) -> None:
    port = free_port()
    with (
        cache_server(tmp_path / "one", port),
        pytest.raises(InvalidConfiguration, match=f"port {port} of cache is taken by .*CACHE_PORT="),
    ):
        cache_server(tmp_path / "two", port).start()


def test_a_server_that_does_not_come_up_says_its_last_words(tmp_path: Path) -> None:
    server = cache_server(tmp_path, free_port())
    (tmp_path / "appendonlydir").write_text("in the way")

    with pytest.raises(InvalidConfiguration, match=r"cache ended while it started: .*append"):
        server.start()


def test_what_was_written_survives_a_kill(tmp_path: Path) -> None:
    server = cache_server(tmp_path, port := free_port())
    server.start()
    Redis(port=port).set("key", "value")

    server.kill()
    server.start()

    assert Redis(port=port).get("key") == b"value"
    server.stop()


def test_a_broker_that_is_away_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client would wait for the whole of its timeout, and the supervisor with it while other servers die."""
    asked: list[object] = []
    monkeypatch.setattr("infra.local.servers.AdminClient", asked.append)

    assert not kafka(tmp_path, free_port(), free_port()).answers()
    assert asked == []
