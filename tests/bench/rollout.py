"""Bar B11, on kind: from a change of a spec to the first answer of the new version, and lost
requests.

For comparison, in the same namespace and in turns, a bare Deployment and Service: the operator's
pods without the operator.
"""

from __future__ import annotations

import copy
import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.figures import Samples
from tests.cluster.console import Console
from tests.demo import install
from tests.demo.kube import Kube, Manifest
from tests.demo.load import Load, steady_load
from tests.e2e.tenant import SERVING, TABLE, Tenant

__all__ = ["BARE", "OURS", "RATE", "measure"]

OURS, BARE = "modelyard", "a bare Deployment"
LABEL = "modelyard.io/bench"
STAGE = "production"
MODEL = "fraud"
RATE = 50
SECONDS = 120
VERSIONS = {"v1": {}, "v2": {"parameters": {"max_depth": "2", "n_estimators": "3"}}}


@dataclass
class Bench:
    """One namespace with two trained versions."""

    kube: Kube
    there: Tenant
    console: Console
    pods: dict[str, Manifest]
    """The specs of the pods that serve each version, as the operator makes them."""

    # --- first apply ------------------------------------------------------------------------------
    def first_apply(self, subject: str, name: str) -> float:
        """Seconds from the creation of what serves to the first prediction over its Service;
        everything is removed again.
        """
        begun = time.monotonic()
        if subject == OURS:
            self.create(
                "apis/modelyard.io/v1alpha1/namespaces/{}/registeredmodels",
                model(name, {STAGE: "v1"}),
            )
            service, kinds = f"{name}-{STAGE}", ["mlmodel"]
        else:
            self.create("apis/apps/v1/namespaces/{}/deployments", deployment(name, self.pods["v1"]))
            self.create("api/v1/namespaces/{}/services", front(name))
            service, kinds = name, ["deployment", "service"]
        path = f"v1/models/{name if subject == OURS else MODEL}:predict"
        # By the API server's proxy: the Service's name does not exist before, and resolvers cache
        # that for a while.
        while self.kube.service(self.there.name, service, path, {"instances": TABLE})[0] != 200:
            if time.monotonic() - begun > SECONDS:
                raise RuntimeError(f"{subject}: {name} does not answer\n{self.there.explain_all()}")
            time.sleep(0.02)
        took = time.monotonic() - begun
        self.kube.kubectl("delete", ",".join(kinds), name, "-n", self.there.name, "--wait=false")
        self.kube.wait(f"{name} is gone", lambda: not self.pods_of(subject, name), SECONDS)
        return took

    def create(self, path: str, body: Manifest) -> None:
        headers = {"Content-Type": "application/json"}
        code, _, content = self.kube.request(
            "POST", path.format(self.there.name), json.dumps(body), headers
        )
        if code >= 300:
            raise RuntimeError(
                f"{body['kind']} {body['metadata']['name']}: {code} {content[:300]!r}"
            )

    def pods_of(self, subject: str, name: str) -> list[Manifest]:
        labels = f"modelyard.io/model={name}" if subject == OURS else f"{LABEL}={name}"
        return self.kube.list("Pod", self.there.name, labels)

    # --- promotions -------------------------------------------------------------------------------
    def promotion(self, subject: str, version: str, probe: Probe) -> float:
        """Seconds from the patch to the new version's first answer; returns when the old
        version's pods are gone.
        """
        begun = time.time()
        if subject == OURS:
            self.patch(
                f"apis/modelyard.io/v1alpha1/namespaces/{{}}/registeredmodels/{MODEL}",
                promotion(version),
            )
            self.there.serves(version, model=MODEL)
        else:
            patch = {"spec": deployment(BARE_NAME, self.pods[version])["spec"]}
            self.patch(f"apis/apps/v1/namespaces/{{}}/deployments/{BARE_NAME}", patch)
            self.kube.wait(
                f"the bare Deployment serves {version}",
                lambda: self.serves_bare(version),
                SECONDS,
                self.there.explain_all,
            )
        return probe.first(version, begun) - begun

    def rollback(self, probe: Probe) -> float:
        """Seconds from the patch to the first answer of v1, which v2 has displaced and a window
        keeps warm; there and back once.
        """
        path = f"apis/modelyard.io/v1alpha1/namespaces/{{}}/registeredmodels/{MODEL}"
        self.patch(path, windowed("1h", "v2"))
        self.kube.wait("v2 is effective", lambda: self.holds("v2"), SECONDS, self.there.explain_all)
        begun = time.time()
        self.patch(path, promotion("v1"))
        took = probe.first("v1", begun) - begun
        self.patch(path, windowed(None, "v1"))
        self.there.serves("v1", model=MODEL)
        return took

    def holds(self, version: str) -> bool:
        """Return whether a version is effective, and nothing of its promotion is left to do."""
        stage = self.there.stage(MODEL)
        return bool(
            stage.get("version") == version
            and stage.get("desired") == version
            and not stage.get("draining")
        )

    def patch(self, path: str, patch: Manifest) -> None:
        headers = {"Content-Type": "application/merge-patch+json"}
        code, _, content = self.kube.request(
            "PATCH", path.format(self.there.name), json.dumps(patch), headers
        )
        if code >= 300:
            raise RuntimeError(f"{path}: {code} {content[:300]!r}")

    def read(self, path: str) -> Manifest:
        code, _, content = self.kube.request("GET", path.format(self.there.name))
        if code >= 300:
            raise RuntimeError(f"{path}: {code} {content[:300]!r}")
        body: Manifest = json.loads(content)
        return body

    def serves_bare(self, version: str) -> bool:
        """Return whether all of its pods are of the version and one is ready."""
        body = self.kube.get("Deployment", BARE_NAME, self.there.name) or {
            "status": {},
            "metadata": {},
        }
        seen = body["status"].get("observedGeneration", 0) >= body["metadata"].get("generation", 1)
        mine = {pod["metadata"]["labels"]["version"] for pod in self.pods_of(BARE, BARE_NAME)}
        return bool(seen and mine == {version} and body["status"].get("readyReplicas"))


BARE_NAME = "bare"


def model(name: str, stages: dict[str, str]) -> Manifest:
    versions = {version: {"trainingRun": version} for version in VERSIONS}
    spec = {
        "versions": versions,
        "stages": {
            stage: {"version": version, "serving": SERVING} for stage, version in stages.items()
        },
    }
    return {
        "apiVersion": "modelyard.io/v1alpha1",
        "kind": "RegisteredModel",
        "metadata": {"name": name},
        "spec": spec,
    }


def promotion(version: str) -> Manifest:
    return {"spec": {"stages": {STAGE: {"version": version}}}}


def windowed(window: str | None, version: str) -> Manifest:
    return {
        "spec": {
            "stages": {
                STAGE: {"version": version, "rollback": {"window": window} if window else None}
            }
        }
    }


def deployment(name: str, template: Manifest) -> Manifest:
    """Return a Deployment with the operator's kind of pods, which the operator does not own."""
    labels = {LABEL: name}
    pod = {"metadata": {"labels": labels | {"version": version_of(template)}}, "spec": template}
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "strategy": strategy,
        "template": pod,
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def version_of(template: Manifest) -> str:
    words = template["containers"][0]["command"]
    return str(words[words.index("--version") + 1])


def front(name: str) -> Manifest:
    spec = {"selector": {LABEL: name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


class Probe:
    """A pod that sends requests all the time, with its records."""

    def __init__(self, kube: Kube, namespace: str, name: str) -> None:
        self._kube, self._namespace, self._name = kube, namespace, name

    def seen(self) -> list[dict[str, Any]]:
        said = self._kube.kubectl("logs", "-n", self._namespace, self._name)
        return [json.loads(line) for line in said.splitlines()]

    def wait(self, look: Callable[[], float | None], seconds: float) -> float:
        """Wait until a function of the records returns a result."""
        found: float = self._kube.wait(f"{self._name} sees it", look, seconds)
        return found

    def first(self, version: str, after: float) -> float:
        """Return when a version answered first after a time of day."""

        def look() -> float | None:
            return next(
                (
                    each["at"]
                    for each in self.seen()
                    if each["version"] == version and each["code"] == 200 and each["at"] > after
                ),
                None,
            )

        return self._kube.wait(f"{self._name} sees {version}", look, 30)


@contextmanager
def probing(kube: Kube, namespace: str, url: str, name: str) -> Iterator[Probe]:
    """Run a probe for the duration of a block, which begins with its first good answer."""
    metadata = {"name": name, "namespace": namespace}
    source = Path(__file__).with_name("probe.py").read_text()
    script = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {"probe.py": source},
    }
    spec = kube.restricted(
        ["python", "/probe/probe.py", url, json.dumps({"instances": TABLE})],
        install.RUNTIME,
        mounts={"/probe": name},
    )
    kube.apply(
        script,
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
        namespace=namespace,
    )
    probe = Probe(kube, namespace, name)

    def good() -> bool:
        pod = kube.get("Pod", name, namespace) or {}
        return bool(
            pod.get("status", {}).get("phase") == "Running"
            and any(each["code"] == 200 for each in probe.seen())
        )

    try:
        kube.wait(f"{name} is answered", good, 60, lambda: kube.explain_pods(namespace))
        yield probe
    finally:
        kube.program(
            "kubectl",
            "delete",
            "pod,configmap",
            name,
            "-n",
            namespace,
            "--ignore-not-found",
            "--grace-period=0",
            "--force",
        )


# --- the measurement ------------------------------------------------------------------------------
@contextmanager
def namespace(kube: Kube) -> Iterator[Tenant]:
    """A separate namespace for the bench, which may reach MLflow and MinIO."""
    name = f"bench-{secrets.token_hex(3)}"
    labels = {LABEL: "true", "pod-security.kubernetes.io/enforce": "restricted"}
    kube.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    )
    for part in ("MLflow", "MinIO"):
        selector = {
            "app.kubernetes.io/instance": install.RELEASE,
            "app.kubernetes.io/component": part.lower(),
        }
        ingress = [{"from": [{"namespaceSelector": {"matchLabels": {LABEL: "true"}}}]}]
        policy = {
            "podSelector": {"matchLabels": selector},
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        }
        metadata = {"name": f"{install.DEPLOYMENTS[part]}-bench"}
        body = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata,
            "spec": policy,
        }
        kube.apply(body, namespace=install.NAMESPACE)
    there = Tenant(kube, name)
    there.connect(kube.connection("risk"))
    try:
        yield there
    finally:
        kube.kubectl("delete", "namespace", name, "--wait=false")
        names = [f"{install.DEPLOYMENTS[part]}-bench" for part in ("MLflow", "MinIO")]
        kube.kubectl(
            "delete", "networkpolicy", *names, "-n", install.NAMESPACE, "--ignore-not-found"
        )


def prepared(kube: Kube, there: Tenant, console: Console) -> Bench:
    """Train two versions and serve each once, so that the node has all images and the operator's
    pods are known.
    """
    console.say("rollout: training two versions")
    there.experiment()
    for version, spec in VERSIONS.items():
        there.run(version, **spec)
    for version in VERSIONS:
        there.ready("TrainingRun", version, seconds=300)
    console.say("rollout: serving each once")
    bench = Bench(kube, there, console, {})
    bench.create(
        "apis/modelyard.io/v1alpha1/namespaces/{}/registeredmodels", model(MODEL, {STAGE: "v1"})
    )
    for version in ("v1", "v2", "v1"):
        there.promote(version, model=MODEL)
        there.serves(version, model=MODEL, seconds=SECONDS)
        labels = f"modelyard.io/model={MODEL},modelyard.io/version={version}"
        (made,) = kube.list("Deployment", there.name, labels)
        bench.pods[version] = copy.deepcopy(made["spec"]["template"]["spec"])
    return bench


def add_bare(bench: Bench) -> None:
    """Create the bare Deployment and its Service; return when it serves v1."""
    bench.create("apis/apps/v1/namespaces/{}/deployments", deployment(BARE_NAME, bench.pods["v1"]))
    bench.create("api/v1/namespaces/{}/services", front(BARE_NAME))
    bench.kube.wait(
        "the bare Deployment serves",
        lambda: bench.serves_bare("v1"),
        SECONDS,
        bench.there.explain_all,
    )


def measure(rounds: int, console: Console) -> Samples:
    """Measure both, in turns.

    Raises:
        Failed: The cluster, the chart or a training did not become ready.
        RuntimeError: A version does not answer.

    """
    kube = install.cluster(console)
    console.say("rollout: installing the chart")
    install.install(kube)
    install.wait_ready(kube)
    samples = Samples()
    with ExitStack() as stack:
        there = stack.enter_context(namespace(kube))
        bench = prepared(kube, there, console)
        add_bare(bench)
        urls = {OURS: f"http://{MODEL}-{STAGE}.{there.name}/v1/models/{MODEL}:predict"}
        urls[BARE] = f"http://{BARE_NAME}.{there.name}/v1/models/{MODEL}:predict"
        probes = {OURS: "probe-modelyard", BARE: "probe-bare"}
        for number in range(rounds):
            for subject in (OURS, BARE)[:: 1 if number % 2 == 0 else -1]:
                sample = {"apply": bench.first_apply(subject, f"first-{number}")}
                with probing(kube, there.name, urls[subject], probes[subject]) as probe:
                    again = (lambda p=probe: bench.rollback(p)) if subject == OURS else None
                    sample |= promotions(
                        lambda v, s=subject, p=probe: bench.promotion(s, v, p),
                        again,
                        kube,
                        there,
                        urls[subject],
                    )
                samples.add(subject, sample)
                console.say(
                    f"rollout {number + 1}/{rounds}: {subject}: first answer {sample['apply']:.2f}"
                    f" s after apply, of a new version {sample['promotion']:.2f} s after the"
                    f" patch, of the one before {sample['rollback']:.2f} s; {sample['lost']:.0f}"
                    f" of {sample['sent']:.0f} requests lost"
                )
    return Samples({subject: samples.by_subject[subject] for subject in (OURS, BARE)})


def promotions(
    promote: Callable[[str], float],
    rollback: Callable[[], float] | None,
    kube: Kube,
    there: Tenant,
    url: str,
) -> dict[str, float]:
    """Measure two promotions, there and back, under a steady load, and a rollback inside a
    window.
    """
    load: Load
    with steady_load(kube, install.RUNTIME, there.name, url, {"instances": TABLE}, RATE) as load:
        took = [promote(version) for version in ("v2", "v1")]
        back = rollback() if rollback is not None else took[-1]
        result = load.end()
    return {
        "promotion": sum(took) / 2,
        "rollback": back,
        "lost": float(result.lost),
        "sent": float(result.sent),
        "slowest": result.slowest * 1000,
    }
