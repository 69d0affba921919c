"""Tools of Node.js: linters of the contract, a generator of TypeScript clients, an issuer for tests of sign-in. A lock
file pins them.

`python -m infra.contract.tools` lints both documents, as `make check` does.
"""

import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Final

from functions.api.app import CONTRACT
from infra.contract import asyncapi

ROOT: Final = Path(__file__).parents[2]
PINNED: Final = Path(__file__).parent / "node"
"""The packages with their lock file, which names no registry, and what the linters are told."""
INSTALL_S: Final = 300
_QUIET: Final = ("--ignore-scripts", "--no-audit", "--no-fund", "--silent")


def installed(folder: Path = ROOT / ".local" / "node") -> Path | None:
    """Where the tools are, installed into `folder` unless they are there as the lock file has them; in some 20 s.

    Returns:
        None where there is no Node.js, or its registry can't be reached: then a line says so.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        print("tools of the contract skipped: there is no Node.js")
        return None
    lock = PINNED / "package-lock.json"
    stamp, wanted = folder / "installed", sha256(lock.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", lock.name):
            shutil.copy(PINNED / name, folder / name)
        done = subprocess.run(["npm", "ci", *_QUIET], cwd=folder, timeout=INSTALL_S, check=False)
        if done.returncode != 0:
            print("tools of the contract skipped: npm could not install them")
            return None
        stamp.write_text(wanted)
    return folder / "node_modules" / ".bin"


def lint(tools: Path) -> bool:
    """Whether redocly and spectral find nothing at all in both documents; what they find is printed."""
    documents = [str(CONTRACT), str(asyncapi.DOCUMENT)]
    commands: tuple[list[str | Path], ...] = (
        [tools / "redocly", "lint", "--config", PINNED / "redocly.yaml", "--max-problems", "50", *documents],
        [tools / "spectral", "lint", "-D", "-F", "warn", "-r", PINNED / "spectral.yaml", *documents],
    )
    passed = True
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 or "warning" in done.stderr.partition("validating")[2]:
            print(done.stdout + done.stderr)
            passed = False
    return passed


if __name__ == "__main__":
    found = installed()
    sys.exit(found is not None and not lint(found))
