"""`modelyard completion SHELL`: print a shell's completion script.

Each shell is a command instead of an argument, because typer loads pydantic to read an argument.
"""

from modelyard.cli.groups import Word, group, words_of

__all__ = ["command"]


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
    """For kubectl: save it as kubectl_complete-modelyard, executable, on the PATH."""
    _completion("kubectl")


command = group(
    "completion",
    "Print the completion script for a shell: commands, options and names.",
    words_of(
        {"bash": bash, "zsh": zsh, "fish": fish, "powershell": powershell, "kubectl": kubectl}, Word
    ),
)
