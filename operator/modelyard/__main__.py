"""`python -m modelyard run | crds | rbac | docs`. Each word is done elsewhere."""

import argparse
import asyncio
import importlib
import sys

from pydantic import ValidationError

__all__ = ["main"]

_GENERATORS = {"crds": "modelyard.api.schema", "rbac": "modelyard.rbac", "docs": "modelyard.docs"}


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="modelyard", description="Kubernetes operator for machine-learning models.")
    parser.add_argument("command", choices=("run", *_GENERATORS), help="run the operator, or write a generated file")
    parsed, rest = parser.parse_known_args(words[:1]), words[1:]
    command = parsed[0].command
    if command != "run":
        return int(importlib.import_module(_GENERATORS[command]).main(rest) or 0)
    if rest:
        parser.error(f"run takes no arguments, it reads MODELYARD_* from the environment: {' '.join(rest)}")
    return _run()


def _run() -> int:
    from modelyard.compose import operate  # noqa: PLC0415 - the generators need none of it
    from modelyard.engine import logs  # noqa: PLC0415
    from modelyard.errors import ModelyardError  # noqa: PLC0415
    from modelyard.settings import Settings  # noqa: PLC0415

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
