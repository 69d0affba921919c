"""Who listens on a port of this machine, as far as the kernel tells us."""

from contextlib import suppress
from pathlib import Path
from typing import Final

LISTENING: Final = "0A"


def listener(port: int, proc: Path = Path("/proc")) -> str | None:
    """The process that listens on a TCP port, e.g. `java (process 4711)`.

    Returns:
        None if nobody listens, or if that may not be known: another user's process, no `/proc`, another container.
    """
    sockets = {f"socket:[{inode}]" for inode in _inodes(port, proc)}
    if not sockets:
        return None
    for process in proc.glob("[0-9]*"):
        with suppress(OSError):  # another user's, or it has just ended
            if any(str(one.readlink()) in sockets for one in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
    return None


def _inodes(port: int, proc: Path) -> list[str]:
    found = []
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (proc / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    found.append(fields[9])
    return found
