"""kubectl's options to act as another user, which every word that asks the cluster has: `--as`,
`--as-group`, `--as-uid`.

A word's function knows nothing of them: `with_acting` adds them to its signature and keeps what
they say for the length of the word, where `Where` finds it. What they mean to the API server does
not belong here (`client/kube/identity`).
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
    typer.Option(
        "--as-group", metavar="GROUP", help="Act as a member of this group; may be repeated."
    ),
]
_Uid = Annotated[
    str, typer.Option("--as-uid", metavar="UID", help="Act as the user with this uid.")
]
_OPTIONS = {"as_user": (_User, ""), "as_group": (_Groups, ()), "as_uid": (_Uid, "")}


@dataclass(frozen=True)
class Acting:
    """The user to act as, as the options have it; what they do not say, the kubeconfig may."""

    user: str = ""
    groups: tuple[str, ...] = ()
    uid: str = ""

    @classmethod
    def of(cls, given: dict[str, Any]) -> "Acting":
        """Return what a word's parameters say; they may hold more, and less."""
        return cls(
            given.get("as_user") or "",
            tuple(given.get("as_group") or ()),
            given.get("as_uid") or "",
        )

    def words(self) -> tuple[tuple[str, str], ...]:
        """Return it as options."""
        every = (
            ("--as", self.user),
            *(("--as-group", group) for group in self.groups),
            ("--as-uid", self.uid),
        )
        return tuple((option, value) for option, value in every if value)


acting: ContextVar[Acting] = ContextVar("acting", default=Acting())  # noqa: B039 - it is frozen
"""What the options of the word that is being said have."""


def with_acting(function: Callable[..., None]) -> Callable[..., None]:
    """Return a word's function with the options; one that does not ask the cluster (it has no
    `context`) as it is.
    """
    signature = inspect.signature(function, eval_str=True)
    if "context" not in signature.parameters:
        return function

    @wraps(function)
    def said(*words: Any, **given: Any) -> None:
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
    said.__signature__ = signature.replace(parameters=[*parameters, *added])  # type: ignore[attr-defined] # read by `inspect`
    said.__annotations__ = {
        **function.__annotations__,
        **{each.name: each.annotation for each in added},
    }
    return said
