"""Ends by an exception."""

print("about to fail")
raise ValueError("column amount is missing")
