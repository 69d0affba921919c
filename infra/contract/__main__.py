"""Writes functions/api/openapi.json and docs/asyncapi.json."""

from functions.api.app import CONTRACT
from infra.contract import asyncapi, text

CONTRACT.write_text(text(), encoding="utf-8")
asyncapi.DOCUMENT.write_text(asyncapi.text(), encoding="utf-8")
