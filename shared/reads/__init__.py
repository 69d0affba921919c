"""Rankings, players and results as the API answers them. Reads the cache, and the truth where it has to."""
