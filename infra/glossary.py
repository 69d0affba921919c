"""Holds the project to docs/glossary.md: retired words stay out of names and texts, and every name it gives exists.

The glossary is the data. In the column `retired`, `code` is a word that no name may contain, "quoted" is a phrase that
no text but that of tests may contain either. In the column `where`, `code` is a name or a path of the project.
"""

import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

ROOT: Final = Path(__file__).parents[1]
GLOSSARY: Final = Path("docs/glossary.md")
FOLDERS: Final = ("functions", "shared", "infra", "docs", "events", "findings", "tests", ".github")
EXEMPT: Final = (GLOSSARY, Path("CHANGELOG.md"), Path("docs/adr"), Path("tests/unit/test_glossary.py"))
"""They keep the words of their time, or give examples of them."""
TESTS: Final = "tests"
"""Their names are checked; their texts tell cases in everyday words."""
SUFFIXES: Final = {".py", ".lua", ".md", ".yaml", ".yml", ".json", ".toml", ".sh"}
NAME: Final = r"[A-Za-z_][\w.-]*"
NAMES_IN: Final = {
    ".lua": re.compile(rf"(?<!-)\b({NAME})"),
    ".json": re.compile(rf'"({NAME})"'),
    ".md": re.compile(rf"`({NAME})`"),
    ".yaml": re.compile(rf"^\s*(?:- )*({NAME}):|(?<=:) +({NAME})$", re.MULTILINE),
}
"""Suffix → where names stand in such a file; Python is read token by token."""


class Glossary(Struct, frozen=True):
    """The columns of the glossary's tables that can be checked."""

    where: frozenset[str]
    names: frozenset[str]
    """Retired from names."""
    phrases: frozenset[str]
    """Retired from texts and from names."""


class Breach(Struct, frozen=True, order=True):
    """A retired word in a file."""

    path: str
    line: int
    word: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: `{self.word}` is retired, see {GLOSSARY}"


def parse(text: str) -> Glossary:
    """Read the tables of a glossary: term, meaning, where, retired."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    cells = [row for row in rows if len(row) == 4]
    where = re.findall(r"`([^`]+)`", " ".join(row[2] for row in cells))
    retired = " ".join(row[3] for row in cells)
    return Glossary(
        where=frozenset(where),
        names=frozenset(re.findall(r"`([^`]+)`", retired)),
        phrases=frozenset(re.findall(r'"([^"]+)"', retired)),
    )


def parts(name: str) -> str:
    """A name as words between blanks: `auditSequence`, `audit_sequence` and `audit-sequence` are ` audit sequence `."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return f" {' '.join(re.split(r'[^A-Za-z0-9]+', spaced.lower()))} "


def sources(root: Path) -> Iterator[Path]:
    """The files that are checked, relative to the root."""
    found = [path for folder in FOLDERS for path in (root / folder).rglob("*")]
    for path in sorted([*found, *root.glob("*")]):
        relative = path.relative_to(root)
        if path.suffix in SUFFIXES and not any(relative.is_relative_to(exempt) for exempt in EXEMPT):
            yield relative


def names_in(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Every name in a file with its line."""
    if path.suffix == ".py":
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.NAME:
                yield token.start[0], token.string
            elif token.type == tokenize.STRING and re.fullmatch(NAME, token.string[1:-1]):
                yield token.start[0], token.string[1:-1]
        return
    pattern = NAMES_IN.get({".yml": ".yaml"}.get(path.suffix, path.suffix))
    for found in pattern.finditer(text) if pattern else ():
        name = next(group for group in found.groups() if group)
        yield text.count("\n", 0, found.start()) + 1, name


def phrases_in(text: str, phrases: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Every retired phrase in a text with its line, whatever its case and wherever its lines break."""
    for phrase in phrases:
        pattern = rf"\b{re.escape(phrase)}\b".replace(r"\ ", r"\s+(?:[#*-]+\s+)?")
        for found in re.finditer(pattern, text, re.IGNORECASE):
            yield text.count("\n", 0, found.start()) + 1, phrase


def breaches(root: Path, glossary: Glossary) -> list[Breach]:
    """Every retired word that is in use, and where."""
    retired = {parts(word): word for word in glossary.names | glossary.phrases}
    retired |= {f"{words.rstrip()}s ": word for words, word in retired.items()}
    found: set[Breach] = set()
    for path in sources(root):
        text = (root / path).read_text(encoding="utf-8")
        names = [*names_in(path, text), *((0, part) for part in path.with_suffix("").parts)]
        for line, words in ((line, parts(name)) for line, name in names):
            found |= {Breach(str(path), line, word) for old, word in retired.items() if old in words}
        if path.parts[0] != TESTS:
            found |= {Breach(str(path), line, phrase) for line, phrase in phrases_in(text, glossary.phrases)}
    return sorted(found)


def unknown(root: Path, glossary: Glossary) -> list[str]:
    """What the glossary names and the project doesn't have."""
    known: set[str] = set()
    for path in sources(root):
        if path.suffix != ".md" and path.parts[0] != TESTS:
            known |= {parts(name) for _, name in names_in(path, (root / path).read_text(encoding="utf-8"))}
            known |= {parts(path.stem)}
    return sorted(name for name in glossary.where if parts(name) not in known and not (root / name).exists())


def main() -> None:
    """Print what is wrong and end with 1, or say nothing.

    Raises:
        SystemExit: if a retired word is in use, or a name of the glossary is not.
    """
    glossary = parse((ROOT / GLOSSARY).read_text(encoding="utf-8"))
    faults = [str(breach) for breach in breaches(ROOT, glossary)]
    faults += [f"{GLOSSARY}: `{name}` is not a name or a path of the project" for name in unknown(ROOT, glossary)]
    if faults:
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
