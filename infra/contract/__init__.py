"""The API's contract: an OpenAPI document made of what the routes declare, with examples and schemas.

`python -m infra.contract` writes it to functions/api/openapi.json, which the service answers with.
"""

import json
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from functions.api.app import create_app
from infra.contract.document import complete
from infra.local.config import Config, Ports
from shared.assembly import Assembly
from shared.settings import load


def contract() -> dict[str, Any]:
    """The OpenAPI document; it depends on the code alone, nothing has to run for it."""
    app = create_app(Assembly(load(Config(Path(), Path(), Ports()).environment())))
    return complete(app, FastAPI.openapi(app))


def text() -> str:
    """The document as it is checked in."""
    return json.dumps(contract(), indent=2, ensure_ascii=False) + "\n"
