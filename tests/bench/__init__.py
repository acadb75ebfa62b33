"""Measuring modelyard beside what one would use otherwise. `python -m tests.bench --help`; the
results are in docs/benchmarks.md.
"""
