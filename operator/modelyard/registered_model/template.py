"""The pod template that serves a version in a stage. Pure.

`template` returns what is rolled out: without the serving fields of the spec. `with_serving` adds
their present values.
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from modelyard.api import wire
from modelyard.api.base import parse_duration
from modelyard.api.pods import Resources
from modelyard.api.registered_model import RegisteredModel, ServedVersion, Serving, ServingRuntime
from modelyard.api.wire import FETCH, MODEL
from modelyard.api.wire import SERVING_PORT as PORT
from modelyard.kube.names import (
    IDENTITY_LABEL,
    MODEL_LABEL,
    STAGE_LABEL,
    TRAFFIC_ANNOTATION,
    UID_LABEL,
    VERSION_LABEL,
    bounded,
    mlflow_model_name,
)
from modelyard.kube.pods import (
    CONTAINER_SECURITY,
    DEFAULT_STORAGE,
    POD_SECURITY,
    STORAGE,
    connection,
    env,
    labels,
    literal,
    pull_secrets,
    resources,
    scratch_mounts,
    scratch_volumes,
    store_keys,
)
from modelyard.kube.quantities import quantity
from modelyard.plan import Manifest

__all__ = [
    "TRAFFIC_VOLUME",
    "PodSettings",
    "is_of_revision_3",
    "selector",
    "serving_labels",
    "template",
    "with_serving",
]

TRAFFIC_VOLUME = "traffic"
"""The volume in which a pod reads its own annotation."""
_GRACE_SECONDS = 30
_TMP_SIZE, _GIB = "2Gi", 1024**3
_SCRAPED = {
    "prometheus.io/scrape": "true",
    "prometheus.io/port": str(wire.METRICS_PORT),
    "prometheus.io/path": "/metrics",
}
"""Annotations by which a Prometheus with the usual configuration finds the pods."""


@dataclass(frozen=True)
class PodSettings:
    """What serving pods get from their namespace and the operator's settings."""

    allow_code: bool
    pods_secret: str
    pull_secrets: tuple[str, ...] = ()


# --- the template -------------------------------------------------------------------------------
def template(
    model: RegisteredModel, stage: str, what: ServedVersion, uri: str, pull_policy: str
) -> Manifest:
    """Return the pod template that serves a version, without the serving fields of the spec."""
    common = {
        "image": what.runtime.image,
        "imagePullPolicy": pull_policy,
        "securityContext": CONTAINER_SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": scratch_mounts(),
    }
    fetch = {
        "name": FETCH,
        "command": wire.program(
            "fetch", "--uri", literal(uri), "--digest", what.digest, "--to", wire.MODEL_FOLDER
        ),
        "env": env({}),
    }
    name = mlflow_model_name(model.metadata.namespace, model.metadata.name)
    server = {
        "name": MODEL,
        "command": _server_command(model, what),
        "env": env({wire.MODEL_NAME: name}),
        "resources": resources(Resources()),
        "volumeMounts": [
            *scratch_mounts(),
            {"name": TRAFFIC_VOLUME, "mountPath": wire.RULE_FOLDER, "readOnly": True},
        ],
        "ports": [_port("http", PORT), _port("metrics", wire.METRICS_PORT)],
        # A large model needs time to load; a broken one reports its error and exits.
        "startupProbe": _probe(wire.READY_PATH, period=1, failures=600),
        "readinessProbe": _probe(wire.READY_PATH, period=1, failures=3),
        "livenessProbe": _probe(wire.LIVE_PATH, period=10, failures=6),
    }
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "securityContext": POD_SECURITY,
        "initContainers": [common | fetch],
        "containers": [common | server],
        "volumes": [*scratch_volumes(_TMP_SIZE, _model_size(model, what)), _traffic()],
    }
    return {
        "metadata": {"labels": serving_labels(model, stage, what), "annotations": _SCRAPED},
        "spec": pod,
    }


def _traffic() -> dict[str, Any]:
    """Return the volume in which the kubelet writes the pod's annotation, within a second.

    The pod needs no token for it.
    """
    field = {"fieldPath": f"metadata.annotations['{TRAFFIC_ANNOTATION}']"}
    return {
        "name": TRAFFIC_VOLUME,
        "downwardAPI": {"items": [{"path": wire.RULE_FILE, "fieldRef": field}]},
    }


def _port(name: str, number: int) -> dict[str, Any]:
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def _model_size(model: RegisteredModel, what: ServedVersion) -> str:
    """Return twice the size of a version's files.

    Files that are fetched again are stored next to the wrong ones.
    """
    sizes = (version.bytes for version in model.status.versions if version.digest == what.digest)
    size = next((size for size in sizes if size is not None), None)
    return DEFAULT_STORAGE if size is None else f"{2 * size // _GIB + 1}Gi"


def _server_command(model: RegisteredModel, what: ServedVersion) -> list[str]:
    names = [
        "--name",
        model.metadata.name,
        "--version",
        what.version,
        "--runtime",
        what.runtime.identity,
    ]
    return wire.program(
        "serve",
        "--model-dir",
        wire.MODEL_FOLDER,
        *names,
        "--port",
        str(PORT),
        "--metrics-port",
        str(wire.METRICS_PORT),
    )


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": PORT},
        "periodSeconds": period,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }


def with_serving(rolled_out: Manifest, serving: Serving, pod_settings: PodSettings) -> Manifest:
    """Return a template with the spec's serving fields and the settings of the namespace."""
    whole = deepcopy(rolled_out)
    pod = whole["spec"]
    server = next(container for container in pod["containers"] if container["name"] == MODEL)
    for container in pod["initContainers"]:
        if is_of_revision_3(server):
            container["env"] = [*container["env"], *store_keys(pod_settings.pods_secret)]
        else:
            container["envFrom"] = connection(pod_settings.pods_secret)
        if container["name"] == FETCH:
            # A kept template may have resources: an upgrade must not restart a model.
            container.setdefault("resources", resources(serving.resources))
    server["resources"] = _resources(serving.resources, server)
    settings = _settings(serving.runtime)
    if pod_settings.allow_code:
        settings[wire.ALLOW_CODE] = "true"
    server["env"] = [
        *server["env"],
        *({"name": name, "value": value} for name, value in settings.items()),
    ]
    if STORAGE in serving.resources.limits:
        size = serving.resources.limits[STORAGE]
        pod["volumes"] = [
            _sized(each, size) if each["name"] == "tmp" else each for each in pod["volumes"]
        ]
    if pod_settings.pull_secrets:
        pod["imagePullSecrets"] = pull_secrets(*pod_settings.pull_secrets)
    if serving.node_selector:
        pod["nodeSelector"] = dict(serving.node_selector)
    if serving.tolerations:
        pod["tolerations"] = [
            each.model_dump(by_alias=True, exclude_none=True) for each in serving.tolerations
        ]
    return whole


def _settings(runtime: ServingRuntime) -> dict[str, str]:
    """Return the model server's environment variables that come from the spec.

    An absent field sets no variable, so that a new field does not restart any pod.
    """
    found = {wire.WORKERS: str(runtime.workers)}
    if (size := quantity(runtime.max_body_bytes)) is not None:
        found[wire.MAX_BODY] = str(int(size))
    if runtime.timeout is not None:
        found[wire.TIMEOUT] = str(int(parse_duration(runtime.timeout).total_seconds()))
    return found


# Kept templates of earlier revisions are applied unchanged: an upgrade of the operator must not
# restart a model. The revision is read from the template, because a restored status lacks it.
def _is_of_revision_2(server: Manifest) -> bool:
    """Tell whether a template is of revision 2 or later: those have resources."""
    return "resources" in server


def is_of_revision_3(server: Manifest) -> bool:
    """Tell whether a template is of revision 3 or later: those have a metrics port."""
    return any(port["containerPort"] == wire.METRICS_PORT for port in server.get("ports") or ())


def _resources(wanted: Resources, server: Manifest) -> dict[str, Any]:
    """Return the server's resources, completed with the operator's defaults."""
    requested = {
        side: dict(values)
        for side, values in (("requests", wanted.requests), ("limits", wanted.limits))
        if values
    }
    return resources(wanted) if _is_of_revision_2(server) or not requested else requested


def _sized(volume: Manifest, size: int | str) -> Manifest:
    limited = "sizeLimit" in volume.get("emptyDir", {})
    return volume | {"emptyDir": {"sizeLimit": size}} if limited else volume


def selector(model: RegisteredModel, stage: str, what: ServedVersion) -> dict[str, str]:
    return {
        UID_LABEL: model.metadata.uid,
        MODEL_LABEL: bounded(model.metadata.name),
        STAGE_LABEL: stage,
        IDENTITY_LABEL: what.runtime.identity,
    }


def serving_labels(model: RegisteredModel, stage: str, what: ServedVersion) -> dict[str, str]:
    selected = selector(model, stage, what)
    return labels(model.metadata.uid, "serving", **(selected | {VERSION_LABEL: what.version}))
