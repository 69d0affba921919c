"""Writes docs/openapi.json: the API's contract, as the service itself serves it."""

import json
from pathlib import Path
from typing import Any, Final

from functions.api.app import create_app
from infra.local.config import Config, Ports
from shared.assembly import Assembly
from shared.settings import load

DOCUMENT: Final = Path(__file__).parents[1] / "docs" / "openapi.json"


def contract() -> dict[str, Any]:
    """The OpenAPI document; it depends on the code alone, nothing has to run for it."""
    return create_app(Assembly(load(Config(Path(), Path(), Ports()).environment()))).openapi()


def text() -> str:
    """The document as it is checked in."""
    return json.dumps(contract(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(text(), encoding="utf-8")
