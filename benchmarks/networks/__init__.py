"""Layer specs of published networks, for benchmarks and golden tests."""
