"""The live windows: sorted sets in Redis, all of it computed from the truth and computable again."""
