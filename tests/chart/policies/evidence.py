"""Cases of the policy on the analysis of a rollout: serving-evidence."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.chart.api import Manifest
from tests.chart.policies.objects import controlled, plural_path, served, workload
from tests.chart.policies.row import (
    Request,
    Row,
    apply,
    create,
    delete,
    generate,
    json_patch,
    merge,
    put,
    strategic,
)
from tests.chart.policies.serving import FOREIGN, MACHINERY, STAGE, at, labelled

__all__ = ["ROWS"]

evidence = partial(Row, "serving-evidence")
# Whatever their rights: no user may promote with evidence that they wrote.
NOT, MACHINES = "dora stan fred rita olga gitops unnamed admin node", f"named gc {MACHINERY}"
SERVES, OWNED, PLAIN = (at("ConfigMap", name) for name in ("serves", "owned", "plain"))
REFERENCES = controlled(workload("ConfigMap", "a"))["metadata"]["ownerReferences"]
FORGED = {"data": {"analysis.json": "{}"}}


def config_map(labels: dict[str, str] | None = None, **metadata: Any) -> Manifest:
    body = workload("ConfigMap", "fraud-production-rollout", labels)
    return body | {"metadata": body["metadata"] | metadata}


def new(body: Manifest) -> Request:
    return create(plural_path(body), body)


OURS = controlled(config_map(served("production")))
ROWS = [
    evidence("created as the operator does", new(OURS), NOT, f"op {MACHINES}",
        "may not create the ConfigMap fraud-production-rollout"),
    evidence("created with the label alone", new(config_map(served("production"))), NOT, MACHINES),
    evidence("created with the owner alone", new(controlled(config_map())), NOT, f"op {MACHINES}",
        "a RegisteredModel as its controller"),
    evidence("created with an owner of a later version",
        new(controlled(config_map(), apiVersion="modelyard.io/v2")), NOT, f"op {MACHINES}"),
    evidence("created by server-side apply", apply(plural_path(OURS, "fraud-production-rollout"),
        OURS),
        NOT, f"op {MACHINES}"),
    evidence("created under a name that is made up", generate(plural_path(OURS), OURS), NOT, "op"),
    *(evidence(f"{what}: data", merge(path, FORGED), NOT, f"op {MACHINES}",
        "delete the ConfigMap") for what, path in (("labelled", SERVES), ("owned", OWNED))),
    *(evidence(f"{what}: owner removed", merge(path, {"metadata": {"ownerReferences": None}}), NOT,
        MACHINES) for what, path in (("labelled", SERVES), ("owned", OWNED))),
    evidence("data by a strategic patch", strategic(SERVES, FORGED), NOT, "op"),
    evidence("data by replacement", put(SERVES, lambda body: body.update(FORGED)), NOT, "op"),
    evidence("data by server-side apply", apply(SERVES, workload("ConfigMap",
        "serves-configmap") | FORGED),
        NOT),
    evidence("data removed", json_patch(SERVES, ("remove", "/data/a")), NOT, "op"),
    evidence("binary data", merge(SERVES, {"binaryData": {"b": "YQ=="}}), NOT, "op"),
    evidence("immutable", merge(SERVES, {"immutable": True}), NOT, "op"),
    evidence("label removed", json_patch(SERVES, ("remove", STAGE)), NOT, "op"),
    evidence("label and owner removed with the data", put(SERVES, lambda body:
        workload("ConfigMap", "serves-configmap") | FORGED), NOT, MACHINES),
    evidence("label changed", merge(SERVES, labelled(stage="staging")), NOT, "op"),
    evidence("managed-by", merge(SERVES, {"metadata": {"labels":
        {"app.kubernetes.io/managed-by": "me"}}}), NOT, "op"),
    evidence("annotation of ours", merge(SERVES, {"metadata": {"annotations":
        {"modelyard.io/content": "0"}}}), NOT, "op"),
    evidence("label put on another", merge(PLAIN, labelled(stage="production")), NOT, MACHINES),
    evidence("owner put on another", merge(PLAIN, {"metadata": {"ownerReferences": REFERENCES}}),
        NOT,
        MACHINES),
    *(evidence(f"{what}: foreign labels, annotations, finalizers", merge(path, FOREIGN),
        allowed="dora unnamed op") for what, path in (("labelled", SERVES), ("owned", OWNED))),
    *(evidence(f"{what}: deleted", delete(path), allowed="dora op gc")
        for what, path in (("labelled", SERVES), ("owned", OWNED))),
    evidence("another created", new(config_map()), allowed="dora unnamed"),
    evidence("another created with labels", new(config_map({"team": "a",
        "modelyard.io/model": "fraud"})),
        allowed="dora"),
    evidence("another changed", merge(PLAIN, FORGED), allowed="dora unnamed"),
    evidence("another deleted", delete(PLAIN), allowed="dora"),
    *(evidence(f"another, {what}", new(body), allowed="dora") for what, body in {
        "controlled by another kind of ours": controlled(config_map(), "TrainingRun"),
        "controlled by such a kind of another group": controlled(config_map(), group="example.com"),
        "whose owner is no controller": controlled(config_map(), controller=False),
    }.items()),
]  # fmt: skip
