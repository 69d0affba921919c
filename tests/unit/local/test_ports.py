"""Ports of a stack of a test's own."""

import socket
from pathlib import Path

import pytest
from msgspec import structs

from infra.local.config import HOST, free_port, free_ports


def test_a_free_port_is_never_one_that_an_outgoing_connection_may_be_given() -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])

    assert all(port < first for port in structs.astuple(free_ports()))


def test_a_port_that_somebody_listens_on_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        listener.bind((HOST, taken := free_port()))
        listener.listen()
        free = free_port()
        offered = iter([taken, taken, free])
        monkeypatch.setattr("infra.local.config.secrets.choice", lambda _: next(offered))

        assert free_port() == free


def test_the_ports_of_a_stack_are_all_different(monkeypatch: pytest.MonkeyPatch) -> None:
    one, *others = structs.astuple(free_ports())
    offered = iter([one, one, *others])
    monkeypatch.setattr("infra.local.config.free_port", lambda: next(offered))

    assert set(structs.astuple(free_ports())) == {one, *others}
