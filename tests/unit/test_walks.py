"""The walks through the code in docs/architecture.md: every hop exists, calls the next one, and none goes back."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from msgspec import Struct

ROOT = Path(__file__).parents[2]
SECTION = "## Walks through the code"
HOPS_MAX = 20
FRAMEWORK = "functions/api"
"""FastAPI and Mangum call from one of its files into the next."""


class Hop(Struct, frozen=True):
    """A function of a walk, and the one that calls it."""

    path: str
    function: str
    depth: int

    @property
    def package(self) -> str:
        return "/".join(self.path.split("/")[:2])

    @property
    def name(self) -> str:
        return self.function.rpartition(".")[2]


def walks() -> dict[str, list[Hop]]:
    """Title of a walk → its hops, in their order."""
    text = (ROOT / "docs" / "architecture.md").read_text().partition(SECTION)[2].partition("\n## ")[0]
    found = {}
    for part in text.split("\n### ")[1:]:
        title, _, body = part.partition("\n")
        hops = re.findall(r"^( *)- `([\w/]+\.(?:py|lua))(?::([\w.]+))?`", body, re.MULTILINE)
        found[title] = [Hop(path, function, len(indent) // 2) for indent, path, function in hops]
    return found


WALKS = walks()
every_walk = pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS)


@cache
def functions_of(path: str) -> dict[str, ast.AST]:
    """Qualified name → function or class of a file."""
    found: dict[str, ast.AST] = {}

    def collect(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found[f"{prefix}{child.name}"] = child
                collect(child, f"{prefix}{child.name}.")

    collect(ast.parse((ROOT / path).read_text()), "")
    return found


def mentioned_by(path: str, function: str) -> set[str]:
    """Names that a function mentions, itself or through private functions of the same file."""
    functions = functions_of(path)
    names: set[str] = set()
    todo, done = [functions[function]], set[int]()
    while todo:
        node = todo.pop()
        done.add(id(node))
        inside = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
        inside |= {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)}
        names |= inside
        called = {name for name in inside if name.startswith("_") and not name.startswith("__")}
        private = [one for name, one in functions.items() if name.rpartition(".")[2] in called]
        todo += [one for one in private if id(one) not in done]
    return names


def callers(walk: list[Hop]) -> list[list[Hop]]:
    """For each hop, the hops that lead to it."""
    stack: list[Hop] = []
    found = []
    for hop in walk:
        del stack[hop.depth :]
        found.append([*stack])
        stack.append(hop)
    return found


def test_event_read_closing_and_export_are_walked() -> None:
    assert list(WALKS) == ["An event", "A read", "A closing", "An export"]


@every_walk
def test_every_hop_exists(walk: list[Hop]) -> None:
    for hop in walk:
        assert (ROOT / hop.path).exists(), hop.path
        if hop.function:
            assert hop.function in functions_of(hop.path), f"{hop.path}:{hop.function}"


@every_walk
def test_a_walk_is_short_and_has_each_hop_once(walk: list[Hop]) -> None:
    assert 0 < len(walk) <= HOPS_MAX
    assert len({(hop.path, hop.function) for hop in walk}) == len(walk)


@every_walk
def test_every_hop_is_called_by_the_one_above_it(walk: list[Hop]) -> None:
    for hop, before in zip(walk, callers(walk), strict=True):
        assert len(before) == hop.depth, hop
        if before and hop.function and not before[-1].path.startswith(FRAMEWORK):
            names = mentioned_by(before[-1].path, before[-1].function)
            assert {hop.name, hop.function.partition(".")[0]} & names, (
                f"{before[-1].function} doesn't call {hop.function}"
            )


@every_walk
def test_no_call_goes_back_into_a_package_that_it_has_left(walk: list[Hop]) -> None:
    for hop, before in zip(walk, callers(walk), strict=True):
        packages = [one.package for one in (*before, hop)]
        entered = [one for one, last in zip(packages, [None, *packages], strict=False) if one != last]
        assert len(set(entered)) == len(entered), " → ".join(entered)
