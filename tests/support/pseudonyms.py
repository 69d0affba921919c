"""Pseudonyms and profiles where there are none."""

from types import SimpleNamespace
from typing import Any

from shared.lookups.pseudonyms import Pseudonyms

KEY = b"a key of the tests, of 32 bytes!"
NO_PSEUDONYMS = Pseudonyms(lambda _: {}, lambda: KEY)
NO_PROFILES: Any = SimpleNamespace(keep=lambda _: None, take_dropped=lambda: 0)
