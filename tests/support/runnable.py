"""The command blocks of README and docs: those marked `sh` are run by a test, all others are refused.

Commands that are only shown, not run, stand in the text or indented.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
MARK: Final = "sh"
_BLOCK = re.compile(r"^```(\S*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SHELLS: Final = {"bash", "shell", "console", "zsh", "shell-session"}

COVERED: Final[dict[tuple[str, str], tuple[str, str]]] = {}
"""(Document, first line of a block) → (test that does the same, why the block itself is not run)."""


@dataclass(frozen=True)
class Block:
    """One command block of a document."""

    document: Path
    language: str
    commands: str

    @property
    def name(self) -> tuple[str, str]:
        """By what COVERED knows it."""
        return str(self.document.relative_to(ROOT)), self.commands.splitlines()[0]


def command_blocks(document: Path) -> list[Block]:
    """Blocks of commands in a document, marked or not."""
    blocks = [Block(document, *found) for found in _BLOCK.findall(document.read_text(encoding="utf-8"))]
    return [block for block in blocks if block.language == MARK or block.language in _SHELLS]


def script(document: Path) -> str:
    """What a test runs of a document: its marked blocks in their order, without those that another test covers."""
    blocks = command_blocks(document)
    return "\n".join(block.commands for block in blocks if block.language == MARK and block.name not in COVERED)
