"""The command line put together: all commands, and how an error ends one.

Each command is a module of `cli.words`, imported on demand. Neither this module nor those import
anything heavy, so that `--help`, `--version` and completion are fast (decision 0008).
"""

import sys
from functools import partial
from importlib import import_module
from os import environ
from typing import Any

from modelyard import __version__
from modelyard.cli.exits import Exit, code_of
from modelyard.cli.groups import group

__all__ = ["app", "main"]

_EPILOG = (
    "--version prints the version.\n"
    "\n"
    "Exit codes: 0 done, 1 failed, 2 usage error, 3 not found, 4 not allowed, 5 unreachable,"
    " 6 timed out or waiting for others, 130 interrupted.\n"
    "\n"
    "Commands of the operator's image and of its repository: run, crds, rbac, docs."
)


_COMPLETING = "_MODELYARD_COMPLETE"
"""Set by the scripts of `completion` when the shell asks for candidates."""

_WORDS = (
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
    "runs",
    "experiments",
    "completion",
)
"""Each is a module of `cli.words` with the command as `command`."""


def _loaded(name: str) -> Any:
    return import_module(f"modelyard.cli.words.{name}").command


app = group(
    "modelyard",
    "Train, promote, roll back and query models in Kubernetes. It uses your own kubeconfig and"
    " rights.",
    {name: partial(_loaded, name) for name in _WORDS},
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def main(arguments: list[str], program: str = "modelyard") -> int:
    """Run a command and return the exit code. Errors are printed without a traceback.

    Args:
        arguments: What follows the program's name.
        program: How the program was called: `modelyard`, `kubectl modelyard`.

    """
    if arguments == ["--version"]:
        sys.stdout.write(f"modelyard {__version__}\n")
        return Exit.DONE
    if _COMPLETING in environ:
        import_module("typer.completion").completion_init()
    try:
        app.main(args=arguments, prog_name=program, complete_var=_COMPLETING)
    except SystemExit as end:
        return (
            end.code
            if isinstance(end.code, int)
            else Exit.DONE
            if end.code is None
            else Exit.FAILED
        )
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last place where an error can be printed
        return _ended_by(error)
    return Exit.DONE


def _ended_by(error: Exception) -> int:
    from modelyard.api.text import printable  # noqa: PLC0415 - not needed for help
    from modelyard.client.errors import ClientError  # noqa: PLC0415

    if isinstance(error, (ClientError, OSError, ValueError)) and "MODELYARD_DEBUG" not in environ:
        sys.stderr.write(f"Error: {printable(str(error), lines=True)}\n")
    elif "MODELYARD_DEBUG" in environ:
        raise error
    else:
        sys.stderr.write(
            f"Error: this is a bug in modelyard: {type(error).__name__}:"
            f" {printable(str(error), lines=True)}\n"
            "MODELYARD_DEBUG=1 shows where; please report it.\n"
        )
    return code_of(error)
