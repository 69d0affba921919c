"""Retired words are found wherever they hide, and the glossary names what exists."""

from pathlib import Path

import pytest

from infra.glossary import Breach, breaches, parse, parts, unknown

GLOSSARY = parse(
    "| term | meaning | where | retired |\n|---|---|---|---|\n"
    '| complete | holds everything | `mark_complete` | `vouch`, `is_settled`, "at length" |\n'
)


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def words(root: Path) -> list[tuple[str, int, str]]:
    return [(breach.path, breach.line, breach.word) for breach in breaches(root, GLOSSARY)]


@pytest.mark.parametrize(
    "name", ["auditSequence", "audit_sequence", "audit-sequence", "AuditSequence", "AUDIT_SEQUENCE"]
)
def test_a_name_is_read_in_its_parts(name: str) -> None:
    assert parts(name) == " audit sequence "


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("shared/one.py", "def vouch_for(): ...\n"),
        ("shared/one.py", 'METRIC = "CacheVouch"\n'),
        ("shared/one.py", "VOUCHS = 1\n"),
        ("shared/one.lua", "local vouch = 1\n"),
        ("functions/api/openapi.json", '{"vouch": 1}\n'),
        ("docs/one.md", "The field `vouchedBy`, or `vouch`.\n"),
        ("template.yaml", "Vouch: 1\n"),
        ("infra/one.yml", "name: Vouch\n"),
    ],
)
def test_a_retired_word_is_found_in_every_kind_of_name(tmp_path: Path, path: str, text: str) -> None:
    write(tmp_path, path, text)
    assert words(tmp_path) == [(path, 1, "vouch")]


def test_a_file_may_not_be_named_by_a_retired_word(tmp_path: Path) -> None:
    write(tmp_path, "shared/cache/vouch.lua", "return 1\n")
    assert words(tmp_path) == [("shared/cache/vouch.lua", 0, "vouch")]


def test_a_name_of_several_words_is_retired_as_a_whole(tmp_path: Path) -> None:
    write(tmp_path, "shared/one.py", "settled = is_open\nday_is_settled = 1\n")
    assert words(tmp_path) == [("shared/one.py", 2, "is_settled")]


def test_texts_may_hold_a_retired_name_but_no_retired_phrase(tmp_path: Path) -> None:
    write(tmp_path, "shared/one.py", '"""We vouch for it.\n\nAt\nlength.\n"""\n\n# said at\n# length\n')
    assert words(tmp_path) == [("shared/one.py", 3, "at length"), ("shared/one.py", 7, "at length")]


def test_texts_of_tests_are_free_but_their_names_are_not(tmp_path: Path) -> None:
    write(tmp_path, "tests/test_one.py", '"""Said at length."""\n\ndef test_vouch() -> None: ...\n')
    assert words(tmp_path) == [("tests/test_one.py", 3, "vouch")]


def test_the_glossary_the_changelog_and_decisions_may_keep_old_words(tmp_path: Path) -> None:
    for path in ("docs/glossary.md", "CHANGELOG.md", "docs/adr/0001-old.md"):
        write(tmp_path, path, "`vouch` at length\n")
    assert words(tmp_path) == []


def test_a_breach_says_where_and_what() -> None:
    assert str(Breach("shared/one.py", 3, "vouch")) == "shared/one.py:3: `vouch` is retired, see docs/glossary.md"


def test_what_the_glossary_names_has_to_exist(tmp_path: Path) -> None:
    write(tmp_path, "shared/one.py", "def other(): ...\n")
    assert unknown(tmp_path, GLOSSARY) == ["mark_complete"]
    write(tmp_path, "shared/one.py", "def mark_complete(): ...\n")
    assert unknown(tmp_path, GLOSSARY) == []
