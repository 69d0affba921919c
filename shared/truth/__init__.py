"""The truth: ledger, standings and registry in DynamoDB."""
