"""Builds and repairs windows in the cache from the truth, and writes their snapshots. May use admin and lookups."""
