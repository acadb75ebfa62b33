"""A user's script as the trainer: it runs unchanged, and its exit code is the pod's."""

from pathlib import Path

import pytest

from tests.harness import until
from tests.runtime.programs import Ended, program, start


def run(folder: Path, text: str, *arguments: str, **env: str) -> Ended:
    (folder / "train.py").write_text(text)
    return program(folder, "script", str(folder / "train.py"), *arguments, env=env)


def test_a_script_is_the_main_program(tmp_path):
    (tmp_path / "helper.py").write_text("VALUE = 7")
    text = """
import os, sys, helper
if __name__ == "__main__":
    print(helper.VALUE, sys.argv[1:], os.environ["MLFLOW_RUN_ID"])
"""
    ended = run(tmp_path, text, "--fast", "x", MLFLOW_RUN_ID="r1")
    assert (ended.code, ended.log, ended.said) == (0, "7 ['--fast', 'x'] r1\n", {})


def test_an_exception_of_the_script_is_reported_unchanged(tmp_path):
    ended = run(tmp_path, "print('begins')\nraise ValueError('no such column')\n")
    assert (ended.code, ended.said) == (1, {})
    assert ended.log.startswith("begins\n")
    assert ended.log.endswith("ValueError: no such column\n")
    assert "modelyard_runtime" not in ended.log


@pytest.mark.parametrize(
    ("text", "code"),
    [("raise SystemExit(3)", 3), ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137)],
)
def test_the_exit_code_is_the_scripts_own(tmp_path, text, code):
    assert run(tmp_path, text).code == code


NO_PYTHON = [
    ("print('ran')\nx = 1\ndef f(:\n", "train.py, line 3"),
    ("print('ran')\n\x00\n", "train.py"),
    ("# coding: klingon\nprint('ran')\n", "klingon"),
]


@pytest.mark.parametrize(("text", "named"), NO_PYTHON, ids=["syntax", "null", "coding"])
def test_invalid_python_is_not_run(tmp_path, text, named):
    ended = run(tmp_path, text)
    assert (ended.code, ended.said["reason"]) == (67, "ScriptInvalid")
    assert named in ended.said["message"]
    assert "ran\n" not in ended.log


def test_a_missing_script_is_named(tmp_path):
    ended = program(tmp_path, "script", str(tmp_path / "none.py"))
    assert (ended.code, ended.said["reason"]) == (67, "ScriptInvalid")
    assert "none.py" in ended.said["message"]


@pytest.mark.parametrize(
    "text",
    ["", "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit('saved'))\n"],
)
def test_a_signal_reaches_the_script(tmp_path, text):
    """A script that handles the signal can save its work; the pod exits with 143 either way."""
    (tmp_path / "train.py").write_text(f"{text}print('trains')\nwhile True: pass\n")
    process = start(tmp_path, "script", str(tmp_path / "train.py"))
    try:
        until(lambda: "trains" in (tmp_path / "log").read_text(), "the script runs")
        process.terminate()
        assert process.wait(120) == 143
        assert ("saved" in (tmp_path / "log").read_text()) == bool(text)
    finally:
        process.kill()
        process.wait()
