"""What was looked up in the registry lately, kept in memory. Reads the truth only."""
