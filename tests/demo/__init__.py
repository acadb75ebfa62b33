"""The demo on a real cluster, with a line for each step. `python -m tests.demo up | down`."""
