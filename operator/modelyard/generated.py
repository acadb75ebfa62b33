"""Write generated files, or compare them with the committed ones."""

import argparse
import difflib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

__all__ = ["Files", "main", "stale", "write"]

Files = Mapping[str, str]
"""Text by path, relative to the repository's root."""


def stale(root: Path, files: Files, owned: Sequence[str] = ()) -> list[str]:
    """Return one unified diff for each committed file that differs from the generated one.

    Args:
        root: The repository's root.
        files: The generated files.
        owned: Globs below the root; a matching file that is not generated is reported as surplus.

    """
    found = []
    for path, text in sorted(files.items()):
        target = root / path
        committed = target.read_text(encoding="utf-8") if target.exists() else ""
        if committed != text:
            lines = difflib.unified_diff(
                committed.splitlines(),
                text.splitlines(),
                f"{path} (committed)",
                f"{path} (generated)",
                lineterm="",
            )
            found.append("\n".join(lines))
    found += [f"{path} is no longer generated: remove it" for path in _surplus(root, files, owned)]
    return found


def write(root: Path, files: Files, owned: Sequence[str] = ()) -> list[str]:
    """Write the files that differ, remove surplus ones, and return the paths of both."""
    changed = []
    for path, text in sorted(files.items()):
        target = root / path
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            changed.append(path)
    for path in _surplus(root, files, owned):
        (root / path).unlink()
        changed.append(path)
    return changed


def main(
    name: str, what: str, files: Callable[[], Files], argv: Sequence[str], owned: Sequence[str] = ()
) -> int:
    """Print, write or check a set of generated files; return 1 if the check finds a stale one."""
    parser = argparse.ArgumentParser(prog=f"modelyard {name}", description=f"Print {what}.")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--write", action="store_true", help="write the committed files instead")
    mode.add_argument(
        "--check",
        action="store_true",
        help="compare with the committed files instead; exit 1 when one is stale",
    )
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(),
        help="the repository's root; the current directory if absent",
    )
    options = parser.parse_args(list(argv))
    generated = files()
    if options.write:
        for path in write(options.root, generated, owned):
            sys.stdout.write(f"wrote {path}\n")
        return 0
    if options.check:
        differences = stale(options.root, generated, owned)
        for difference in differences:
            sys.stderr.write(f"{difference}\n")
        if differences:
            sys.stderr.write(
                "Generated files are stale: run `make crds` and commit what it writes.\n"
            )
        return 1 if differences else 0
    # A text that belongs into two files is printed once.
    sys.stdout.write("---\n".join(dict.fromkeys(generated.values())))
    return 0


def _surplus(root: Path, files: Files, owned: Sequence[str]) -> list[str]:
    there = {path.relative_to(root).as_posix() for pattern in owned for path in root.glob(pattern)}
    return sorted(there - set(files))
