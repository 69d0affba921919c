"""Exports rankings as files, computed from the truth by a second implementation. Writes S3 and its own jobs."""
