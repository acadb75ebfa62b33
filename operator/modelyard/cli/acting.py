"""kubectl's impersonation options for every command that uses the cluster: `--as`, `--as-group`
and `--as-uid`.

`with_acting` adds them to a command's signature and keeps their values in a context variable while
the command runs; `Where` reads them there. `client/kube/identity` sends them to the API server.
"""

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any

import typer

__all__ = ["Acting", "acting", "with_acting"]

_User = Annotated[
    str, typer.Option("--as", metavar="USER", help="Act as this user, as kubectl does.")
]
_Groups = Annotated[
    list[str],
    typer.Option("--as-group", metavar="GROUP", help="Act as a member of this group; repeatable."),
]
_Uid = Annotated[
    str, typer.Option("--as-uid", metavar="UID", help="Act as the user with this uid.")
]
_OPTIONS = {"as_user": (_User, ""), "as_group": (_Groups, ()), "as_uid": (_Uid, "")}


@dataclass(frozen=True)
class Acting:
    """The user to impersonate, by the options; the kubeconfig may name one too."""

    user: str = ""
    groups: tuple[str, ...] = ()
    uid: str = ""

    @classmethod
    def of(cls, given: dict[str, Any]) -> "Acting":
        """Return the options among a command's parameters."""
        return cls(
            given.get("as_user") or "",
            tuple(given.get("as_group") or ()),
            given.get("as_uid") or "",
        )

    def words(self) -> tuple[tuple[str, str], ...]:
        """Return the options that were given, for a hint."""
        every = (
            ("--as", self.user),
            *(("--as-group", group) for group in self.groups),
            ("--as-uid", self.uid),
        )
        return tuple((option, value) for option, value in every if value)


acting: ContextVar[Acting] = ContextVar("acting", default=Acting())  # noqa: B039 - it is frozen
"""The options of the command that is running."""


def with_acting(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command's function if it uses the cluster (has --context)."""
    signature = inspect.signature(function, eval_str=True)
    if "context" not in signature.parameters:
        return function

    @wraps(function)
    def wrapped(*words: Any, **given: Any) -> None:
        before = acting.set(Acting.of({name: given.pop(name, None) for name in _OPTIONS}))
        try:
            function(*words, **given)
        finally:
            acting.reset(before)

    added = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
        )
        for name, (annotation, default) in _OPTIONS.items()
    ]
    parameters = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in signature.parameters.values()
    ]
    wrapped.__signature__ = signature.replace(parameters=[*parameters, *added])  # type: ignore[attr-defined] # read by `inspect`
    wrapped.__annotations__ = {
        **function.__annotations__,
        **{each.name: each.annotation for each in added},
    }
    return wrapped
