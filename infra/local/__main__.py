"""`python -m infra.local setup|run|up|down|supervise|clean`, called by the Makefile."""

import json
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Final

from msgspec import structs
from rich.console import Console

from infra.local import config as configuration
from infra.local import packages, supervisor
from infra.local.config import Config, InvalidConfiguration
from infra.local.dashboard import Dashboard
from infra.local.producer import DEMO, DEMO_LEADERBOARD
from infra.local.servers import Server
from infra.local.stack import Stack

console: Final = Console(highlight=False)


def _prepared() -> Config:
    config = configuration.from_environment()
    durable = packages.prepare(config.packages)
    return structs.replace(config, kafka_is_durable=durable)


def setup() -> None:
    """Fetch what is missing."""
    _prepared()


def run() -> None:
    """The stack with demo traffic in the foreground, until Ctrl-C."""
    stack = Stack(_prepared())
    stack.add(_producer(stack))
    dashboard = Dashboard(stack, console)
    demo_made = False

    def look() -> None:
        nonlocal demo_made
        demo_made = demo_made or _make_demo(stack.url)
        dashboard.refresh()

    try:
        supervisor.supervise(stack, dashboard.say, look)
    finally:
        dashboard.close()


def supervise() -> None:
    """The stack without demo traffic in the foreground; what `up` puts into the background."""
    plain = Console(highlight=False, width=1_000)
    supervisor.supervise(Stack(_prepared()), plain.print)


def up() -> None:
    """The stack in the background, once it answers."""
    config = _prepared()
    with console.status("starting the stack …"):
        supervisor.up(config)
    console.print(
        f"the stack is up: {config.api_url} · Kafka {config.kafka_bootstrap} · logs in {config.logs}", soft_wrap=True
    )


def down() -> None:
    """Stop the stack in the background."""
    console.print("stopped" if supervisor.down(configuration.from_environment()) else "nothing was running")


def clean() -> None:
    """Forget all state."""
    config = configuration.from_environment()
    supervisor.down(config)
    shutil.rmtree(config.directory, ignore_errors=True)


def _producer(stack: Stack) -> Server:
    return Server(
        "producer",
        [sys.executable, "-m", "infra.local.producer"],
        log=stack.config.logs / "producer.log",
        ready=lambda: True,
        environment=stack.environment,
    )


def _make_demo(url: str) -> bool:
    request = urllib.request.Request(  # noqa: S310 - our own http URL
        f"{url}/leaderboards/{DEMO}",
        method="PUT",
        data=json.dumps(DEMO_LEADERBOARD).encode(),
        headers={"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return bool(response.status in (200, 201))
    except (OSError, urllib.error.URLError):
        return False


COMMANDS: Final[dict[str, Callable[[], None]]] = {
    command.__name__: command for command in (setup, run, supervise, up, down, clean)
}


def main() -> int:
    """Run one command; the exit status is 1 after one clear line about what is wrong."""
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    command = COMMANDS.get(name)
    if command is None:
        console.print(f"usage: python -m infra.local {'|'.join(COMMANDS)}")
        return 2
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        command()
    except InvalidConfiguration as error:
        console.print(f"[bold red]{error}[/]", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
