"""What administrators and operators do: disqualify, redrive dead letters, look at the state of the service."""
