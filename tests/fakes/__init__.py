"""The world outside, in memory. As honest as `tests/contract` makes them: the same suite runs
against these and the real servers.
"""
