"""Benchmarks: one case a file, each refusing to print a time before its own correctness check has passed."""
