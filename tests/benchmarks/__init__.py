"""Benchmarks: ratios against peers, taken turn by turn in one run. Never a timed test."""
