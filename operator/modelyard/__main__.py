"""Entry point of `modelyard`, `kubectl modelyard` and `python -m modelyard run|crds|rbac|docs`.

The operator's image only supports the latter commands and has neither typer nor rich, so the
command line is imported when it is used.
"""

import gc
import importlib
import os
import sys

__all__ = ["main"]

_GC_THRESHOLD = 200_000
"""Threshold of the garbage collector for a command; with Python's default of 700 it would run a
hundred times during the imports.
"""
_GENERATORS = {"crds": "modelyard.api.schema", "rbac": "modelyard.rbac", "docs": "modelyard.docs"}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    command, rest = (words[0], words[1:]) if words else ("", [])
    if command in _GENERATORS:
        return int(importlib.import_module(_GENERATORS[command]).main(rest) or 0)
    if command == "run":
        return _run(rest)
    return _command_line(words)


def _command_line(words: list[str]) -> int:
    """Run a user's command, with short start-up and exit times (decision 0010)."""
    gc.set_threshold(_GC_THRESHOLD)
    os.environ.setdefault(
        "PYDANTIC_DISABLE_PLUGINS", "__all__"
    )  # looking for plugins reads the metadata of every installed package
    try:
        from modelyard.cli.app import main as run_command  # noqa: PLC0415
        from modelyard.cli.program import called_as  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "typer":
            raise
        sys.stderr.write(
            f"modelyard: the command line is not installed ({error}); the operator's image"
            " supports run | crds | rbac | docs\n"
        )
        return 2
    code = run_command(words, called_as())
    # Skip the collection at exit: the process is about to end.
    gc.freeze()
    return code


def _run(rest: list[str]) -> int:
    import asyncio  # noqa: PLC0415 - the other commands do not need it

    from pydantic import ValidationError  # noqa: PLC0415

    from modelyard.compose import operate  # noqa: PLC0415
    from modelyard.engine import logs  # noqa: PLC0415
    from modelyard.errors import ModelyardError  # noqa: PLC0415
    from modelyard.settings import Settings  # noqa: PLC0415

    if rest:
        sys.stderr.write(
            "modelyard: run takes no arguments; set MODELYARD_* in the environment instead of"
            f" {' '.join(rest)}\n"
        )
        return 2
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            name = "_".join(["MODELYARD", *map(str, problem["loc"])]).upper()
            sys.stderr.write(f"modelyard: {name}: {problem['msg']}\n")
        return 2
    logs.configure(settings.log_format, settings.log_level)
    try:
        asyncio.run(operate(settings))
    except (ModelyardError, OSError) as error:
        sys.stderr.write(f"modelyard: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
