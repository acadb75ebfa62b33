"""Strategies that draw specs from a structural schema: all that it allows, with a preference for
edge cases.

(hypothesis-jsonschema would do it, but does not work with the hypothesis of the lock file.)
"""

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from tests.api.objects import Manifest

__all__ = ["ODD", "changed", "paths", "specs"]

FEW = 3

ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([-1, 0, 1, 1001, 2**31, 2**53]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(
        [
            "",
            "a",
            "A",
            "a" * 64,
            "a" * 6001,
            "v1",
            "latest",
            "1h",
            "1.5",
            "1e3",
            "\n",
            "a\n",
            "../x",
            "1Gi",
        ]
    ),
    st.sampled_from(["s3://b/../k", "s3://bucket/\u0000", "s3://bucket/key", "sha256:" + "f" * 64]),
    st.lists(st.text(max_size=3), max_size=2),
    st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
)
"""Values that are valid for few fields."""


KEYS: st.SearchStrategy[str] = st.one_of(
    st.from_regex("[a-z]([-a-z0-9]{0,9}[a-z0-9])?", fullmatch=True),
    st.text("aZ9é./_-: ", min_size=1, max_size=8),
    st.sampled_from(
        [
            "layers[0].units",
            "owner@team",
            "größe",
            "a//b",
            "../up",
            "..",
            ".",
            "/a",
            "a/",
            "",
            " ",
            "a" * 250,
            "a" * 251,
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
"""Keys of a map: as users name things, at the limits of MLflow, and arbitrary ones."""


MOMENTS: st.SearchStrategy[str] = st.datetimes().map(
    lambda moment: f"{moment.isoformat()}Z"
) | st.sampled_from(
    ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00", "2026-02-28T12:00:00.123456789+14:00"]
)
"""Timestamps in RFC 3339, including edge cases."""


def specs(schema: Manifest) -> st.SearchStrategy[Any]:
    """Values that a structural schema allows; rules may still refuse them."""
    if schema.get("x-kubernetes-int-or-string"):
        return st.integers(0, 2**31) | _matching(schema)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "boolean":
            return st.booleans()
        case "integer":
            low, high = schema["minimum"], schema.get("maximum", 2**31)
            return st.integers(low, high) | st.sampled_from([low, high])
        case "string" if schema.get("format") == "date-time":
            return MOMENTS
        case "string":
            return _matching(schema) if "pattern" in schema else _text(schema)
        case "array":
            keys = schema.get("x-kubernetes-list-map-keys", ())
            different = (
                {"unique_by": lambda item: tuple(item.get(key) for key in keys)} if keys else {}
            )
            return st.lists(
                specs(schema["items"]),
                min_size=schema.get("minItems", 0),
                max_size=FEW,
                **different,
            )
        case "object" if "additionalProperties" in schema:
            return st.dictionaries(KEYS, specs(schema["additionalProperties"]), max_size=FEW)
        case "object":
            required = set(schema.get("required", ()))
            fields = {name: specs(child) for name, child in schema.get("properties", {}).items()}
            return st.fixed_dictionaries(
                {name: field for name, field in fields.items() if name in required},
                optional={name: field for name, field in fields.items() if name not in required},
            )
    raise AssertionError(f"no strategy for {schema}")


def _matching(schema: Manifest) -> st.SearchStrategy[str]:
    drawn = st.from_regex(schema["pattern"].removeprefix("^").removesuffix("$"), fullmatch=True)
    return drawn.filter(lambda text: schema.get("minLength", 0) <= len(text) <= schema["maxLength"])


def _text(schema: Manifest) -> st.SearchStrategy[str]:
    low, high = schema.get("minLength", 0), schema["maxLength"]
    # Surrogates are not text: JSON cannot carry them.
    characters = st.characters(exclude_categories=["Cs"])
    edges = ["x" * low, "x" * high, *(text for text in ("a\0b",) if low <= len(text) <= high)]
    return st.text(characters, min_size=low, max_size=min(high, 20)) | st.sampled_from(edges)


def paths(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the places where a value can be changed."""
    children = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for key, child in children:
        yield (*path, key)
        yield from paths(child, (*path, key))


def changed(spec: Manifest, path: tuple[Any, ...], value: Any) -> Manifest:
    """The spec with one value replaced."""
    out = copy.deepcopy(spec)
    node: Any = out
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    return out
