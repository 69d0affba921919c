"""What administrators and operators do: disqualify, redrive dead letters, check the state of the service."""
