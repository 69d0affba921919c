"""Benchmarks: what the service costs in CPU, requests and bytes, each figure beside a baseline of the same run."""
