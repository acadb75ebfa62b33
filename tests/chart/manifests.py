"""Generate ``manifests/`` and the chart's README: ``python -m tests.chart.manifests --write``.

``--check`` reports files that are stale, as a test does. The manifests for kustomize are what
``helm template`` renders for the chart's defaults, and for its demo. Samples are written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

from tests.chart.explained import table
from tests.chart.helm import CHART, ROOT, render_text

__all__ = ["DEMO_VALUES", "files", "main", "write_or_check"]

# kustomize cannot generate random passwords: its Secrets come from the files next to it.
DEMO_VALUES: dict[str, Any] = {
    "demo": {"enabled": True, "minio": {"existingSecret": "modelyard-minio"}}
}
HEAD = (
    "# Generated from charts/modelyard by `python -m tests.chart.manifests --write`. Never edit"
    " it.\n"
)
PAGE = """\
<!-- Generated from values.yaml by `python -m tests.chart.manifests --write`. Never edit it. -->
# The chart of modelyard

Installs the operator with its CustomResourceDefinitions, its rights, the policies that guard
promotion and purging, NetworkPolicies and the connections of its tenants; for trying out, also an
MLflow server and MinIO. [docs/install.md](../../docs/install.md) explains how to use it.

"""


def pieces(values: dict[str, Any]) -> list[str]:
    """Return the chart's objects as texts, without helm's hooks and its `# Source` comments."""
    text = re.sub(r"^# Source: .*\n", "", render_text(values, hooks=False), flags=re.MULTILINE)
    return [
        piece.strip("\n") + "\n"
        for piece in re.split(r"^---$", text, flags=re.MULTILINE)
        if piece.strip()
    ]


def files() -> dict[str, str]:
    """Return the generated files: path under the repository's root, and text."""
    base, demo = pieces({}), pieces(DEMO_VALUES)
    changed = [piece for piece in base if piece not in demo]
    assert not changed, f"the demo changes an object that is installed without it:\n{changed[0]}"
    return {
        "charts/modelyard/README.md": PAGE + table((CHART / "values.yaml").read_text()),
        "manifests/base/modelyard.yaml": HEAD + "".join(f"---\n{piece}" for piece in base),
        "manifests/demo/demo.yaml": HEAD
        + "".join(f"---\n{piece}" for piece in demo if piece not in base),
    }


def main(words: list[str]) -> int:
    """Write the files, or report which are stale."""
    return write_or_check(words, files, "tests.chart.manifests", __doc__)


def write_or_check(
    words: list[str], made: Callable[[], dict[str, str]], module: str, usage: str | None
) -> int:
    """Write generated files (`--write`), or report which are stale (`--check`), for any generator.

    Args:
        words: The arguments of the command line.
        made: Returns the files: path under the repository's root, and text.
        module: The generator's module.
        usage: Printed on a usage error.

    """
    if words not in (["--write"], ["--check"]):
        print(usage, file=sys.stderr)
        return 2
    stale = {
        path: text
        for path, text in made().items()
        if not (ROOT / path).exists() or (ROOT / path).read_text() != text
    }
    for path, text in stale.items():
        if words == ["--write"]:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(text)
        print(
            path if words == ["--write"] else f"{path} is stale: run `python -m {module} --write`"
        )
    return 1 if stale and words == ["--check"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
