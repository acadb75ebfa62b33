"""`completion`: print a shell's completion script, and the one that kubectl runs for plugins."""

import sys
from importlib import import_module

__all__ = ["completion"]

_KUBECTL = """#!/bin/sh
# Save as kubectl_complete-modelyard, executable, on the PATH: kubectl runs it to complete
# `kubectl modelyard`.
COMP_WORDS="modelyard $*" COMP_CWORD=$# _MODELYARD_COMPLETE=complete_bash modelyard
echo :4
"""


def completion(shell: str) -> None:
    """Print the script."""
    if shell == "kubectl":
        sys.stdout.write(_KUBECTL)
        return
    script = import_module("typer.completion").get_completion_script(
        prog_name="modelyard", complete_var="_MODELYARD_COMPLETE", shell=shell
    )
    sys.stdout.write(f"{script}\n")
