"""The commands of documents, as a reader would run them on some system."""

import sys
from pathlib import Path
from typing import Final

from infra.local.config import Ports
from tests.support.runnable import ROOT

PRELUDE: Final = """
curl() { command curl --silent --show-error --fail --max-time 30 --retry 20 --retry-delay 1 --retry-all-errors "$@"; }
"""
"""A request that is answered with an error ends the script, which it would not for a reader; but not at once, as he
would ask again, too, if something takes longer than a document says."""


def at_ports(commands: str, ports: Ports) -> str:
    """Commands with the ports of a system in place of the usual ones."""
    usual = {8080: ports.api, 9092: ports.kafka, 6379: ports.cache, 8000: ports.dynamodb, 4566: ports.aws}
    for port, ours in usual.items():
        for host in ("localhost", "127.0.0.1"):
            commands = commands.replace(f"{host}:{port}", f"127.0.0.1:{ours}")
    return commands


def linked(directory: Path) -> Path:
    """The project as it stands, in a directory of its own: what commands write to it goes elsewhere."""
    parts = {path.name: path for path in ROOT.iterdir()} | {".venv": Path(sys.prefix)}
    for name, path in parts.items():
        (directory / name).symlink_to(path)
    return directory
