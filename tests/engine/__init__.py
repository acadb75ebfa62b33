"""The engine: a toy kind, and what the engine does with it on a real API server."""
