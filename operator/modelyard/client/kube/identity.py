"""Acting as another user, as with kubectl's `--as` and a kubeconfig's `as`. Pure.

The API server decides whether the kubeconfig's user may do so (verb `impersonate`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

__all__ = ["Impersonation"]

_LEGAL = "!#$&'*+-.^_`|~"
"""Characters of a header's name besides letters and digits (RFC 9110, token), without `%`, which
begins an escaped character.
"""


@dataclass(frozen=True)
class Impersonation:
    """The user to act as. If it is empty, requests are made as the kubeconfig's user.

    Attributes:
        user: User name; `system:serviceaccount:<namespace>:<name>` for a service account.
        groups: Groups. If empty, a service account has its own groups, and any other user only
            `system:authenticated`.
        uid: Uid of the user.
        extra: Further attributes, each with its values.

    Raises:
        ValueError: A value has characters that are not printable.

    """

    user: str = ""
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for value in (
            self.user,
            self.uid,
            *self.groups,
            *(each for values in self.extra.values() for each in values),
        ):
            if not value.isprintable():
                raise ValueError(
                    f"{value!r} is no name of a user or group: it has characters that are not"
                    " printable"
                )

    @classmethod
    def of(cls, user: Mapping[str, Any]) -> "Impersonation":
        """Return the impersonation in a kubeconfig's user: `as`, `as-groups`, `as-uid`, and so on.

        Raises:
            ValueError: A field has the wrong type.

        """
        extra = user.get("as-user-extra")
        return cls(
            _text("as", user.get("as")),
            _texts("as-groups", user.get("as-groups")),
            _text("as-uid", user.get("as-uid")),
            {
                str(key): _texts(f"as-user-extra.{key}", values)
                for key, values in _map("as-user-extra", extra).items()
            },
        )

    def over(self, other: "Impersonation") -> "Impersonation":
        """Return this one with `other`'s values where it has none, as kubectl's options override.

        Raises:
            ValueError: The result has groups, a uid or attributes, and no user.

        """
        both = Impersonation(
            self.user or other.user,
            self.groups or other.groups,
            self.uid or other.uid,
            {**other.extra, **self.extra},
        )
        if not both.user and (both.groups or both.uid or both.extra):
            what = "groups, a uid or attributes to act with, and no user to act as"
            raise ValueError(f"{what}: name the user too (--as; `as` in a kubeconfig)")
        return both

    def headers(self) -> Iterator[tuple[str, str]]:
        """Yield the headers of a request, as (name, value). A name may occur several times."""
        if self.user:
            yield "Impersonate-User", self.user
            yield from (("Impersonate-Group", group) for group in self.groups)
            if self.uid:
                yield "Impersonate-Uid", self.uid
            for key, values in self.extra.items():
                yield from (
                    (f"Impersonate-Extra-{quote(key, safe=_LEGAL)}", value) for value in values
                )


def _text(name: str, value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    raise ValueError(f"{name} has to be a text, not {value!r}: write it in quotes")


def _map(name: str, value: Any) -> dict[Any, Any]:
    if value is None or isinstance(value, dict):
        return value or {}
    raise ValueError(f"{name} has to be a map of lists of texts, not {value!r}")


def _texts(name: str, values: Any) -> tuple[str, ...]:
    if values is None or isinstance(values, list):
        return tuple(_text(name, value) for value in values or ())
    raise ValueError(f"{name} has to be a list of texts, not {values!r}")
