"""What the fields of answers say: the words that stand beside them in the code, for docs/api.md."""

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from infra.contract.document import VIEWS

_MODULES: Final = [sys.modules[name] for name in dict.fromkeys(view.__module__ for view in VIEWS)]


class Fields:
    """Each field once, in the order in which answers show them."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        """`schemas`: those of the contract, by name."""
        self._schemas = schemas
        self._notes = {name: notes for module in _MODULES for name, notes in _notes_of(inspect.getsource(module))}
        self._said: set[tuple[str, str]] = set()

    def of(self, schema: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Path of a field (`entries[].rank`) and what it says, for all below `schema` that were not told before."""
        return list(self._walk(schema, ""))

    def _walk(self, schema: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
        name = schema.get("$ref", "").rpartition("/")[2]
        if not name:
            for option in schema.get("anyOf", ()):
                yield from self._walk(option, prefix)
            if "items" in schema:
                yield from self._walk(schema["items"], f"{prefix.removesuffix('.')}[].")
            return
        for field, declared in self._schemas[name].get("properties", {}).items():
            owner, note = self._note(name, field)
            if note and (owner, field) not in self._said:
                self._said.add((owner, field))
                yield f"{prefix}{field}", note
            yield from self._walk(declared, f"{prefix}{field}.")

    def _note(self, name: str, field: str) -> tuple[str, str | None]:
        """Who declares a field, and its words."""
        view = next(getattr(module, name) for module in _MODULES if hasattr(module, name))
        wire = dict(zip(view.__struct_encode_fields__, view.__struct_fields__, strict=True))
        for owner in view.__mro__:
            if owner is not Struct and wire[field] in self._notes.get(owner.__name__, {}):
                return owner.__name__, self._notes[owner.__name__][wire[field]]
        return name, None


def _notes_of(source: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Classes of a module with the strings that stand below their fields."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            notes = {}
            for field, after in zip(node.body, node.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    match after:
                        case ast.Expr(ast.Constant(str() as note)):
                            notes[field.target.id] = " ".join(note.split())
            yield node.name, notes
