"""The demo: the whole story on a real cluster, told while it happens. `python -m tests.demo up |
down`.
"""
