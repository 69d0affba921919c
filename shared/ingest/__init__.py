"""Score events into the ledger, the standings and the cache, each exactly once. Uses truth, cache and messaging."""
