"""``manifests/gitops/argocd`` from the health scripts: ``python -m tests.gitops.customizations --write``, or ``--check``, as a test does.

The scripts lie as Argo CD keeps its own (resource_customizations/<group>/<Kind>/health.lua) and are written by hand. What is made of
them: the entries of the ConfigMap argocd-cm, and test data in Argo CD's own format, so that they can be contributed there.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from tests.chart.helm import ROOT, Manifest
from tests.chart.manifests import write_or_check
from tests.gitops.states import states

__all__ = ["ARGOCD", "KINDS", "expected", "files", "scripts", "stand"]

ARGOCD = ROOT / "manifests" / "gitops" / "argocd"
GROUP = "modelyard.io"
SHOWN = {
    "Experiment": ("Synced", "MLflowUnavailable", "NameTaken"),
    "RegisteredModel": ("Serving", "Promoting", "ServingFailed"),
    "TrainingRun": ("Succeeded", "Training", "Suspended", "Failed"),
}
"""The reasons that Argo CD's own tests show; ours see them all."""
KINDS = tuple(SHOWN)
HEAD = "# Generated from resource_customizations by `python -m tests.gitops.customizations --write`. Never edit it.\n"
APPLY = "# kubectl apply --server-side --field-manager=modelyard-health -f argocd-cm.yaml adds these entries and leaves all others alone.\n"


def folder(kind: str) -> Path:
    return ARGOCD / "resource_customizations" / GROUP / kind


def scripts() -> dict[str, str]:
    """Argo CD's health scripts by `group/Kind`."""
    return {f"{GROUP}/{kind}": (folder(kind) / "health.lua").read_text() for kind in KINDS}


def stand(manifest: Manifest) -> tuple[str, str, str]:
    """The one condition of three that is True: its type, reason and message."""
    (found,) = [
        each
        for each in manifest["status"]["conditions"]
        if each["type"] in ("Ready", "Reconciling", "Stalled") and each["status"] == "True"
    ]
    return found["type"], found["reason"], found["message"]


def expected(manifest: Manifest) -> tuple[str, str]:
    """What Argo CD should show of an object: status and message. Written down here as a table, not as a script."""
    if "deletionTimestamp" in manifest["metadata"]:
        return "Progressing", "Pending deletion"
    type_, reason, message = stand(manifest)
    status = "Suspended" if reason == "Suspended" else {"Ready": "Healthy", "Reconciling": "Progressing", "Stalled": "Degraded"}[type_]
    return status, f"{reason}: {message}" if message else reason


class Dumper(yaml.SafeDumper):
    """Long texts in one piece."""


Dumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)
)


def dumped(value: Any) -> str:
    return yaml.dump(value, Dumper=Dumper, sort_keys=False, width=1000, allow_unicode=True)


def config_map() -> Manifest:
    data = {f"resource.customizations.health.{GROUP}_{kind}": (folder(kind) / "health.lua").read_text() for kind in KINDS}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm", "namespace": "argocd"}, "data": data}


def tests_of(kind: str) -> dict[str, str]:
    """Argo CD's own test of one script: an object of each status, and what is to be said of it."""
    out, cases = {}, []
    for reason in SHOWN[kind]:
        each = next(each for each in states() if each["kind"] == kind and stand(each)[1] == reason)
        status, message = expected(each)
        path = f"testdata/{status.lower()}_{reason}.yaml"
        out[path] = dumped(each | {"metadata": {key: value for key, value in each["metadata"].items() if value}})
        cases.append({"healthStatus": {"status": status, "message": message}, "inputPath": path})
    return {**out, "health_test.yaml": dumped({"tests": cases})}


def files() -> dict[str, str]:
    """The generated files: path below the repository's root, and text."""
    made = {ARGOCD / "argocd-cm.yaml": HEAD + APPLY + dumped(config_map())}
    for kind in KINDS:
        made |= {folder(kind) / name: text for name, text in tests_of(kind).items()}
    return {path.relative_to(ROOT).as_posix(): text for path, text in made.items()}


def main(words: list[str]) -> int:
    """Writes the files, or says which are stale."""
    return write_or_check(words, files, "tests.gitops.customizations", __doc__)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
