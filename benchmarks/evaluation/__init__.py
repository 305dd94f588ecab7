"""The bars of candidate evaluation: `python -m benchmarks.evaluation`."""
