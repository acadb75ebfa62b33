"""`modelyard ...`, `kubectl modelyard ...`; and `python -m modelyard run | crds | rbac | docs`.
Each word is done elsewhere.

The operator's image has the second kind of words only, and neither typer nor rich: what people say
is loaded when they say it.
"""

import gc
import importlib
import os
import sys

__all__ = ["main"]

_LIVING = 200_000
"""New objects after which Python looks for garbage in a command; its own 700 would have it look
through the imports a hundred times.
"""
_GENERATORS = {"crds": "modelyard.api.schema", "rbac": "modelyard.rbac", "docs": "modelyard.docs"}


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    command, rest = (words[0], words[1:]) if words else ("", [])
    if command in _GENERATORS:
        return int(importlib.import_module(_GENERATORS[command]).main(rest) or 0)
    if command == "run":
        return _run(rest)
    return _people(words)


def _people(words: list[str]) -> int:
    """Do what people say: begin at once, and end at once (decision 0010)."""
    gc.set_threshold(_LIVING)
    os.environ.setdefault(
        "PYDANTIC_DISABLE_PLUGINS", "__all__"
    )  # it would read every installed package's metadata for them
    try:
        from modelyard.cli.app import main as people  # noqa: PLC0415
        from modelyard.cli.program import called_as  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "typer":
            raise
        sys.stderr.write(
            f"modelyard: there is no command line here ({error}); this is the operator's image: run"
            " | crds | rbac | docs\n"
        )
        return 2
    code = people(words, called_as())
    # what is left goes with the process; Python would first look through all of it for garbage
    gc.freeze()
    return code


def _run(rest: list[str]) -> int:
    import asyncio  # noqa: PLC0415 - the other words need none of it

    from pydantic import ValidationError  # noqa: PLC0415

    from modelyard.compose import operate  # noqa: PLC0415
    from modelyard.engine import logs  # noqa: PLC0415
    from modelyard.errors import ModelyardError  # noqa: PLC0415
    from modelyard.settings import Settings  # noqa: PLC0415

    if rest:
        sys.stderr.write(
            "modelyard: run takes no arguments, it reads MODELYARD_* from the environment:"
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
