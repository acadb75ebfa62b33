"""The command line itself: help, usage errors, error messages, and an exit code for each kind of
error.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelyard.cli.app import main
from modelyard.cli.exits import Exit, code_of
from modelyard.client import errors

COMMANDS = [
    "status",
    "promote",
    "rollback",
    "retry",
    "resume",
    "abort",
    "approve",
    "reject",
    "override",
    "verify",
    "refresh",
    "history",
    "compare",
    "train",
    "predict",
    "download",
    "doctor",
    "completion",
    "runs",
    "experiments",
]
RUNS = ["list", "show", "follow", "delete", "restore", "purge"]
EXPERIMENTS = ["list", "show", "delete"]
SHELLS = ["bash", "zsh", "fish", "powershell", "kubectl"]
WORDS = (
    [[word] for word in COMMANDS]
    + [["runs", word] for word in RUNS]
    + [["experiments", word] for word in EXPERIMENTS]
    + [["completion", word] for word in SHELLS]
)


def said(
    capsys: pytest.CaptureFixture[str], *words: str, program: str = "modelyard"
) -> tuple[int, str, str]:
    code = main(list(words), program)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_every_command_has_help_under_the_name_that_it_was_called_by(
    words: list[str], capsys: pytest.CaptureFixture[str]
):
    code, out, _ = said(capsys, *words, "--help", program="kubectl modelyard")
    assert code == Exit.DONE
    assert out.startswith(f"Usage: kubectl modelyard {' '.join(words)} ")
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize(
    "words",
    [
        words
        for words in WORDS
        if words[0] != "completion" and words not in (["runs"], ["experiments"])
    ],
    ids=" ".join,
)
def test_every_command_with_requests_has_the_common_options(
    words: list[str], capsys: pytest.CaptureFixture[str]
):
    _, out, _ = said(capsys, *words, "--help")
    assert "--context" in out
    assert "-o, --output" in out
    assert "-n, --namespace" in out or "--operator-namespace" in out


def test_help_lists_only_user_commands(capsys: pytest.CaptureFixture[str]):
    _, out, _ = said(capsys, "--help")
    listed = [
        line.split()[0]
        for line in out.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
        if line[2:3] != " "
    ]
    assert sorted(listed) == sorted(COMMANDS)
    assert "Exit codes: 0 done, 1 failed, 2 usage error" in out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["promte"], "No such command 'promte'"),
        (["promote", "fraud"], "Missing argument 'VERSION'"),
        (["promote", "fraud", "v3"], "Missing option '--to'"),
        (["status", "-o", "xml"], "'xml' is not one of"),
        (["train"], "Say what to train"),
        (["train", "-e", "fraud", "-p", "max_depth"], "'max_depth' is not NAME=VALUE"),
        (["train", "-f", "/nowhere.yaml"], "/nowhere.yaml cannot be read"),
        (["train", "-e", "fraud", "--register", "fraud"], "name the version too"),
        (["train", "-e", "fraud", "--task", "regression", "--image", "i"], "name one trainer"),
        (
            ["train", "-e", "fraud", "--script", "trian.py"],
            "trian.py is neither a Python file of this machine nor",
        ),
        (["train", "-e", "fraud", "--", "--epochs"], "belong to an image"),
        (["train", "-e", "fraud", "--digest", "sha256:0"], "name the dataset that this belongs to"),
        (["predict", "fraud@"], "is not MODEL or MODEL@WHICH"),
        (["runs", "list", "--filter", "accuracy >"], "the filter cannot be read here"),
        (["runs", "list", "--limit", "0"], "greater than or equal to 1"),
        (["completion", "tcsh"], "No such command 'tcsh'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_usage_errors_need_no_request(
    words: list[str], why: str, capsys: pytest.CaptureFixture[str]
):
    code, out, err = said(capsys, *words)
    assert (code, out) == (Exit.USAGE, "")
    assert why in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NotFound("x"), 3),
        (errors.NotAllowed("x"), 4),
        (errors.Unreachable("x"), 5),
        (errors.TimedOut("x", 1), 6),
        (errors.Failed("x", "OutOfMemory", ""), 1),
        (errors.Refused("x"), 1),
        (errors.Missing("mlflow", "This"), 1),
        (ValueError("x"), 2),
        (KeyError("x"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_error_has_its_exit_code(error: Exception, code: int):
    assert code_of(error) == code


def started(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    given = {
        key: value
        for key, value in os.environ.items()
        if key not in ("KUBECONFIG", "MODELYARD_DEBUG")
    } | environment
    command = [sys.executable, "-m", "modelyard", *words]
    return subprocess.run(
        command, env=given, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def test_without_a_cluster_the_error_says_what_is_missing(tmp_path: Path):
    done = started("status", KUBECONFIG=str(tmp_path / "none"), HOME=str(tmp_path))
    assert (done.returncode, done.stdout) == (Exit.UNREACHABLE, "")
    assert done.stderr.startswith("Error: ")
    assert "KUBECONFIG" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_operators_commands_stay():
    done = started("crds", "--check")
    assert done.returncode == 0, done.stderr


def test_a_shell_completes_commands_also_of_the_kubectl_plugin(tmp_path: Path):
    (tmp_path / "modelyard").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m modelyard "$@"\n')
    (tmp_path / "modelyard").chmod(0o755)
    script = tmp_path / "kubectl_complete-modelyard"
    script.write_text(started("completion", "kubectl").stdout)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", str(script), "ro"], env=os.environ | path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["rollback", ":4"]
    assert "_MODELYARD_COMPLETE=complete_bash" in started("completion", "bash").stdout
