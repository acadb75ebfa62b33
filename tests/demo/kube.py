"""A client of a real cluster: kubectl for what a user would type, the API itself for reading and
waiting.

The demo and the tests on the real cluster share it.
"""

import base64
import http.client
import json
import os
import re
import ssl
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml

__all__ = ["Failed", "Kube", "Manifest", "NotReady", "condition"]

Manifest = dict[str, Any]
T = TypeVar("T")

OURS = "apis/modelyard.io/v1alpha1"
RESOURCES = {
    "Experiment": f"{OURS}/experiments",
    "TrainingRun": f"{OURS}/trainingruns",
    "RegisteredModel": f"{OURS}/registeredmodels",
    "Pod": "api/v1/pods",
    "Service": "api/v1/services",
    "Secret": "api/v1/secrets",
    "ConfigMap": "api/v1/configmaps",
    "Event": "api/v1/events",
    "Namespace": "api/v1/namespaces",
    "Job": "apis/batch/v1/jobs",
    "Deployment": "apis/apps/v1/deployments",
    "PodDisruptionBudget": "apis/policy/v1/poddisruptionbudgets",
    "HorizontalPodAutoscaler": "apis/autoscaling/v2/horizontalpodautoscalers",
    "Lease": "apis/coordination.k8s.io/v1/leases",
}
POLL = 0.2
# Deadlines are for conditions that never become true; a busy machine is slow, not wrong.
PATIENCE = 4


class Failed(RuntimeError):
    """An operation failed; the message says which, with the cluster's information."""


class NotReady(Failed):
    """A condition did not become true in time, or can no longer become true."""


def condition(body: Mapping[str, Any] | None, kind: str) -> dict[str, Any]:
    """Return a condition of an object; an empty one if it is missing."""
    listed = ((body or {}).get("status") or {}).get("conditions") or []
    return next((dict(each) for each in listed if each["type"] == kind), {})


class Kube:
    """One cluster, as an administrator. Not thread-safe."""

    def __init__(self, tools: Path, kubeconfig: Path) -> None:
        """Read the kubeconfig.

        Args:
            tools: The folder of kubectl and helm, which are run from the repository's root.
            kubeconfig: An administrator's, with a client's certificate in it.

        """
        self.tools, self.kubeconfig, self.folder = (
            tools,
            kubeconfig,
            Path(__file__).resolve().parents[2],
        )
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._host = urllib.parse.urlsplit(cluster["server"]).netloc
        self._tls = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
        )
        with tempfile.NamedTemporaryFile() as pem:
            pem.write(
                base64.b64decode(user["client-certificate-data"])
                + b"\n"
                + base64.b64decode(user["client-key-data"])
            )
            pem.flush()
            self._tls.load_cert_chain(pem.name)
        self._connection: http.client.HTTPSConnection | None = None

    def close(self) -> None:
        """Close the kept connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # --- programs ---------------------------------------------------------------------------------
    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of a shell with kubectl and helm for this cluster."""
        path = f"{self.tools}{os.pathsep}{os.environ.get('PATH', '')}"
        return os.environ | {"KUBECONFIG": str(self.kubeconfig), "PATH": path}

    def program(
        self, name: str, *words: str, stdin: str = "", check: bool = True, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl or helm.

        Raises:
            Failed: It did not exit with 0 although `check` is set, or it did not end in time.

        """
        command = [str(self.tools / name), *words]
        try:
            done = subprocess.run(
                command,
                input=stdin,
                env=self.environment,
                cwd=self.folder,
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as error:
            raise Failed(f"{name} {' '.join(words)}: no end after {timeout:.0f} s") from error
        if check and done.returncode:
            raise Failed(f"{name} {' '.join(words)}: {(done.stderr or done.stdout).strip()}")
        return done

    def kubectl(self, *words: str, stdin: str = "", timeout: float = 120) -> str:
        """Return the output of kubectl."""
        return self.program("kubectl", *words, stdin=stdin, timeout=timeout).stdout

    def apply(self, *objects: Manifest, namespace: str = "default") -> None:
        """Apply objects as `kubectl apply` does."""
        self.kubectl(
            "apply",
            "-n",
            namespace,
            "-f",
            "-",
            stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
        )

    # --- the API ----------------------------------------------------------------------------------
    def request(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request to the API server; return status code, headers with lower-case names,
        body.
        """
        for again in (True, False):
            if self._connection is None:
                self._connection = http.client.HTTPSConnection(
                    self._host, context=self._tls, timeout=60
                )
            try:
                self._connection.request(
                    method, "/" + path.lstrip("/"), body=body, headers=dict(headers or {})
                )
                answer = self._connection.getresponse()
                content = answer.read()
            except (http.client.HTTPException, OSError) as error:
                self.close()
                if not again:
                    raise Failed(f"the API server does not answer: {error}") from error
            else:
                return (
                    answer.status,
                    {key.lower(): value for key, value in answer.getheaders()},
                    content,
                )
        raise AssertionError("unreachable")

    def get(self, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        """Return an object, or None."""
        code, _, content = self.request("GET", self._path(kind, namespace) + f"/{name}")
        return self._read(code, content, f"{kind} {name}")

    def list(self, kind: str, namespace: str | None = None, labels: str = "") -> list[Manifest]:
        """Return the objects of a kind, in a namespace or in all of them."""
        query = "?" + urllib.parse.urlencode({"labelSelector": labels}) if labels else ""
        code, _, content = self.request("GET", self._path(kind, namespace) + query)
        return list((self._read(code, content, kind) or {"items": []})["items"])

    def _path(self, kind: str, namespace: str | None) -> str:
        group, _, plural = RESOURCES[kind].rpartition("/")
        return f"{group}/namespaces/{namespace}/{plural}" if namespace else RESOURCES[kind]

    def _read(self, code: int, content: bytes, what: str) -> Manifest | None:
        if code == 404:
            return None
        if code >= 300:
            raise Failed(
                f"{what}: the API server answers {code} {content[:300].decode(errors='replace')}"
            )
        return dict(json.loads(content))

    def service(
        self,
        namespace: str,
        name: str,
        path: str,
        body: Any = None,
        *,
        method: str = "",
        port: str = "http",
    ) -> tuple[int, dict[str, str], Any]:
        """Send a request to a Service through the API server; return status code, headers, body
        (parsed JSON).
        """
        proxy = f"api/v1/namespaces/{namespace}/services/{name}:{port}/proxy/{path.lstrip('/')}"
        data = None if body is None else json.dumps(body)
        code, headers, content = self.request(
            method or ("GET" if body is None else "POST"),
            proxy,
            data,
            {"Content-Type": "application/json"} if data else {},
        )
        text = content.decode(errors="replace")
        return code, headers, json.loads(text) if text.startswith(("{", "[")) else text

    # --- waiting ----------------------------------------------------------------------------------
    def wait(
        self,
        what: str,
        look: Callable[[], T | None],
        seconds: float = 120,
        explain: Callable[[], str] | None = None,
    ) -> T:
        """Return the first value of `look` that is neither None nor False.

        Raises:
            NotReady: The time is over.

        """
        deadline = time.monotonic() + seconds * PATIENCE
        while True:
            value = look()
            if value is not None and value is not False:
                return value
            if time.monotonic() > deadline:
                raise NotReady(
                    f"{what}: not in {seconds * PATIENCE:.0f} s"
                    + (f"\n{explain()}" if explain else "")
                )
            time.sleep(POLL)

    def wait_condition(
        self,
        kind: str,
        name: str,
        namespace: str,
        type_: str = "Ready",
        status: str = "True",
        reason: str = "",
        seconds: float = 120,
    ) -> Manifest:
        """Return the object once it has the condition for its present spec."""

        def look() -> Manifest | None:
            body = self.get(kind, name, namespace)
            found = condition(body, type_)
            good = found.get("status") == status and reason in ("", found.get("reason"))
            return (
                body
                if good
                and found.get("observedGeneration", 0) >= (body or {})["metadata"]["generation"]
                else None
            )

        words = (
            f"{kind} {namespace}/{name}: {type_}={status}{f' reason={reason}' if reason else ''}"
        )
        return self.wait(words, look, seconds, lambda: self.explain(kind, name, namespace))

    def wait_rolled_out(self, name: str, namespace: str, seconds: float = 180) -> None:
        """Wait until a Deployment's pods are all updated and ready."""

        def look() -> bool:
            body = self.get("Deployment", name, namespace) or {"metadata": {}, "spec": {}}
            status, wanted = body.get("status") or {}, body["spec"].get("replicas", 1)
            seen = status.get("observedGeneration", 0) >= body["metadata"].get("generation", 1)
            counts = [
                status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")
            ]
            return seen and counts == [wanted] * 3

        self.wait(
            f"Deployment {namespace}/{name}: rolled out",
            look,
            seconds,
            lambda: self.explain_pods(namespace),
        )

    # --- explaining problems ----------------------------------------------------------------------
    def explain(self, kind: str, name: str, namespace: str) -> str:
        """Return the cluster's information about an object: conditions, events, pods that do not
        run, the operator's last lines.
        """
        body = self.get(kind, name, namespace)
        lines = (
            [f"{kind} {namespace}/{name} is not there."]
            if body is None
            else [f"Conditions of {kind} {namespace}/{name}:"]
        )
        said = ((body or {}).get("status") or {}).get("conditions") or []
        lines += [
            f"  {each['type']}={each['status']} {each.get('reason', '')}: {each.get('message', '')}"
            for each in said
        ]
        return "\n".join(
            [
                *lines,
                self.explain_events(namespace),
                self.explain_pods(namespace),
                self.explain_operator(),
            ]
        )

    def explain_events(self, namespace: str, last: int = 15) -> str:
        """Return the newest events of a namespace."""
        events = sorted(
            self.list("Event", namespace),
            key=lambda each: each.get("lastTimestamp") or each.get("eventTime") or "",
        )

        def line(each: Manifest) -> str:
            about, message = each["involvedObject"], (each.get("message") or "")[:300]
            return (
                f"  {each.get('type')} {each.get('reason')}"
                f" {about.get('kind')}/{about.get('name')}: {message}"
            )

        return "\n".join([f"Events in {namespace}:", *map(line, events[-last:])])

    def explain_pods(self, namespace: str) -> str:
        """Return pods that are not ready, and the end of their logs."""
        lines = [f"Pods in {namespace}:"]
        for pod in self.list("Pod", namespace):
            name, status = pod["metadata"]["name"], pod.get("status") or {}
            ready = (
                condition(pod, "Ready").get("status") == "True"
                or status.get("phase") == "Succeeded"
            )
            lines.append(f"  {name}: {status.get('phase')}{'' if ready else ', not ready'}")
            if not ready:
                log = self.program(
                    "kubectl",
                    "logs",
                    "-n",
                    namespace,
                    name,
                    "--all-containers",
                    "--tail=15",
                    check=False,
                )
                lines += [f"    {line}" for line in (log.stdout or log.stderr).splitlines()]
        return "\n".join(lines)

    def explain_operator(self, last: int = 15) -> str:
        """Return the operator's last lines."""
        lines = ["The operator's last lines:"]
        labels = "app.kubernetes.io/name=modelyard,app.kubernetes.io/component=operator"
        for pod in self.list("Pod", None, labels):
            meta = pod["metadata"]
            log = self.program(
                "kubectl",
                "logs",
                "-n",
                meta["namespace"],
                meta["name"],
                f"--tail={last}",
                check=False,
            )
            lines += [f"  {line[:400]}" for line in (log.stdout or log.stderr).splitlines()]
        return "\n".join(lines)

    # --- connections into the cluster
    # -------------------------------------------------------------------------------
    @contextmanager
    def forwarded(self, namespace: str, target: str, port: int) -> Iterator[str]:
        """Yield a local address of a Service or pod for the duration of a block."""
        words = [
            str(self.tools / "kubectl"),
            "port-forward",
            "-n",
            namespace,
            target,
            f":{port}",
            "--address=127.0.0.1",
        ]
        # A file: it logs every connection, and would block on a pipe that is not read.
        with (
            tempfile.NamedTemporaryFile("w+") as said,
            subprocess.Popen(
                words, env=self.environment, stdout=said, stderr=subprocess.STDOUT
            ) as process,
        ):

            def address() -> re.Match[str] | None:
                text = Path(said.name).read_text()
                if process.poll() is not None:
                    raise Failed(f"kubectl port-forward {target}: {text.strip()}")
                return re.search(r"127\.0\.0\.1:\d+", text)

            try:
                yield self.wait(f"a port-forward to {namespace}/{target}", address, 30)[0]
            finally:
                process.terminate()

    def connection(self, namespace: str) -> dict[str, str]:
        """Return the contents of a namespace's Secret modelyard-connection."""
        secret = self.get("Secret", "modelyard-connection", namespace)
        if secret is None:
            raise Failed(f"there is no Secret {namespace}/modelyard-connection")
        return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}

    def restricted(
        self,
        command: Sequence[str],
        image: str,
        *,
        mounts: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Manifest:
        """Return the spec of a pod that runs once and that Pod Security admits as restricted.
        `mounts`: path to ConfigMap.
        """
        named = {f"v{index}": pair for index, pair in enumerate((mounts or {}).items())}
        container = {
            "name": "main",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": list(command),
            "env": [
                {"name": key, "value": value}
                for key, value in {"HOME": "/tmp", "PYTHONUNBUFFERED": "1", **(env or {})}.items()
            ],
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": [
                {"name": "tmp", "mountPath": "/tmp"},
                *({"name": key, "mountPath": path} for key, (path, _) in named.items()),
            ],
        }
        volumes = [
            {"name": "tmp", "emptyDir": {}},
            *({"name": key, "configMap": {"name": name}} for key, (_, name) in named.items()),
        ]
        user = {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        return {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 5,
            "securityContext": user,
            "containers": [container],
            "volumes": volumes,
        }
