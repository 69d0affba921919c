"""Reads rankings, players and results for the API: the cache, and the truth if it has to. May use rebuild, lookups."""
