"""DynamoDB on this machine: which engine speaks its API here, and how each is started.

dynoxide (Rust on SQLite) is the default: it keeps every answered transaction through a kill and takes several times as
many. AWS's DynamoDB Local is the second engine: where dynoxide can't be built, and for tests that want both.
"""

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

from infra.local.config import HOST, InvalidConfiguration
from infra.local.servers import PACKAGES, Server, http_probe

VARIABLE: Final = "DYNAMODB_ENGINE"


class Engine(StrEnum):
    """What can stand in for DynamoDB here."""

    DYNOXIDE = "dynoxide"
    LOCAL = "dynamodb-local"


STATE: Final = {Engine.DYNOXIDE: "dynoxide.sqlite", Engine.LOCAL: "shared-local-instance.db"}
"""The file in which each engine keeps its tables; neither can read the other's."""
FORMAT: Final = "3"
"""Of the tables. It changes when stored attributes get other names, since nothing here carries them over."""
FORMAT_FILE: Final = "tables-format"


def chosen(environment: Mapping[str, str] | None = None) -> Engine | None:
    """The engine that `DYNAMODB_ENGINE` asks for; None if it leaves the choice to what is there.

    Raises:
        InvalidConfiguration: unless it is an engine.
    """
    text = (os.environ if environment is None else environment).get(VARIABLE, "")
    try:
        return Engine(text) if text else None
    except ValueError:
        raise InvalidConfiguration(f"{VARIABLE} must be {' or '.join(Engine)}, not {text!r}") from None


def dynoxide_binary(packages: Path) -> Path:
    """Where `make setup` puts dynoxide."""
    return packages / "dynoxide" / "bin" / "dynoxide"


def engine_of(directory: Path, packages: Path = PACKAGES) -> Engine:
    """The engine for a state directory: the configured one, else the one that made the state, else an installed one.

    Raises:
        InvalidConfiguration: if another engine than the configured one made the state: its tables would seem empty.
    """
    asked = chosen()
    made_by = next((engine for engine, name in STATE.items() if (directory / name).exists()), None)
    if asked is not None and made_by not in (None, asked):
        raise InvalidConfiguration(
            f"{directory} holds tables of {made_by}, which {asked} can't read: set {VARIABLE}={made_by}, "
            f"or forget the state with `make clean`"
        )
    there = Engine.DYNOXIDE if dynoxide_binary(packages).exists() else Engine.LOCAL
    return asked or made_by or there


def check_format(directory: Path) -> None:
    """Record the format of the tables in a state directory.

    Raises:
        InvalidConfiguration: if an older version made them: their leaderboards would seem to have no events.
    """
    made = directory / FORMAT_FILE
    has_tables = any((directory / name).exists() for name in STATE.values())
    if has_tables and (not made.exists() or made.read_text() != FORMAT):
        raise InvalidConfiguration(
            f"{directory} holds tables of an older version, whose attributes have other names: "
            "forget the state with `make clean`"
        )
    made.write_text(FORMAT)


def dynamodb_server(
    directory: Path, port: int, packages: Path = PACKAGES, *, in_memory: bool = False, engine: Engine | None = None
) -> Server:
    """A DynamoDB at a port, on disk unless it is to forget everything.

    Args:
        directory: where its state and its log are.
        port: on which it listens.
        packages: what `make setup` has fetched.
        in_memory: whether it forgets everything when it ends; it takes items two to three times as fast then.
        engine: which; None for `engine_of(directory)`.

    Raises:
        InvalidConfiguration: if another engine or an older version made the state.
    """
    directory.mkdir(parents=True, exist_ok=True)
    engine = engine or engine_of(directory, packages)
    if not in_memory:
        check_format(directory)
    start = _dynoxide if engine is Engine.DYNOXIDE else _dynamodb_local
    command = start(directory, port, packages, in_memory=in_memory)
    log, home = directory / "dynamodb.log", packages / engine
    return Server("dynamodb", command, log=log, ready=http_probe(port), port=port, program=engine, directory=home)


def _dynoxide(directory: Path, port: int, packages: Path, *, in_memory: bool) -> list[str]:
    where = [] if in_memory else ["--db-path", str(directory / STATE[Engine.DYNOXIDE])]
    return [str(dynoxide_binary(packages)), "--host", HOST, "--port", str(port), "--log", "quiet", *where]


def _dynamodb_local(directory: Path, port: int, packages: Path, *, in_memory: bool) -> list[str]:
    """The command of AWS's engine, which listens on every interface.

    A kill loses a transaction that it answered less than some 10 ms before: it answers before SQLite has committed.
    """
    home = packages / Engine.LOCAL
    command = ["java", "-Xmx1g", "-XX:+UseSerialGC", f"-Djava.library.path={home / 'DynamoDBLocal_lib'}"]
    command += [f"-DSQLITE_TMPDIR={directory}", f"-Djava.io.tmpdir={directory}"]
    command += ["-jar", str(home / "DynamoDBLocal.jar")]
    command += ["-inMemory"] if in_memory else ["-dbPath", str(directory)]
    return [*command, "-sharedDb", "-port", str(port), "-disableTelemetry"]
