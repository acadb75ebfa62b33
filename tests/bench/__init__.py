"""Benchmarks of modelyard and its alternatives. `python -m tests.bench --help`; the
results are in docs/benchmarks.md.
"""
