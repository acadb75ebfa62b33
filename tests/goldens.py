"""Comparison of texts with committed files."""

from __future__ import annotations

from pathlib import Path

__all__ = ["compare"]


def compare(path: Path, text: str, command: str, *, anew: bool) -> None:
    """Assert that a file has this text; with `anew`, write the file first.

    Args:
        path: The file.
        text: The expected text.
        command: The command that updates the file, for the failure's message.
        anew: Write the file.

    """
    if anew:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert path.is_file(), f"write it: {command}"
    assert text == path.read_text(), f"if that is meant: {command}"
