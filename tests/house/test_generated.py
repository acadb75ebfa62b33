"""Committed generated files are up to date, and the check can fail."""

from pathlib import Path

import pytest

from modelyard import docs, generated, rbac
from modelyard.api import schema
from modelyard.api.kinds import KINDS

ROOT = Path(__file__).parents[2]
SETS = {"crds": schema, "rbac": rbac, "docs": docs}


@pytest.mark.parametrize("name", SETS)
def test_committed_files_are_up_to_date(name: str, capsys: pytest.CaptureFixture[str]):
    code = SETS[name].main(["--check", "--root", str(ROOT)])
    assert code == 0, capsys.readouterr().err


@pytest.mark.parametrize("name", SETS)
def test_writing_updates_the_files(name: str, tmp_path: Path):
    assert SETS[name].main(["--check", "--root", str(tmp_path)]) == 1
    assert SETS[name].main(["--write", "--root", str(tmp_path)]) == 0
    assert SETS[name].main(["--check", "--root", str(tmp_path)]) == 0


def test_an_edited_file_is_shown_as_a_diff(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    schema.main(["--write", "--root", str(tmp_path)])
    edited = tmp_path / "crds" / "modelyard.io_experiments.yaml"
    edited.write_text(edited.read_text().replace("mlexp", "exp"))
    capsys.readouterr()
    assert schema.main(["--check", "--root", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "-    - exp" in said
    assert "+    - mlexp" in said
    assert "make crds" in said


def test_a_surplus_file_is_reported_and_removed(tmp_path: Path):
    schema.main(["--write", "--root", str(tmp_path)])
    surplus = tmp_path / "crds" / "modelyard.io_others.yaml"
    surplus.write_text("kind: CustomResourceDefinition\n")
    assert schema.main(["--check", "--root", str(tmp_path)]) == 1
    schema.main(["--write", "--root", str(tmp_path)])
    assert not surplus.exists()


def test_an_unchanged_file_is_not_written_again(tmp_path: Path):
    files = {"a/b.txt": "one\n"}
    assert generated.write(tmp_path, files) == ["a/b.txt"]
    assert generated.write(tmp_path, files) == []


def test_printing_contains_each_definition_once(capsys: pytest.CaptureFixture[str]):
    assert schema.main([]) == 0
    assert capsys.readouterr().out.count("kind: CustomResourceDefinition\n") == len(KINDS)
