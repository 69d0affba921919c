"""The whole system on one machine, without an AWS account. Nothing here goes into the functions' image."""
