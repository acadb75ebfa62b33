"""A text beside the committed file that says what it should be."""

from __future__ import annotations

from pathlib import Path

__all__ = ["compare"]


def compare(path: Path, text: str, command: str, *, anew: bool) -> None:
    """Assert that a file holds a text; write it before, if it is to be written anew.

    Args:
        path: The file.
        text: What it should hold.
        command: That writes it anew, for whoever reads the failure.
        anew: Write it.

    """
    if anew:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert path.is_file(), f"write it: {command}"
    assert text == path.read_text(), f"if that is meant: {command}"
