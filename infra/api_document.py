"""Writes docs/api.md: the contract for people, with requests that a test sends."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from functions.api.problems import BY_STATUS, CONTENT_TYPE, KINDS, UNEXPECTED
from infra import api_series
from infra.api_errors import ERRORS, ERRORS_HEAD, WHEN
from infra.api_fields import Fields
from infra.api_text import BODIES, COUNTERS, EVENTS, HEAD, INTRODUCTIONS, REQUESTS, SECTIONS
from infra.contract import contract

ROOT: Final = Path(__file__).parents[1]
DOCUMENT: Final = ROOT / "docs" / "api.md"
EVENT_SCHEMA: Final = ROOT / "events" / "score-event.schema.json"
WIDTH: Final = 110
"""Characters of JSON that stand in one line."""
_FORMATS: Final = {"date": "day, `YYYY-MM-DD`", "date-time": "instant, RFC 3339"}
_BOUNDS: Final = {2**53 - 1: "2^53−1", -(2**53 - 1): "−(2^53−1)"}
_ALL_KINDS: Final = {kind.slug: kind for kind in (*KINDS.values(), *BY_STATUS.values(), UNEXPECTED)}


class Operation:
    """One route of the contract by its id."""

    def __init__(self, method: str, path: str, declared: Mapping[str, Any]) -> None:
        self.title = f"{method.upper()} {path}"
        self.name: str = declared["operationId"]
        self.description: str = declared["description"]
        self.answers: Mapping[str, Any] = declared["responses"]
        self.parameters = [one for one in declared.get("parameters", ()) if one["in"] != "path"]
        self.scope: str | None = next((one["token"][0] for one in declared.get("security", ())), None)
        content = declared.get("requestBody", {}).get("content", {}).get("application/json")
        self.body: str | None = content and content["schema"]["$ref"].rpartition("/")[2]

    def errors(self) -> list[str]:
        """What it may answer beside what any route may.

        Raises:
            ValueError: if one of them is none of the contract's.
        """
        kinds = ERRORS.get(self.name, ())
        for slug in kinds:
            if str(_ALL_KINDS[slug].status) not in self.answers:
                raise ValueError(f"{self.title} never answers {slug}")
        return [f"`{slug}` ({_ALL_KINDS[slug].status})" for slug in kinds]


def text() -> str:
    """The document as it is checked in.

    Raises:
        ValueError: if an operation or a kind of problem is in the contract but not in the text, or the other way round.
    """
    document = contract()
    found = [Operation(*of) for of in _declared(document)]
    operations = {one.name: one for one in found}
    in_text = [name for names in SECTIONS.values() for name in names]
    if sorted(in_text) != sorted(operations) or REQUESTS.keys() != operations.keys():
        raise ValueError(f"the text doesn't fit {sorted(operations.keys() ^ REQUESTS.keys())}, or its sections don't")
    parts = [HEAD, *_overview([operations[name] for name in in_text])]
    writer = _Writer(document)
    for title, names in SECTIONS.items():
        parts += [f"## {title}\n", INTRODUCTIONS.get(title, "")]
        parts += (writer.section(operations[name]) for name in names)
        if title == "Leaderboards":
            parts += _events()
    parts += [*_bodies(document), *_errors()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).strip() + "\n"


def _declared(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, routes in document["paths"].items():
        for method, operation in routes.items():
            yield method, path, operation


def _overview(operations: Sequence[Operation]) -> Iterator[str]:
    yield "## All routes\n"
    yield "| request | what for | scope |\n|---|---|---|"
    for one in operations:
        anchor = re.sub(r"[^\w\- ]", "", one.title.lower()).replace(" ", "-")
        what = " ".join(one.description.partition("\n\n")[0].split())
        yield f"| [`{one.title}`](#{anchor}) | {what} | {f'`{one.scope}`' if one.scope else 'none'} |"
    yield ""


class _Writer:
    """Sections of routes; what an answer looks like and what its fields say stands where it comes first."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._shown: list[Any] = []
        self._fields = Fields(document["components"]["schemas"])

    def section(self, operation: Operation) -> str:
        lines = [f"### {operation.title}", "", operation.description, ""]
        if operation.body is not None:
            lines += [f"Body: [{operation.body}](#{operation.body.lower()}).", ""]
        lines += [*_parameters(operation), _block("sh", REQUESTS[operation.name])]
        for status, answer in operation.answers.items():
            if _is_shown(status, answer):
                lines += self._answer(status, answer)
        if operation.name == "getMetrics":
            lines += [*api_series.table(), COUNTERS]
        errors = operation.errors()
        if errors:
            lines += [f"Errors, beside [those of any route](#errors): {', '.join(errors)}.", ""]
        return "\n".join(lines)

    def _answer(self, status: str, answer: Mapping[str, Any]) -> Iterator[str]:
        contents = list(answer.get("content", {}).values())
        examples = _examples(contents[0]) if contents else []
        fresh = [one for one in examples if one not in self._shown]
        yield f"**{status}** {answer['description']}{', as above' if examples and not fresh else ''}."
        yield ""
        if not fresh:
            return
        self._shown += fresh
        for example in fresh:
            yield _block("text", example) if isinstance(example, str) else _block("json", _json(example))
        fields = self._fields.of(contents[0]["schema"])
        if fields:
            yield from ("| field | |", "|---|---|", *(f"| `{name}` | {meaning} |" for name, meaning in fields), "")


def _examples(content: Mapping[str, Any]) -> list[Any]:
    """One, or one of each view that the answer may be."""
    if "examples" in content:
        return [one["value"] for one in content["examples"].values()]
    return [content["example"]] if "example" in content else []


def _is_shown(status: str, answer: Mapping[str, Any]) -> bool:
    """Whether an answer stands in its route's section: each that is no problem."""
    return status.isdigit() and "$ref" not in answer and CONTENT_TYPE not in answer.get("content", {})


def _parameters(operation: Operation) -> Iterator[str]:
    if operation.parameters:
        yield "| parameter | takes | without it | |"
        yield "|---|---|---|---|"
        for one in operation.parameters:
            name = f"header `{one['name']}`" if one["in"] == "header" else f"`{_called(one)}`"
            yield f"| {name} | {_takes(one['schema'])} | {_without(one)} | {one['description']} |"
        yield ""


def _called(parameter: Mapping[str, Any]) -> str:
    """The name that is written in a query; an object's properties are parameters each."""
    return "attr.<filter>" if parameter["schema"].get("type") == "object" else parameter["name"]


def _without(parameter: Mapping[str, Any]) -> str:
    if parameter["required"]:
        return "refused"
    default = parameter.get("x-default", parameter["schema"].get("default"))
    return "" if default is None else f"`{default}`"


def _takes(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema["type"] == "array":
        return f"up to {schema['maxItems']}, given several times"
    if (format_name := schema.get("format")) in _FORMATS:
        return _FORMATS[format_name]
    if schema["type"] == "boolean":
        return "`true` or `false`"
    kind = {"integer": "integer", "number": "number", "string": "text", "object": "text"}[schema["type"]]
    if not {"minimum", "maximum"} <= schema.keys():
        return kind
    bounds = (schema[bound] for bound in ("minimum", "maximum"))
    low, high = (_BOUNDS.get(bound, f"{int(bound) if kind == 'integer' else bound:,}") for bound in bounds)
    return f"{kind}, {low} to {high}"


def _json(value: Any, depth: int = 0) -> str:
    """JSON over as many lines as it takes to stay within WIDTH."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + 2 * depth <= WIDTH or not isinstance(value, dict | list):
        return flat
    inner, outer = "  " * (depth + 1), "  " * depth
    if isinstance(value, list):
        return "[\n" + ",\n".join(f"{inner}{_json(one, depth + 1)}" for one in value) + f"\n{outer}]"
    lines = [f"{inner}{json.dumps(name)}: {_json(one, depth + 1)}" for name, one in value.items()]
    return "{\n" + ",\n".join(lines) + f"\n{outer}}}"


def _events() -> Iterator[str]:
    schema = json.loads(EVENT_SCHEMA.read_text(encoding="utf-8"))
    yield INTRODUCTIONS["Score events"]
    yield "| field | | |\n|---|---|---|"
    for name, field in schema["properties"].items():
        needed = "required" if name in schema["required"] else "optional"
        yield f"| `{name}` | {needed} | {field['description'].replace('|', '&#124;')} |"
    yield ""
    yield _block("sh", EVENTS)


def _bodies(document: Mapping[str, Any]) -> Iterator[str]:
    yield "## Bodies\n"
    for name in BODIES:
        schema = document["components"]["schemas"][name]
        yield f"### {name}\n\n{schema['description']}\n\n| field | takes | without it | |\n|---|---|---|---|"
        for field, declared in schema["properties"].items():
            options = [one for one in declared.get("anyOf", [declared]) if one.get("type") != "null"]
            without = "refused" if field in schema.get("required", ()) else _default(declared.get("default"))
            yield f"| `{field}` | {_field(document, options[0])} | {without} | {declared['description']} |"
        yield ""


def _field(document: Mapping[str, Any], declared: Mapping[str, Any]) -> str:
    if "$ref" in declared:
        name = declared["$ref"].rpartition("/")[2]
        schema = document["components"]["schemas"][name]
        return _takes(schema) if "enum" in schema else f"[{name}](#{name.lower()})"
    if declared["type"] == "object":
        most = declared.get("maxProperties")
        return "object" if most is None else f"object of up to {most} texts by their names"
    if declared["type"] == "array":
        return f"up to {declared['maxItems']} of {_field(document, declared['items'])}"
    if "minLength" in declared and "maxLength" in declared:
        return f"text, {declared['minLength']} to {declared['maxLength']} characters"
    return _takes(declared)


def _default(value: Any) -> str:
    return "" if value is None else f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _errors() -> Iterator[str]:
    if WHEN.keys() != _ALL_KINDS.keys():
        raise ValueError(f"said of no problem, or of none that there is: {sorted(WHEN.keys() ^ _ALL_KINDS.keys())}")
    yield ERRORS_HEAD
    yield "| status | kind | when | `Retry-After` |\n|---|---|---|---|"
    for kind in sorted(_ALL_KINDS.values(), key=lambda one: (one.status, one.slug)):
        retry = "" if kind.retry_after_s is None else f"{kind.retry_after_s} s"
        yield f"| {kind.status} | `{kind.slug}` | {WHEN[kind.slug]} | {retry} |"


def _block(language: str, content: str) -> str:
    return f"```{language}\n{content.strip()}\n```\n"


if __name__ == "__main__":
    DOCUMENT.write_text(text(), encoding="utf-8")
