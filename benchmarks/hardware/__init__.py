"""Published figures against the hardware models: `python -m benchmarks.hardware`."""
