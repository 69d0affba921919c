"""A function under AWS's runtime interface emulator and client, in a process or in the image."""

import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from infra.image.__main__ import NAME
from infra.local.config import HOST, free_port
from infra.local.packages import EMULATOR
from infra.local.servers import Server

ANSWER_TIMEOUT_S = 120
TAG = f"{NAME}:functions"


def emulator(sam: Path) -> Path:
    """The emulator for this machine."""
    architecture = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return sam / f"{EMULATOR}-{architecture}"


class Runtime:
    """One environment of one function, as Lambda would start it; serves one invocation after another."""

    def __init__(self, command: Sequence[str], directory: Path, environment: Mapping[str, str] | None = None) -> None:
        port, api_port = free_port(), free_port()
        self._url = f"http://{HOST}:{port}/2015-03-31/functions/function/invocations"
        addresses = ["--runtime-interface-emulator-address", f"{HOST}:{port}"]
        addresses += ["--runtime-api-address", f"{HOST}:{api_port}"]
        self._server = Server(
            "function",
            [part for one in command for part in (addresses if one == ADDRESSES else [one])],
            log=directory / "function.log",
            ready=lambda: self._listens(port),
            environment=environment,
        )

    @classmethod
    def in_process(cls, sam: Path, handler: str, environment: Mapping[str, str], directory: Path) -> Self:
        """With the interpreter that runs the tests."""
        command = [str(emulator(sam)), ADDRESSES, sys.executable, "-m", "awslambdaric", handler]
        return cls(command, directory, environment)

    @classmethod
    def in_image(cls, sam: Path, handler: str, environment: Mapping[str, str], directory: Path) -> Self:
        """In a container of the image, which may write nothing but /tmp and has no rights, as on Lambda."""
        command = ["docker", "run", "--rm", "--network", "host", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"]
        command += ["--volume", f"{emulator(sam)}:/emulator:ro", "--entrypoint", "/emulator"]
        command += [part for name, value in environment.items() for part in ("--env", f"{name}={value}")]
        return cls([*command, TAG, ADDRESSES, "python3", "-m", "awslambdaric", handler], directory)

    def invoke(self, event: Any) -> Any:
        """What the function answers; for an error what Lambda says about it."""
        return requests.post(self._url, json=event, timeout=ANSWER_TIMEOUT_S).json()

    def _listens(self, port: int) -> bool:
        # not by a request: the emulator takes one at a time
        table = Path("/proc/net/tcp").read_text()
        return f":{port:04X} 00000000:0000 0A" in table

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()


ADDRESSES = "ADDRESSES"
"""Stands in a command for the ports that the emulator is to take."""


def image_is_there() -> bool:
    """Whether `make image` has built it."""
    command = ["docker", "image", "inspect", TAG]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
