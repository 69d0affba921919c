"""Who has a port that a server of the local stack wants."""

import os
import socket
from pathlib import Path

import pytest

from infra.local.config import HOST, InvalidConfiguration, free_port
from infra.local.listeners import listener
from infra.local.servers import Server


def test_the_process_that_listens_is_named() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, port := free_port()))
        assert listener(port) is None, "bound is not yet listening"
        taken.listen()

        assert (listener(port) or "").endswith(f"(process {os.getpid()})")


def test_nobody_is_named_where_the_kernel_does_not_tell(tmp_path: Path) -> None:
    assert listener(8080, tmp_path) is None


def test_a_start_on_a_taken_port_says_which_whose_and_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, port := free_port()))
        taken.listen()
        server = Server("kafka", ["sleep", "1"], log=tmp_path / "log", ready=lambda: True, port=port)

        with pytest.raises(InvalidConfiguration) as raised:
            server.launch()

    said = str(raised.value)
    assert said.startswith(f"port {port} of kafka is taken by ")
    assert f"(process {os.getpid()}): stop it" in said
    assert said.endswith(f"`KAFKA_PORT={port + 1} make up`")
