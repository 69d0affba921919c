"""`python -m infra.local setup|run|up|down|status|supervise|flush|redrive|dead-letters|clean`, as make calls it."""

import os
import shutil
import sys
from collections.abc import Callable
from typing import Final

from msgspec import structs
from redis import Redis
from redis.exceptions import RedisError
from rich.console import Console

from infra.local import compose, counts, letters, packages, supervisor
from infra.local import config as configuration
from infra.local.config import HOST, Config, InvalidConfiguration
from infra.local.dashboard import Dashboard
from infra.local.function import Function
from infra.local.servers import Server
from infra.local.stack import Stack
from shared.telemetry import logger

REDRIVE_TIMEOUT_MS: Final = 900_000
REDRIVEN: Final = {"sent": "sent", "failed": "failed", "left": "left", "tooLate": "too late"}
"""What the redrive function counts, in words."""

console: Final = Console(highlight=False, markup=False, soft_wrap=True)


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
    try:
        supervisor.supervise(stack, dashboard.say, dashboard.refresh)
    finally:
        dashboard.close()


def supervise() -> None:
    """The stack without demo traffic in the foreground; what `up` puts into the background."""
    supervisor.supervise(Stack(_prepared()), console.print)


def up() -> None:
    """The stack in the background, once it answers."""
    config = _prepared()
    with console.status("starting the stack …") as status:

        def say(line: str) -> None:
            status.update(line)
            if line.startswith("waiting for "):
                console.print(line)

        started = supervisor.up(config, say)
    state = "is up" if started else "was up already"
    console.print(f"the stack {state}: {config.api_url} · Kafka {config.kafka_bootstrap} · logs in {config.logs}")


def down() -> None:
    """Stop the stack in the background."""
    console.print("stopped" if supervisor.down(_stack()) else "nothing was running")


def status() -> None:
    """How every process is, and what became of the records.

    Raises:
        InvalidConfiguration: if one of them does not answer.
    """
    stack = _stack()
    silent = []
    for process in stack.processes:
        pid = process.recorded_pid()
        answers = pid is not None and process.answers()
        if not answers:
            silent.append(process.name)
        where = f":{process.port}" if process.port else ""
        state = "answers" if answers else "does not answer" if pid else "does not run"
        runs = ", ".join(filter(None, (process.program, f"process {pid}" if pid else "")))
        console.print(f"{process.name:9} {where:6} {state}{f' ({runs})' if runs else ''}")
    found = counts.fetch(stack.url) or counts.fetch(
        stack.url
    )  # the first scrape of a worker may find DynamoDB too slow
    console.print(f"records: {found or 'not known: the API does not answer, or DynamoDB'}")
    if silent:
        raise InvalidConfiguration(f"not running or silent: {', '.join(silent)}; `make up` starts the stack")


def clean() -> None:
    """Forget all state."""
    stack = _stack()
    supervisor.down(stack)
    shutil.rmtree(stack.config.directory, ignore_errors=True)


def flush() -> None:
    """Empty the cache of this stack, or of the one in containers, and no other that may listen where it would.

    Raises:
        InvalidConfiguration: if neither cache runs, or it does not answer.
    """
    stack = _stack()
    if stack.process("cache").recorded_pid() is None:
        compose.flush_cache()
    else:
        _flush_own(stack)
    console.print("the cache is empty")


def _flush_own(stack: Stack) -> None:
    try:
        for port in stack.config.cache_ports:
            with Redis(HOST, port) as redis:
                redis.flushall()
    except RedisError as error:
        raise InvalidConfiguration(f"the cache of this stack does not answer: {error}") from None


_IN_PROCESS: Final = {"POWERTOOLS_LOG_LEVEL": "WARNING", "POWERTOOLS_METRICS_DISABLED": "true"}
"""Of a function that a command runs itself: its metrics would be lines between the command's own."""


def redrive() -> None:
    """Send dead letters back to the topic: those of REASON and LEADERBOARD, or all.

    Raises:
        InvalidConfiguration: if one of them is none.
    """
    os.environ |= _prepared().environment() | _IN_PROCESS
    logger.setLevel(_IN_PROCESS["POWERTOOLS_LOG_LEVEL"])  # it was made before, with the level that there was
    chosen = {"reason": os.environ.get("REASON"), "leaderboardId": os.environ.get("LEADERBOARD")}
    try:
        outcome = Function("functions.redrive.handler.handler", REDRIVE_TIMEOUT_MS)(
            {name: value for name, value in chosen.items() if value}
        )
    except ValueError as error:
        raise InvalidConfiguration(f"REASON and LEADERBOARD: {error}") from None
    counts = [f"{outcome[name]} {text}" for name, text in REDRIVEN.items()]
    console.print(" · ".join(counts if outcome["complete"] else [*counts, "not all was looked at: ask again"]))


def dead_letters() -> None:
    """Show dead letters, the newest first: those of REASON, LEADERBOARD and EVENT, or all.

    Raises:
        InvalidConfiguration: if one of them is none.
    """
    os.environ |= _prepared().environment() | _IN_PROCESS
    logger.setLevel(_IN_PROCESS["POWERTOOLS_LOG_LEVEL"])  # it was made before, with the level that there was
    letters.show(letters.chosen(os.environ), console.print)


def _stack() -> Stack:
    """The stack of this environment, without fetching anything."""
    return Stack(configuration.from_environment())


def _producer(stack: Stack) -> Server:
    return Server(
        "producer",
        [sys.executable, "-m", "infra.local.producer"],
        log=stack.config.logs / "producer.log",
        ready=lambda: True,
        environment=stack.environment | {"API_URL": stack.url},
    )


COMMANDS: Final[dict[str, Callable[[], None]]] = {
    command.__name__.replace("_", "-"): command
    for command in (setup, run, supervise, up, down, status, flush, redrive, dead_letters, clean)
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
        console.print(str(error), style="bold red")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
