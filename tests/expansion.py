"""The kubelet's expansion of a container's environment and command, by Kubernetes' reference
(`Container.env.value`).

"Variable references $(VAR_NAME) are expanded using the previously defined environment variables in
the container and any service environment variables. If a variable cannot be resolved, the reference
in the input string will be unchanged. Double $$ are reduced to a single $".
"""

import re
from collections.abc import Mapping, Sequence

__all__ = ["expand", "expanded"]

_REFERENCE = re.compile(r"\$(?:(\$)|\(([^)]*)\))")


def expand(text: str, known: Mapping[str, str]) -> str:
    """Expand one text."""
    return _REFERENCE.sub(lambda found: "$" if found[1] else known.get(found[2], found[0]), text)


def expanded(env: Sequence[Mapping[str, str]], secrets: Mapping[str, str]) -> dict[str, str]:
    """Return a container's environment: `envFrom` first, then each variable expanded with the
    earlier ones.
    """
    known = dict(secrets)
    for each in env:
        known[each["name"]] = expand(each["value"], known)
    return known
