"""What the test cluster detects on the machine and in a cluster, and its conclusions."""

import copy
import fcntl
import io
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.bases import mirror_of
from tests.cluster.bringup import locked
from tests.cluster.console import Console, Failed, Log, tail
from tests.cluster.engine import daemon_lives, lacks_sys_resource
from tests.cluster.gobuild import kube_flags, version_of
from tests.cluster.kindup import unready
from tests.cluster.nodeimage import pick_images
from tests.cluster.settings import Settings

START = "2026-01-01T10:00:00.123456789Z"


def pod(started: str = "2026-01-01T10:00:00Z", *, ready: bool = True) -> dict[str, Any]:
    status = {"containerStatuses": [{"ready": ready, "state": {"running": {"startedAt": started}}}]}
    return {"kind": "Pod", "metadata": {"name": "etcd"}, "status": status}


def healthy() -> dict[str, dict[str, Any]]:
    return {
        "node": {
            "kind": "Node",
            "metadata": {"name": "n"},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        },
        "coredns": {
            "kind": "Deployment",
            "metadata": {"name": "coredns"},
            "spec": {"replicas": 2},
            "status": {"readyReplicas": 2},
        },
        "proxy": {
            "kind": "DaemonSet",
            "metadata": {"name": "kube-proxy"},
            "status": {"desiredNumberScheduled": 1, "numberReady": 1},
        },
        "class": {
            "kind": "StorageClass",
            "metadata": {
                "name": "standard",
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
        },
        "pod": pod(),
    }


def test_a_healthy_cluster_has_no_trouble() -> None:
    assert unready(list(healthy().values()), START) == []


@pytest.mark.parametrize(
    ("part", "change", "trouble"),
    [
        ("node", None, "there is no node"),
        (
            "node",
            {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}},
            "node n is not Ready",
        ),
        ("coredns", None, "coredns is not there"),
        ("coredns", {"status": {"readyReplicas": 1}}, "coredns is not ready"),
        ("coredns", {"status": {}}, "coredns is not ready"),
        (
            "proxy",
            {"status": {"desiredNumberScheduled": 0, "numberReady": 0}},
            "kube-proxy is not ready",
        ),
        ("class", None, "there is no default StorageClass"),
        ("class", {"metadata": {"name": "standard"}}, "there is no default StorageClass"),
        ("pod", pod(ready=False), "pod etcd is not ready"),
        ("pod", pod("2026-01-01T09:59:59Z"), "pod etcd is not ready"),
        ("pod", {"status": {}}, "pod etcd is not ready"),
    ],
)
def test_problems_of_a_cluster_are_reported(
    part: str, change: dict[str, Any] | None, trouble: str
) -> None:
    objects = copy.deepcopy(healthy())
    if change is None:
        del objects[part]
    else:
        objects[part].update(change)
    assert unready(list(objects.values()), START) == [trouble]


def test_a_pod_that_is_being_deleted_is_no_trouble() -> None:
    objects = healthy()
    objects["pod"] = {
        **pod(ready=False),
        "metadata": {"name": "etcd", "deletionTimestamp": "2026-01-01T10:00:01Z"},
    }
    assert unready(list(objects.values()), START) == []


@pytest.mark.parametrize(
    ("bounding", "lacks"),
    [("000001ffffffffff", False), ("000001fffeffffff", True), ("0000000000000000", True)],
)
def test_the_missing_capability_is_read_off_the_bounding_set(bounding: str, lacks: bool) -> None:
    assert lacks_sys_resource(f"Name:\tcat\nCapEff:\t{'f' * 16}\nCapBnd:\t{bounding}\n") is lacks


def test_a_pid_file_counts_only_while_its_process_runs_and_is_that_daemon(
    tmp_path: Path,
) -> None:
    own = Path("/proc/self/stat").read_text().partition("(")[2].rpartition(")")[0]
    file = tmp_path / "pid"
    assert not daemon_lives(file, own)
    file.write_text(Path("/proc/self/stat").read_text().split()[0])
    assert daemon_lives(file, own)
    assert not daemon_lives(file, "dockerd")
    file.write_text("4194304999")
    assert not daemon_lives(file, own)
    file.write_text("not a number")
    assert not daemon_lives(file, own)


def test_a_zombie_daemon_is_not_running(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    with subprocess.Popen(["true"]) as dead:
        file.write_text(str(dead.pid))
        os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
        assert Path(f"/proc/{dead.pid}/stat").read_text().split()[2] == "Z"
        assert not daemon_lives(file, "true")


def test_a_machine_without_an_engine_s_client_has_no_image(tmp_path: Path) -> None:
    """A cache may outlive the engine: its stamps check whether an image exists."""
    script = """if True:
        import io
        from tests.cluster.console import Console
        from tests.cluster.engine import Engine
        from tests.cluster.settings import Settings
        print(Engine(Settings.read(), Console(io.StringIO())).image_id("modelyard/operator:dev"))
    """
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Settings.read().root,
        env=os.environ | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("None\n", "")


@pytest.mark.parametrize(
    ("sources", "mirror"),
    [
        (["deb http://one.test/debian bookworm main"], "http://one.test/debian"),
        (
            ["deb [signed-by=/k.gpg arch=amd64] https://two.test/pub/debian/ trixie main"],
            "https://two.test/pub/debian",
        ),
        (
            [
                "# deb http://no.test/debian x main\n",
                "Types: deb\nURIs: http://three.test/debian\nSuites: x\n",
            ],
            "http://three.test/debian",
        ),
        (["URIs: http://no.test/debian-security\n", "deb https://no.test/apt nodistro main"], None),
        ([], None),
    ],
)
def test_the_mirror_is_the_machines_own(sources: list[str], mirror: str | None) -> None:
    assert mirror_of(sources) == mirror


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26)),
        ("go version go1.19 linux/amd64", (1, 19)),
        ("go version devel", None),
        ("", None),
    ],
)
def test_the_version_of_a_toolchain(text: str, version: tuple[int, int] | None) -> None:
    assert version_of(text) == version


def test_the_version_of_kubernetes_is_compiled_in_at_both_places() -> None:
    flags = kube_flags("v1.34.4")
    assert "-X k8s.io/component-base/version.gitVersion=v1.34.4" in flags
    assert "-X k8s.io/client-go/pkg/version.gitMinor=34" in flags


def test_every_image_of_kubeadm_has_a_stand_in() -> None:
    listed = [
        "registry.k8s.io/kube-proxy:v1.34.4",
        "registry.k8s.io/coredns/coredns:v1.12.1",
        "registry.k8s.io/pause:3.10.1",
        "registry.k8s.io/etcd:3.6.5-0",
    ]
    picked = pick_images(listed)
    assert [image.split("/")[1].split(":")[0] for image in picked.values()] == [
        "kube",
        "coredns",
        "pause",
        "etcd",
    ]
    with pytest.raises(Failed, match="kube-novelty"):
        pick_images(["registry.k8s.io/kube-novelty:v1.34.4"])


def test_the_cache_is_outside_the_repository_and_an_unknown_mode_is_refused(
    tmp_path: Path,
) -> None:
    settings = Settings.read({})
    assert settings.mode == "auto"
    assert settings.root not in settings.cache.parents
    assert (settings.root / "tests" / "cluster" / "settings.py").exists()
    assert (
        Settings.read({"MODELYARD_CACHE": str(tmp_path), "MODELYARD_IMAGES": "build"}).kubeconfig
        == tmp_path / "kubeconfig"
    )
    with pytest.raises(ValueError, match="'pulll'"):
        Settings.read({"MODELYARD_IMAGES": "pulll"})


def test_the_demo_and_the_tests_have_a_cluster_each(tmp_path: Path) -> None:
    cache = {"MODELYARD_CACHE": str(tmp_path)}
    demo = Settings.read(cache)
    tests = Settings.read(cache | {"MODELYARD_CLUSTER": "modelyard-tests"})
    assert (demo.cluster, demo.kubeconfig.name) == ("modelyard", "kubeconfig")
    assert (tests.cluster, tests.kubeconfig.name) == ("modelyard-tests", "kubeconfig-tests")
    assert demo.node != tests.node
    assert demo.bin == tests.bin
    with pytest.raises(ValueError, match="'another'"):
        Settings.read({"MODELYARD_CLUSTER": "another"})


def test_the_tests_never_have_the_demo_s_cluster() -> None:
    assert Settings.read().cluster == "modelyard-tests"


def test_the_output_of_a_failing_command_is_in_the_log(tmp_path: Path) -> None:
    log = Log(tmp_path / "logs" / "a.log")
    log.run(["sh", "-c", "echo first"])
    with pytest.raises(Failed, match="sh ended with 3"):
        log.run(["sh", "-c", "echo the cause >&2; exit 3"])
    assert tail(log.path).splitlines()[-1] == "the cause"
    assert "first" in log.path.read_text()
    with pytest.raises(Failed, match="no-such-program"):
        log.run(["no-such-program"])


def test_the_lock_is_held_for_the_length_of_the_block(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lock"
    console = Console(io.StringIO())
    with locked(path, console), path.open() as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_shared_lock_reports_whether_it_was_held(tmp_path: Path) -> None:
    console = Console(io.StringIO())
    path = tmp_path / "lock"
    with locked(path, console, shared=True) as first, locked(path, console, shared=True) as second:
        assert (first, second) == (True, False)
    waited = []
    with ThreadPoolExecutor() as threads:

        def wait() -> None:
            with locked(path, console) as alone:
                waited.append(alone)

        with locked(path, console):
            threads.submit(wait)
    assert waited == [True]
