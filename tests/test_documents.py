"""README and docs: what they link to, call and name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
SECTION = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(document: Path) -> set[str]:
    """What GitHub calls the sections of a document."""
    titles = SECTION.findall(document.read_text())
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def name(document: Path) -> str:
    return str(document.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_link_leads_somewhere(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_make_target_that_is_named_is_there(document: Path) -> None:
    named = set(re.findall(r"(?:`|^    )make ([a-z]+)", document.read_text(), re.MULTILINE))
    assert named <= TARGETS


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_file_of_the_project_that_is_named_is_there(document: Path) -> None:
    folders = "functions|shared|infra|tests|docs|events"
    for path in re.findall(rf"`((?:{folders})/[\w/.-]*\w)`", document.read_text()):
        assert (ROOT / path).exists(), path


def test_every_metric_that_is_named_is_written_by_a_function() -> None:
    handlers = "".join(path.read_text() for path in (ROOT / "functions").glob("*/handler.py"))
    written = set(re.findall(r'add_metric\(f?"(\w+?)_?[{"]', handlers))
    written |= {"Applied", "Duplicate", "Rejected", "Failed"}  # the dispositions
    design = (ROOT / "docs" / "design.md").read_text().partition("## Watching it")[2].partition("##")[0]
    named = {one.partition("_")[0] for one in re.findall(r"`([A-Z]\w+)`", design)} - {"Leaderboards"}
    assert named <= written
    assert written <= named


def test_decisions_are_numbered_without_gaps_and_each_says_what_it_is_about() -> None:
    decisions = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    assert [int(path.name[:4]) for path in decisions] == list(range(1, len(decisions) + 1))
    for path in decisions:
        assert re.match(rf"# {int(path.name[:4])}(\.| ·) \S", path.read_text()), path.name
