"""Pseudonyms where there are none."""

from shared.lookups.pseudonyms import Pseudonyms

KEY = b"a key of the tests, of 32 bytes!"
NO_PSEUDONYMS = Pseudonyms(lambda _: {}, lambda: KEY)
