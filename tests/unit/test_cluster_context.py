"""Which files a Dockerfile takes from the repository, and which of them change the image's hash."""

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.cluster import context


def repository(root: Path, **files: str) -> Path:
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def relative(root: Path, files: list[Path]) -> list[str]:
    return [str(file.relative_to(root)) for file in files]


@pytest.mark.parametrize(
    ("dockerfile", "sources"),
    [
        ("FROM a\nCOPY x y\n", ["x"]),
        ("COPY a b c/\nadd d /e", ["a", "b", "d"]),
        ("COPY --chown=1:1 a /a", ["a"]),
        ("COPY --from=build /x /y\nCOPY z /z", ["z"]),
        ('COPY ["with space", "/b"]', ["with space"]),
        ("COPY a \\\n  b \\\n  /c", ["a", "b"]),
        ("# COPY no /no\nRUN echo COPY not /this", []),
    ],
)
def test_sources_of_a_dockerfile(dockerfile: str, sources: list[str]) -> None:
    assert context.copied(dockerfile) == sources


def test_a_source_that_only_a_build_can_resolve_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\$WHEEL"):
        context.copied("ARG WHEEL\nCOPY $WHEEL /w")


def test_a_folder_gives_its_files_without_what_git_ignores(tmp_path: Path) -> None:
    root = repository(
        tmp_path,
        **{
            ".gitignore": "*.log\n",
            "src__a.py": "1",
            "src__deep__b.py": "2",
            "src__x.log": "3",
            "other__c": "4",
        },
    )
    assert relative(root, context.files_of(root, ["src"])) == ["src/a.py", "src/deep/b.py"]


def test_a_file_named_explicitly_is_included_though_git_ignores_it(tmp_path: Path) -> None:
    root = repository(tmp_path, **{".gitignore": "dist\n", "dist__wheel.whl": "1"})
    assert relative(root, context.files_of(root, ["dist/wheel.whl"])) == ["dist/wheel.whl"]


def test_patterns_and_the_whole_folder(tmp_path: Path) -> None:
    root = repository(tmp_path, **{"a.toml": "1", "b.toml": "2", "c.lock": "3"})
    assert relative(root, context.files_of(root, ["*.toml"])) == ["a.toml", "b.toml"]
    assert relative(root, context.files_of(root, ["."])) == ["a.toml", "b.toml", "c.lock"]


def test_caches_are_left_out_without_git_too(tmp_path: Path) -> None:
    (tmp_path / "src" / "__pycache__").mkdir(parents=True)
    (tmp_path / "src" / "a.py").write_text("1")
    (tmp_path / "src" / "__pycache__" / "a.pyc").write_text("1")
    assert relative(tmp_path, context.files_of(tmp_path, ["src"])) == ["src/a.py"]


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        context.files_of(repository(tmp_path), ["nowhere"])


def test_a_packed_context_is_the_same_bytes_for_the_same_files_and_other_bytes_for_others(
    tmp_path: Path,
) -> None:
    root = repository(tmp_path, a="1", b="2")
    files = context.files_of(root, ["a"])
    packed, first = context.pack(root, "COPY a /a", files)
    (root / "b").write_text("changed")
    (root / "a").touch()
    assert context.pack(root, "COPY a /a", context.files_of(root, ["a"])) == (packed, first)
    (root / "a").chmod(0o755)
    assert context.pack(root, "COPY a /a", files)[1] != first
    (root / "a").chmod(0o644)
    assert context.pack(root, "COPY a /b", files)[1] != first
    (root / "a").write_text("changed")
    assert context.pack(root, "COPY a /a", files)[1] != first


def test_a_packed_context_holds_the_dockerfile_and_the_files(tmp_path: Path) -> None:
    root = repository(tmp_path, src__a="1")
    packed, _ = context.pack(root, "COPY src /src", context.files_of(root, ["src"]))
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert tar.getnames() == ["Dockerfile", "src/a"]
