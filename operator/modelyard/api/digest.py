"""The digest of an artifact tree, which the operator records and pods check."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["FileDigest", "listing_digest", "tree_digest"]


@dataclass(frozen=True, order=True)
class FileDigest:
    """One file of a tree: relative POSIX path, size in bytes, SHA-256 in hex."""

    path: str
    size: int
    sha256: str


def tree_digest(files: Iterable[FileDigest]) -> str:
    """Return `sha256:<hex>` over all paths, sizes and contents of a tree, in any order.

    Args:
        files: The tree's files, each path once, in any order.

    """
    lines = sorted((file.path.encode(), f"{file.sha256} {file.size} ".encode()) for file in files)
    return (
        "sha256:"
        + hashlib.sha256(b"".join(head + path + b"\n" for path, head in lines)).hexdigest()
    )


def listing_digest(entries: Iterable[tuple[str, int, str]]) -> str:
    """Return `sha256:<hex>` over a store's listing; it changes when any object changes.

    Args:
        entries: Path, size in bytes and ETag of each object, in any order.

    """
    lines = "".join(f"{etag} {size} {path}\n" for path, size, etag in sorted(entries))
    return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()
