"""Find, hash and pack the files that a Dockerfile copies from its folder.

Only the files that the Dockerfile names are sent and hashed, so a change elsewhere in the
repository builds nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shlex
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

__all__ = ["copied", "files_of", "pack"]

IGNORED = {
    "__pycache__",
    ".git",
    ".venv",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    "node_modules",
}


def instructions(dockerfile: str) -> list[str]:
    """Return the instructions of a Dockerfile, each in one line, without comments."""
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\[ \t]*\n", " ", "\n".join(lines))
    return [line.strip() for line in joined.splitlines() if line.strip()]


def copied(dockerfile: str) -> list[str]:
    """Return the sources that a Dockerfile copies from its build context; raises ``ValueError`` for
    one with a variable.
    """
    out: list[str] = []
    for line in instructions(dockerfile):
        word, _, rest = line.partition(" ")
        if word.upper() not in ("COPY", "ADD"):
            continue
        words = json.loads(rest) if rest.lstrip().startswith("[") else shlex.split(rest)
        flags = [flag for flag in words if flag.startswith("--")]
        if any(flag.startswith("--from=") for flag in flags):
            continue
        sources = [source for source in words if source not in flags][:-1]
        for source in sources:
            if "$" in source:
                raise ValueError(
                    f"{line}: a source with a variable cannot be found without building"
                )
        out += sources
    return out


def known_to_git(root: Path) -> set[Path] | None:
    """Return every file that git tracks or would track, or ``None`` without git or a repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "ls-files", "-coz", "--exclude-standard"],
            capture_output=True,
            check=False,
        )
    except OSError:
        return None
    return (
        {root / name for name in done.stdout.decode().split("\0") if name}
        if done.returncode == 0
        else None
    )


def files_of(root: Path, sources: Iterable[str]) -> list[Path]:
    """Return the files that the sources match, sorted; raises ``FileNotFoundError`` for a source
    without a match.
    """
    known = known_to_git(root)
    out: set[Path] = set()
    for source in sources:
        found: set[Path] = set()
        name = source.lstrip("/")
        for path in root.glob(name) if set(name) & set("*?[") else [root / name]:
            children = [
                child for child in (path.rglob("*") if path.is_dir() else [path]) if child.is_file()
            ]
            found |= {
                child for child in children if not IGNORED & set(child.relative_to(root).parts)
            }
        # Ignored files are left out of a folder that is copied whole, but not if the Dockerfile
        # names them.
        kept = found if known is None or found == {root / source} else found & known
        if not kept:
            raise FileNotFoundError(f"{source}: the Dockerfile copies it, and it is not there")
        out |= kept
    return sorted(out)


def pack(root: Path, dockerfile: str, files: Iterable[Path]) -> tuple[bytes, str]:
    """Return a build context with the Dockerfile at its root, and its hash. The same files give the
    same bytes: times and owners are left out.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content, mode in [
            ("Dockerfile", dockerfile.encode(), 0o644),
            *(
                (
                    str(file.relative_to(root)),
                    file.read_bytes(),
                    0o755 if file.stat().st_mode & 0o100 else 0o644,
                )
                for file in files
            ),
        ]:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), mode
            tar.addfile(info, io.BytesIO(content))
    packed = buffer.getvalue()
    return packed, hashlib.sha256(packed).hexdigest()
