"""`modelyard doctor`: check the installation, and say how to fix it."""

from modelyard.cli.groups import word
from modelyard.cli.options import Context, Namespace, Output, Where

__all__ = ["command"]


def doctor(*, namespace: Namespace = None, context: Context = None, output: Output = None) -> None:
    """Check everything that modelyard needs, with a fix for each problem."""
    from modelyard.cli.commands import doctor as command  # noqa: PLC0415

    command.doctor(Where(namespace, context, output))


command = word(doctor)
