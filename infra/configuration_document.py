"""Writes docs/configuration.md: every setting, from where it is declared."""

import ast
import inspect
import re
import textwrap
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import yaml
from msgspec import NODEFAULT, Meta

from infra.local.config import API_WORKERS_MAX, CACHE_NODES_MAX, POSITIVE, Ports
from shared.settings import SECRETS, Settings

ROOT: Final = Path(__file__).parents[1]
DOCUMENT: Final = ROOT / "docs" / "configuration.md"

HEAD: Final = """\
# Configuration

Everything is set by the environment. A missing or invalid variable stops the start with one line that names it:

    environment: set `CACHE_URL`
    environment: Expected `int` >= 10 - at `CACHE_TIMEOUT_MS`

`make configuration` writes this page from the declarations of the settings
([`shared/settings.py`](../shared/settings.py), [`infra/local/config.py`](../infra/local/config.py),
[`template.yaml`](../template.yaml)); a test compares it with them. Locally nothing has to be set; on AWS the template
sets the functions' environment from its parameters.
"""
SETTINGS_HEAD: Final = """
## The functions

A secret is the variable's value or a reference, as in the template: `secretsmanager:<name or ARN>` or
`ssm:<name>` is read once at the start, for which the function needs the right.

| variable | what for | values | default |
|---|---|---|---|
"""
OTHERS: Final = """
Libraries read variables of their own: `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_DYNAMODB` and the other
[endpoints of AWS' SDKs](https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html), credentials
likewise; and of [Powertools](https://docs.aws.amazon.com/powertools/python/latest/environment_variables/)
`POWERTOOLS_SERVICE_NAME`, `POWERTOOLS_LOG_LEVEL` and `POWERTOOLS_TRACE_DISABLED` (`true` where there is no X-Ray).
Of [OpenTelemetry](https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/) the functions read
`OTEL_EXPORTER_OTLP_ENDPOINT`, which switches its traces on ([tracing](tracing.md)), and then those of the SDK.
"""
LOCAL_HEAD: Final = """
## The local stack

For `make run`, `make up` and everything else here. Two stacks run side by side if they share neither ports nor
directory.

| variable | what for | values | default |
|---|---|---|---|
"""
LOCAL: Final = {
    "LOCAL_DIR": ("State and logs of the stack; survives a restart", "a directory", "`.local/state`"),
    "LOCAL_PACKAGES_DIR": ("Downloaded servers; may be shared", "a directory", "`.local/packages`"),
    "DYNAMODB_ENGINE": (
        "Engine that stands in for DynamoDB; by default the one that made the state, else dynoxide if it is installed",
        "`dynoxide`, `dynamodb-local`",
        "",
    ),
    "CACHE_ENGINE": (
        "Engine that keeps the cache; what another one wrote is forgotten. Redis is the system's `redis-server`, of "
        "version 7",
        "`valkey`, `redis`",
        "`valkey`",
    ),
    "CACHE_NODES": (
        "Servers of the cache; several are a cluster, at CACHE_PORT and the ports after it, and 100 above each. With "
        "another number it starts empty",
        f"1 to {CACHE_NODES_MAX}",
        "`1`",
    ),
    "ALLOWED_ORIGINS": (
        "Origins of web pages that may call the API, as the template's parameter AllowedOrigins",
        "origins such as `http://localhost:5173`, separated by commas",
        "",
    ),
    "API_WORKERS": (
        "Processes that serve the API, each one request at a time, as the instances of the function do on AWS; each "
        "request that waits for a change (`Prefer: wait`) holds one",
        f"1 to {API_WORKERS_MAX}",
        "the number of cores and two",
    ),
    "LOG_LEVEL": ("Level of the functions' logs", "`DEBUG`, `INFO`, `WARNING`, `ERROR`", "`INFO`"),
}
NUMBERS: Final = {
    "EVENTS_PER_SECOND": "Demo events that `make run` sends in a second",
    "ANTI_ENTROPY_EVERY_S": "Interval of anti-entropy, s",
    "SNAPSHOTS_EVERY_S": "Interval of snapshots, s",
    "CLOSE_EVERY_S": "Interval of closing, s",
}
PORTS: Final = {
    "api": "the HTTP API",
    "kafka": "Kafka",
    "kafka_controller": "Kafka's controller, used by the broker alone",
    "cache": "the cache",
    "dynamodb": "DynamoDB",
    "aws": "S3, SQS and SNS",
}
PARAMETERS_HEAD: Final = """
## The template

Parameters of `sam deploy` ([deployment](deployment.md)).

| parameter | what for | values | default |
|---|---|---|---|
"""


def text() -> str:
    """The document as it is checked in.

    Raises:
        ValueError: if a setting is declared without a description.
    """
    settings = "".join(map(_row, _settings()))
    local = "".join(map(_row, _local()))
    parameters = "".join(map(_row, _parameters()))
    return f"{HEAD}{SETTINGS_HEAD}{settings}{OTHERS}{LOCAL_HEAD}{local}{PARAMETERS_HEAD}{parameters}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _settings() -> Iterator[tuple[str, str, str, str]]:
    purposes, hints = _docstrings(Settings), get_type_hints(Settings, include_extras=True)
    for field in msgspec.structs.fields(Settings):
        if field.name not in purposes:
            raise ValueError(f"{field.encode_name} doesn't say what it is for")
        takes = _takes(hints[field.name]) + (" or a reference" if field.encode_name in SECRETS else "")
        default = "**required**" if field.default is NODEFAULT else _default(field.default)
        yield f"`{field.encode_name}`", purposes[field.name].rstrip("."), takes, default


def _default(value: Any) -> str:
    return f"`{value}`" if value not in (None, "") else ""


def _docstrings(of: type) -> Mapping[str, str]:
    """What stands below each field of a class; Python itself does not keep it."""
    (declared,) = ast.parse(textwrap.dedent(inspect.getsource(of))).body
    assert isinstance(declared, ast.ClassDef)  # noqa: S101 - it is the source of a class
    found = {}
    for field, below in zip(declared.body, declared.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            found[field.target.id] = inspect.cleandoc(ast.literal_eval(below.value)).replace("\n", " ")
    return found


def _takes(hint: Any) -> str:
    """Values of a type, in words."""
    if get_origin(hint) in (Union, types.UnionType):
        return _takes(next(one for one in get_args(hint) if one is not type(None)))
    if get_origin(hint) is Literal:
        return ", ".join(f"`{one}`" for one in get_args(hint))
    metas = [one for one in getattr(hint, "__metadata__", ()) if isinstance(one, Meta)]
    for meta in metas:
        if meta.description is not None:
            return meta.description
        if meta.ge is not None and meta.le is not None:
            return f"{meta.ge:,} to {meta.le:,}"
    raise ValueError(f"{hint} has no description of its values")


def _local() -> Iterator[tuple[str, str, str, str]]:
    for name, default in zip(Ports.__struct_fields__, Ports.__struct_defaults__, strict=True):
        yield f"`{name.upper()}_PORT`", f"Port of {PORTS[name]}", "1 to 65,535", f"`{default}`"
    for name, cells in LOCAL.items():
        yield (f"`{name}`", *cells)
    for name, default in POSITIVE.items():
        yield f"`{name}`", NUMBERS[name], "a number above 0", f"`{default}`"


def _parameters() -> Iterator[tuple[str, str, str, str]]:
    template = (ROOT / "template.yaml").read_text()
    declarations = yaml.load(template, yaml.BaseLoader)["Parameters"]  # noqa: S506 - it makes nothing but text
    for name, declared in declarations.items():
        purpose = declared.get("Description", "")
        if not purpose:
            raise ValueError(f"parameter {name} doesn't say what it is for")
        default = declared.get("Default")
        without = "**required**" if default is None else _default(default)
        yield f"`{name}`", re.sub(r"\.$", "", purpose), _taken(declared), without


def _taken(declared: Mapping[str, Any]) -> str:
    """Values of a parameter: a range, one of some values, what its constraint says, or its type."""
    if "MinValue" in declared:
        return f"{int(declared['MinValue']):,} to {int(declared['MaxValue']):,}"
    if "AllowedValues" in declared:
        return ", ".join(declared["AllowedValues"])
    if "ConstraintDescription" in declared:
        return str(declared["ConstraintDescription"]).removeprefix("must be ")
    kinds = {"String": "text", "CommaDelimitedList": "a list", "AWS::EC2::VPC::Id": "an id"}
    return kinds.get(declared["Type"], "ids")


if __name__ == "__main__":
    DOCUMENT.write_text(text(), encoding="utf-8")
