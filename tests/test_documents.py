"""README and docs: what they link to, call and name is there."""

import ast
import builtins
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from opentelemetry.sdk import environment_variables

from infra import api_document, api_series, configuration_document
from infra.configuration_document import LOCAL
from infra.diagrams import PICTURES, Diagram, all_diagrams, diagrams_in
from infra.local.config import POSITIVE, Config, Ports
from shared.closing.runs import Cause
from shared.domain.rejections import Reason
from shared.ingest.outcomes import OutcomeKind
from shared.settings import Settings
from shared.telemetry import Metric
from tests.support.runnable import COVERED, DOCUMENTS, MARK, ROOT, command_blocks

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
    named = set(re.findall(r"(?:`|^    )make ([a-z-]+)", document.read_text(), re.MULTILINE))
    assert named <= TARGETS


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_file_of_the_project_that_is_named_is_there(document: Path) -> None:
    folders = "functions|shared|infra|tests|docs|events"
    for path in re.findall(rf"`((?:{folders})/[\w/.-]*\w)`", document.read_text()):
        assert (ROOT / path).exists(), path


def settings() -> set[str]:
    """Every environment variable that something of the project reads or sets, every variable of the Makefile, and the
    arguments of the image.
    """
    folders = ("functions", "shared", "infra", "docs", "tests")
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    read = re.compile(r"environ(?:\.get\(|\[)\"([A-Z_]+)\"|values\.get\(\"([A-Z_]+)\"")
    found = {one or other for path in sources for one, other in read.findall(path.read_text())}
    found |= {*POSITIVE, *LOCAL}
    found |= {f"{port.upper()}_PORT" for port in Ports.__struct_fields__}
    found |= set(re.findall(r"\$[({]+([A-Z_]+)", (ROOT / "Makefile").read_text()))
    for deployed in ("template.yaml", "docker-compose.yml"):
        found |= set(re.findall(r"^ +([A-Z][A-Z_]+):", (ROOT / deployed).read_text(), re.MULTILINE))
    found |= set(re.findall(r"^ARG ([A-Z_]+)", (ROOT / "infra" / "Dockerfile").read_text(), re.MULTILINE))
    found |= {one for one in vars(environment_variables) if one.startswith("OTEL_")}
    return found | {*Settings.__struct_encode_fields__, *Config(ROOT, ROOT, Ports()).environment()}


def other_names() -> set[str]:
    """What is written as settings are and is none: constants of the code, values of settings, words of AWS."""
    folders = ("functions", "shared", "infra", "tests")
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    constants = re.compile(r"^([A-Z][A-Z0-9_]*)(?:: [\w\[\], ]+)? = ", re.MULTILINE)
    values = {value for hint in get_type_hints(Settings).values() for value in get_args(hint) if isinstance(value, str)}
    values |= {"CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND", "SOURCE_DATE_EPOCH", "SASL_SSL", "AWS_MSK_IAM", "TLS_1_2"}
    values |= {"API_ID", "BROKERS", "CERTIFICATE_ARN", "CLUSTER_ARN", "DIGEST", "JWT_ISSUER"}  # of commands in a shell
    return values.union(*(constants.findall(path.read_text()) for path in sources))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_setting_that_is_named_is_read_by_something(document: Path) -> None:
    text = re.sub(r"^```(sh|json)\n.*?^```$", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    code = "\n".join(re.findall(r"`[^`\n]+`|^    .+$", text, re.MULTILINE))
    named = set(re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b(?!\()", code)) | set(re.findall(r"\b([A-Z]{3,})=", code))
    assert named <= settings() | other_names()


BY = {
    "code": [str(reason) for reason in Reason],
    "cause": [str(cause) for cause in Cause],
    "f\"{answer['statusCode'] // 100}xx\"": [f"{hundreds}xx" for hundreds in range(2, 6)],
}
"""What handlers count a metric by → the parts that can come of it."""
TELL_OF_METRICS = [ROOT / "README.md", *(ROOT / "docs" / f"{one}.md" for one in ("design", "runbook", "development"))]
"""There, what looks like a metric is one or something else that is known."""
AWS_WORDS = {
    *("AccessDenied", "AllAtOnce", "BatchGetItem", "ConcurrentExecutions", "Invocations", "LastProcessingResult"),
    *("LogAppendTime", "OutOfMemory", "Prefer", "Put", "PutItem", "Throttles", "TransactWriteItems"),
}


def metrics() -> set[str]:
    """Every metric that a function writes to CloudWatch."""
    written: set[str] = set()
    for path in (ROOT / "functions").glob("*/handler.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and ast.unparse(call.func) in ("measure", "Measured"):
                name = ast.unparse(call.args[0])
                if name == "Metric(kind.capitalize())":
                    written.update(Metric(kind.capitalize()) for kind in OutcomeKind)
                    continue
                metric = Metric[name.removeprefix("Metric.")]
                by = [ast.unparse(keyword.value) for keyword in call.keywords]
                written.update([f"{metric}_{part}" for part in BY[by[0]]] if by else [metric])
    return written


def test_functions_write_every_metric_of_the_list_and_only_through_it() -> None:
    assert {stem(one) for one in metrics()} == set(Metric)
    sources = [path for folder in ("functions", "shared") for path in (ROOT / folder).rglob("*.py")]
    assert [path.name for path in sources if "metrics.add_metric(" in path.read_text()] == ["telemetry.py"]


def nouns() -> set[str]:
    """What is written as metrics are and is none: classes of the code, and what the templates name."""
    folders = ("functions", "shared", "infra", "tests")
    sources = [path.read_text() for folder in folders for path in (ROOT / folder).rglob("*.py")]
    classes = {name for source in sources for name in re.findall(r"^class (\w+)", source, re.MULTILINE)}
    templates = [ROOT / "template.yaml", *(ROOT / "infra" / "templates").glob("*.yaml")]
    return classes | {word for path in templates for word in re.findall(r"\w+", path.read_text())} | {*dir(builtins)}


def stem(metric: str) -> str:
    return metric.partition("_")[0]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_metric_that_is_named_is_written_by_a_function(document: Path) -> None:
    written = metrics()
    stems = {stem(one) for one in written}
    named = set(re.findall(r"`([A-Z][a-z]\w*)`", document.read_text()))
    assert {one for one in named if stem(one) in stems} <= written
    if document in TELL_OF_METRICS:
        assert {one for one in named if stem(one) not in stems} <= nouns() | AWS_WORDS


def test_every_metric_that_a_function_writes_is_in_the_design() -> None:
    design = (ROOT / "docs" / "design.md").read_text().partition("## Watching it")[2].partition("\n## ")[0]
    named = {*re.findall(r"`([A-Z][a-z]\w*)`", design)} - {"Leaderboards"}
    assert named <= metrics()
    assert {stem(one) for one in named} == {stem(one) for one in metrics()}


def test_every_log_line_that_the_runbook_quotes_is_written_by_the_code() -> None:
    quoted = set(re.findall(r"`((?!make |sam )[a-z]+(?: [a-z]+)+)`", (ROOT / "docs" / "runbook.md").read_text()))
    written = "\n".join(
        path.read_text() for folder in ("functions", "shared") for path in (ROOT / folder).rglob("*.py")
    )
    assert {one for one in quoted if f'"{one}' not in written} == set()
    assert quoted


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_series_that_is_named_is_in_a_scrape(document: Path) -> None:
    named = set(re.findall(r"\b(leaderboards_\w+)", re.sub(r"^# .+$", "", document.read_text(), flags=re.MULTILINE)))
    assert named <= {one for one, *_ in api_series.series()}


def test_the_example_behind_the_table_of_series_shows_every_family_of_a_scrape() -> None:
    source = (ROOT / "functions" / "api" / "exposition.py").read_text()
    families = set(re.findall(r'"(leaderboards_\w+)"', source))
    assert {re.sub(r"_(total|bucket)$", "", one) for one, *_ in api_series.series()} == families


def test_decisions_are_numbered_without_gaps_and_each_says_what_it_is_about() -> None:
    decisions = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    assert [int(path.name[:4]) for path in decisions] == list(range(1, len(decisions) + 1))
    for path in decisions:
        assert re.match(rf"# {int(path.name[:4])}(\.| ·) \S", path.read_text()), path.name


PARTS = ["Status", "Context", "Decision", "Alternatives", "Consequences"]
WORDS_MAX = 500


def test_every_decision_is_one_page_in_one_shape() -> None:
    for path in sorted((ROOT / "docs" / "adr").glob("[0-9]*.md")):
        text = path.read_text()
        parts = re.findall(r"^\*\*(\w+)\.\*\*(?: |$)", text, re.MULTILINE)
        assert [part for part in parts if part in PARTS] == PARTS, path.name
        assert len(text.split()) <= WORDS_MAX, path.name


def test_every_decision_is_in_the_index_with_its_title_status_and_consequence() -> None:
    folder = ROOT / "docs" / "adr"
    row = re.compile(
        r"^\| \[(\d+)\]\((\d{4}-[\w-]+\.md)\) (.+?) \| (in force|proposed|replaced by \d+) \| (\S.+) \|$", re.MULTILINE
    )
    listed = {}
    for number, file, title, status, _ in row.findall((folder / "README.md").read_text()):
        text = (folder / file).read_text()
        assert re.match(rf"# {number}(?:\.| ·) {re.escape(title)}\n", text), file
        replaced = re.search(r"^\*\*Status\.\*\* Superseded by \[ADR (\d+)\]", text, re.MULTILINE)
        kind = "proposed" if "**Status.** Proposed." in text else "in force"
        assert status == (f"replaced by {replaced[1]}" if replaced else kind), file
        listed[file] = number
    assert list(listed) == sorted(path.name for path in folder.glob("[0-9]*.md"))


@pytest.mark.parametrize("diagram", all_diagrams(), ids=lambda one: one.name)
def test_a_diagram_is_drawn_from_the_text_beside_it(diagram: Diagram) -> None:
    assert diagram.is_drawn, "its text has changed since: run `make diagrams`, and look at it"
    assert ET.parse(diagram.path).getroot().tag.endswith("svg")


def test_every_picture_has_a_text_of_its_own() -> None:
    names = [one.name for one in all_diagrams()]
    assert len(names) == len(set(names))
    assert {path.stem for path in PICTURES.glob("*.svg")} == set(names)


def test_a_diagram_whose_text_has_changed_counts_as_not_drawn() -> None:
    drawn = all_diagrams()[0]
    assert not Diagram(drawn.name, drawn.source + "  games --> nowhere\n").is_drawn


def test_a_text_without_a_picture_is_no_diagram() -> None:
    with pytest.raises(ValueError, match="no picture"):
        diagrams_in("```mermaid\nflowchart LR\n```")


def test_the_checked_in_api_document_is_that_of_the_contract() -> None:
    assert api_document.DOCUMENT.read_text(encoding="utf-8") == api_document.text(), "make openapi writes it anew"


def test_the_api_document_shows_every_answer_that_is_no_problem() -> None:
    text = api_document.text()
    ready = text.partition("### GET /health/ready")[2].partition("###")[0]
    assert "**503** Something that is needed is down" in ready
    assert '"status": "down"' in text


def test_bounds_of_integers_are_written_as_integers() -> None:
    assert not re.search(r"integer, [^|]*\d\.\d", api_document.text())


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_row_of_a_table_has_the_cells_of_its_head(document: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        rows = [re.sub(r"\\\|", "", re.sub(r"`[^`]*`", "", row)) for row in table.splitlines()]
        assert len(rows) > 2, table
        assert {(row.count("|"), row[-1]) for row in rows} == {(rows[0].count("|"), "|")}, table


def test_the_checked_in_configuration_is_that_of_the_settings() -> None:
    text = configuration_document.DOCUMENT.read_text(encoding="utf-8")
    assert text == configuration_document.text(), "make configuration writes it anew"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_block_of_commands_is_marked_to_be_run(document: Path) -> None:
    for block in command_blocks(document):
        assert block.language == MARK, f"```{MARK} is run; what is not meant to be stands indented: {block.name}"


def test_a_block_that_is_not_run_stands_somewhere_and_names_a_test_that_is_there() -> None:
    blocks = {block.name for document in DOCUMENTS for block in command_blocks(document)}
    assert COVERED.keys() <= blocks
    for test, reason in COVERED.values():
        path, _, function = test.partition("::")
        assert f"def {function}(" in (ROOT / path).read_text(), test
        assert reason
