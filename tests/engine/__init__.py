"""The engine with a toy kind, on a real API server."""
