"""Everything that deploys or runs the system."""
