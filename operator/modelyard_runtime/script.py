"""Run a user's Python file as the trainer of a training pod.

    python -m modelyard_runtime.script /etc/modelyard-script/train.py

The file needs no modelyard code: it gets its input from the environment and logs to MLflow what it
likes. Only the experiment is fixed (see `scripted`). If the run asks for a signature, its model is
signed afterwards (see `sign`).
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import tokenize
from pathlib import Path

from modelyard.api.pod_end import Exit, PodReason
from modelyard_runtime import sign, tracking
from modelyard_runtime.outcome import Failure, on_sigterm, run
from modelyard_runtime.scripted import environment

__all__ = ["check", "execute", "main"]


def check(path: Path) -> None:
    """Compile the file without running it.

    Raises:
        Failure: ScriptInvalid, naming the line.

    """
    try:
        with tokenize.open(path) as file:  # respects the file's encoding declaration
            compile(file.read(), str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        near = f": {error.text.strip()}" if error.text else ""
        raise Failure(
            PodReason.SCRIPT_INVALID, f"{path.name}, line {error.lineno}: {error.msg}{near}"
        ) from None
    except (OSError, ValueError) as error:
        raise Failure(
            PodReason.SCRIPT_INVALID, f"{path.name} cannot be read as Python: {error}"
        ) from None


def execute(path: Path, arguments: list[str]) -> int:
    """Run the file in a child process and return its exit code, 128 + n for signal n.

    In a child process, because the first process of a container ignores a signal without a
    handler; a child is ended by it. SIGTERM is passed on, so that the script may save its work;
    the exit code is then 143, whatever the script's own is.
    """
    with tempfile.TemporaryDirectory() as folder:
        more = {"PYTHONUNBUFFERED": "1", **environment(Path(folder))}
        return _waited_for(
            subprocess.Popen(  # noqa: S603 - the user's script
                [sys.executable, str(path), *arguments], env=os.environ | more
            )
        )


def _waited_for(child: "subprocess.Popen[bytes]") -> int:
    stopped = threading.Event()

    def stop() -> None:
        stopped.set()
        child.terminate()

    with on_sigterm(stop):
        code = child.wait()
    if stopped.is_set():
        return Exit.STOPPED
    return 128 - code if code < 0 else code


def main() -> None:
    """Check and run the script, sign its model if asked to, and exit with the script's code."""
    parser = argparse.ArgumentParser(prog="modelyard_runtime.script", description=__doc__)
    parser.add_argument("path", type=Path, help="the Python file")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its arguments")
    options = parser.parse_args()
    check(options.path)
    key = sign.signing_key()
    code = execute(options.path, options.arguments)
    if key is not None and code == 0:
        sign.sign_logged(tracking.run_id(), key)
    sys.exit(code)


if __name__ == "__main__":
    run(main)
