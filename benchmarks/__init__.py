"""Benchmarks: what the project's claims rest on, run from the repository's root."""
