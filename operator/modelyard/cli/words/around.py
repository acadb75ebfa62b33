"""Words around everything else: doctor, completion."""

import typer

from modelyard.cli.groups import Word, Words
from modelyard.cli.options import Context, Namespace, Output, Where

__all__ = ["add_to"]


def doctor(*, namespace: Namespace = None, context: Context = None, output: Output = None) -> None:
    """Look whether everything is there that modelyard needs; each finding comes with its cure."""
    from modelyard.cli.commands import doctor as command  # noqa: PLC0415

    command.doctor(Where(namespace, context, output))


def _completion(shell: str) -> None:
    from modelyard.cli.commands import completion as command  # noqa: PLC0415

    command.completion(shell)


def bash() -> None:
    """For bash: eval "$(modelyard completion bash)"."""
    _completion("bash")


def zsh() -> None:
    """For zsh: eval "$(modelyard completion zsh)"."""
    _completion("zsh")


def fish() -> None:
    """For fish: modelyard completion fish | source."""
    _completion("fish")


def powershell() -> None:
    """For PowerShell: modelyard completion powershell | Invoke-Expression."""
    _completion("powershell")


def kubectl() -> None:
    """For kubectl: save it as kubectl_complete-modelyard on the PATH."""
    _completion("kubectl")


def add_to(app: typer.Typer) -> None:
    """Add these words to the program. A shell is a word, not an argument: typer would load pydantic to read it."""
    app.command()(doctor)
    completion = typer.Typer(
        cls=Words, help="Print what lets a shell complete commands, options and names.", no_args_is_help=True, rich_markup_mode=None
    )
    completion.command(cls=Word)(bash)
    completion.command(cls=Word)(zsh)
    completion.command(cls=Word)(fish)
    completion.command(cls=Word)(powershell)
    completion.command(cls=Word)(kubectl)
    app.add_typer(completion, name="completion")
