"""Writes functions/api/openapi.json."""

from functions.api.app import CONTRACT
from infra.contract import text

CONTRACT.write_text(text(), encoding="utf-8")
