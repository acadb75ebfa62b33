"""The kind cluster is a real one: claims are bound, names are resolved, and only missing layers of
images are loaded.
"""

import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.bases import DEBIAN
from tests.cluster.bringup import Bringup
from tests.cluster.console import Console, Log
from tests.cluster.engine import Engine
from tests.cluster.load import load, node_has
from tests.cluster.settings import NODE_IMAGE, Settings
from tests.harness import until

pytestmark = pytest.mark.e2e

NAMESPACE = "cluster-test"
IMAGE = "modelyard/cluster-test:dev"
NODE = Settings.read().node
WAIT = "--timeout=240s"


def kubectl(*words: str, given: Any = None) -> str:
    settings = Settings.read()
    command = [
        str(settings.bin / "kubectl"),
        "--kubeconfig",
        str(settings.kubeconfig),
        "-n",
        NAMESPACE,
        *words,
    ]
    done = subprocess.run(
        command,
        input=json.dumps(given) if given else None,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def pod(name: str, image: str, script: str, **spec: Any) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["bash", "-c", script],
        **spec.pop("container", {}),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            **spec,
        },
    }


def output(given: dict[str, Any]) -> str:
    """Run a pod to its end and return its output."""
    name = given["metadata"]["name"]
    kubectl("create", "-f", "-", given=given)
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", WAIT)
    return kubectl("logs", name)


def built_here() -> bool:
    """Return whether the node's image is our own, which includes Debian's image and refuses DNS
    queries for external names.
    """
    engine = Engine(Settings.read(), Console(io.StringIO()))
    return engine.read("inspect", "--format", "{{.Config.Image}}", NODE) == NODE_IMAGE


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bringup]:
    bringup = Bringup(Settings.read(), Console(io.StringIO()))
    bringup.up()
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", WAIT)
    if not built_here():
        log = Log(tmp_path_factory.mktemp("debian") / "log")
        log.run(["docker", "pull", DEBIAN])
        load(NODE, DEBIAN, log, log.path.parent)
    kubectl("create", "namespace", NAMESPACE)
    kubectl("wait", "--for=create", "serviceaccount/default", WAIT)  # without it no pod is admitted
    yield bringup
    kubectl("delete", "namespace", NAMESPACE, WAIT)
    subprocess.run(["docker", "rmi", "-f", IMAGE], capture_output=True, check=False)


def test_bringing_up_a_running_cluster_does_nothing() -> None:
    engine = Engine(Settings.read(), Console(io.StringIO()))
    started = engine.read("inspect", "--format", "{{.State.StartedAt}}", NODE)
    said = io.StringIO()
    Bringup(Settings.read(), Console(said)).up()
    assert len(said.getvalue().splitlines()) == 1
    assert "the cluster is up" in said.getvalue()
    assert engine.read("inspect", "--format", "{{.State.StartedAt}}", NODE) == started


def test_a_claim_is_bound_and_writable_for_a_user_other_than_root() -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    kubectl(
        "create",
        "-f",
        "-",
        given={
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "claim"},
            "spec": spec,
        },
    )
    mounted = {
        "container": {"volumeMounts": [{"name": "data", "mountPath": "/data"}]},
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "claim"}}],
        "securityContext": {"runAsUser": 1000, "runAsGroup": 1000, "runAsNonRoot": True},
    }
    output(pod("writer", DEBIAN, "echo kept >/data/file", **json.loads(json.dumps(mounted))))
    kubectl("delete", "pod", "writer")
    assert (
        output(pod("reader", DEBIAN, "cat /data/file", **json.loads(json.dumps(mounted))))
        == "kept\n"
    )


def test_names_of_the_cluster_resolve_and_external_names_are_refused_without_a_timeout() -> None:
    script = """
    getent hosts kubernetes.default.svc.cluster.local || exit 1
    exec 3<>/dev/tcp/kubernetes.default.svc/443 && echo connected
    timeout 3 getent hosts a-name-that-is-outside.example || echo "outside: $?"
    """
    said = output(pod("names", DEBIAN, script))
    assert "connected" in said
    if not built_here():
        pytest.skip("the public node image asks the machine's resolver")
    # 2 is getent's code for "not found"; 124 would be the timeout's.
    assert said.splitlines()[-1] == "outside: 2"


def test_an_image_is_loaded_once_and_then_only_changed_layers(tmp_path: Path) -> None:
    engine = Engine(Settings.read(), Console(io.StringIO()))
    log = Log(tmp_path / "log")

    def built(small: str) -> str:
        (tmp_path / "big").write_bytes(bytes(5_000_000))
        (tmp_path / "small").write_text(small)
        (tmp_path / "Dockerfile").write_text(f"FROM {DEBIAN}\nCOPY big /big\nCOPY small /small\n")
        log.run(["docker", "build", "-q", "-t", IMAGE, tmp_path], env={"DOCKER_BUILDKIT": "0"})
        image_id = engine.image_id(IMAGE)
        assert image_id is not None
        return image_id

    first = built("one")
    load(NODE, IMAGE, log, tmp_path)
    assert node_has(NODE, IMAGE, first)
    assert output(pod("first", IMAGE, "cat /small; stat -c %s /big")) == "one5000000\n"
    second = built("two")
    assert second != first
    assert not node_has(NODE, IMAGE, second)
    assert load(NODE, IMAGE, log, tmp_path) < 100_000
    assert node_has(NODE, IMAGE, second)
    assert output(pod("second", IMAGE, "cat /small; stat -c %s /big")) == "two5000000\n"


def docker(*words: str) -> str:
    done = subprocess.run(
        ["docker", *words], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def names() -> Iterator[tuple[str, str]]:
    found = ("cluster-test-node", "cluster-test-other")
    yield found
    subprocess.run(["docker", "rm", "-f", *found], capture_output=True, check=False)


def test_a_node_keeps_its_first_address_when_the_engine_gives_it_another(
    names: tuple[str, str],
) -> None:
    """After a restart of the engine two clusters have each other's addresses if they started in
    another order.
    """
    if not built_here():
        pytest.skip("kind's own node image rewrites its files instead")
    node, other = names

    def addresses(device: str) -> list[str]:
        said = docker("exec", node, "ip", "-4", "-json", "address", "show", "dev", device)
        return [each["local"] for each in json.loads(said)[0]["addr_info"]]

    def started(times: int) -> None:
        def said() -> bool | None:
            logged = subprocess.run(
                ["docker", "logs", node], capture_output=True, text=True, check=True
            )
            return logged.stderr.count("starting init") == times or None

        until(said, f"the node has started {times} times", 60)

    run = ("run", "--detach", "--network", "kind", "--name")
    entrypoint = ("--entrypoint", "/usr/local/bin/entrypoint", NODE_IMAGE, "sleep", "infinity")
    docker(*run, node, "--privileged", "--cgroupns", "private", *entrypoint)
    started(1)
    (first,) = addresses("eth0")
    docker("kill", node)
    docker(*run, other, "--entrypoint", "sleep", NODE_IMAGE, "infinity")
    docker("start", node)
    started(2)
    assert first not in addresses("eth0")
    assert first in addresses("lo")
    docker("kill", node)
    docker("rm", "--force", other)
    docker("start", node)
    started(3)
    assert addresses("eth0") == [first]
    assert first not in addresses("lo")
