"""The cache from the truth: windows built whole or on demand, repaired and kept as snapshots. Writes the cache only."""
