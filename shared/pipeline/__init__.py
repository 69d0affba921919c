"""The use cases that functions call."""
