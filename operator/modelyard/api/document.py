"""Read and write YAML with the same meaning as kubectl, Helm and GitOps engines.

PyYAML follows YAML 1.1 strictly. They resolve unquoted texts as Go does (go.yaml.in/yaml/v2,
resolve.go): `1e-3`, `08` and the Git revision `8e44` are numbers, `y` is true, `0o17` is 15.
Without quotes, the API server would refuse such a text as a parameter.
"""

import math
import re
from typing import Any

import yaml

from modelyard.api.text import printable

__all__ = ["dumped", "loaded_all"]

_BINARY, _BOOL, _FLOAT, _INT, _SET, _TIMESTAMP = (
    f"tag:yaml.org,2002:{kind}" for kind in ("binary", "bool", "float", "int", "set", "timestamp")
)
_NUMBER = re.compile(
    r"^[-+]?(\.[0-9_]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9_]+)?$|^[-+]?0[xXoObB][0-9a-fA-F_]+$"
)
_TRUTH = re.compile(r"^[yYnN]$")


class _Dumper(yaml.SafeDumper):
    """Quotes texts that any reader could resolve to another type, and writes no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write repeated values in full."""
        del data
        return True

    def analyze_scalar(self, scalar: str) -> Any:
        """Write a text with invisible characters in double quotes, which escape them."""
        analysis: Any = super().analyze_scalar(scalar)
        if printable(scalar, lines=True) != scalar:
            analysis.special_characters = True
            analysis.allow_flow_plain = analysis.allow_block_plain = False
            analysis.allow_single_quoted = analysis.allow_block = False
        return analysis

    def write_double_quoted(self, text: str, split: bool = True) -> None:
        """Write a text in double quotes; if it has invisible characters, escape all but ASCII."""
        unicode, self.allow_unicode = self.allow_unicode, printable(text, lines=True) == text
        super().write_double_quoted(text, split)
        self.allow_unicode = unicode


_Dumper.add_implicit_resolver(_FLOAT, _NUMBER, list("-+.0123456789"))
_Dumper.add_implicit_resolver(_BOOL, _TRUTH, list("yYnN"))


class _Loader(yaml.SafeLoader):
    """Reads `1e-3` as a number, and `12:30` and dates as texts, because JSON has no dates."""


def _number(loader: _Loader, node: yaml.ScalarNode) -> int | float | str:
    text = str(loader.construct_scalar(node)).replace("_", "").lower()
    for base in (0, 8):  # 017 is octal like 0o17; 08 is neither, and Go reads it as 8.0
        try:
            return int(text, base)
        except ValueError:
            continue
    number = float(text)
    return number if math.isfinite(number) else loader.construct_scalar(node)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_INT, _FLOAT, _TIMESTAMP)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_FLOAT, _NUMBER, list("-+.0123456789"))
_Loader.add_constructor(_FLOAT, _number)
_Loader.add_implicit_resolver(_BOOL, _TRUTH, list("yYnN"))
_Loader.yaml_constructors = {
    tag: made for tag, made in _Loader.yaml_constructors.items() if tag not in (_BINARY, _SET)
}  # JSON has neither, so they are errors
_Loader.bool_values = yaml.SafeLoader.bool_values | {"y": True, "n": False}


def dumped(value: Any) -> str:
    """Return a value as one YAML document."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=140)


def loaded_all(text: str) -> list[Any]:
    """Return the non-empty documents of a stream.

    Raises:
        yaml.YAMLError: The text is not YAML.

    """
    return [document for document in yaml.load_all(text, Loader=_Loader) if document]
