"""`modelyard doctor`: whether everything that modelyard needs is there."""

from modelyard.cli.groups import word
from modelyard.cli.options import Context, Namespace, Output, Where

__all__ = ["command"]


def doctor(*, namespace: Namespace = None, context: Context = None, output: Output = None) -> None:
    """Look whether everything is there that modelyard needs; each finding comes with its cure."""
    from modelyard.cli.commands import doctor as command  # noqa: PLC0415

    command.doctor(Where(namespace, context, output))


command = word(doctor)
