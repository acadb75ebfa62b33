"""A release's life on a real API server, by helm itself: installed, upgraded, uninstalled. No
pod runs there.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.api.kinds import KINDS
from tests.chart.api import EXPERIMENTS, MODELS, RUNS, Api, eventually, path_of, wait_storage
from tests.chart.conftest import wait_for_policies
from tests.chart.helm import (
    CHART,
    NAMESPACE,
    RELEASE,
    ROOT,
    TEST_VALUES,
    Refused,
    documents,
    find,
    helm,
    install,
    kubectl,
    tool,
)
from tests.chart.values import CREDIT, RISK, SETS
from tests.cluster.apiserver import ApiServer

pytestmark = pytest.mark.api

# Namespaces that releases of these tests make.
MADE = ("risk", "credit")


@pytest.fixture
def clean(server) -> Iterator[ApiServer]:
    """The bare server; what a failed test left of its release is taken away without asking its
    hooks.
    """
    yield server
    if RELEASE in helm(
        "list", "--short", "--all", "--namespace", NAMESPACE, kubeconfig=server.kubeconfig
    ):
        uninstall(server)
    admin = Api(server)
    release_all(admin)
    # Before the CRDs: a namespace ends late when a kind goes away under its hands.
    for name in MADE:
        admin.delete(path_of("v1/namespaces", name=name))
    eventually(
        lambda: all(admin.get(path_of("v1/namespaces", name=name)).code == 404 for name in MADE),
        "the namespaces are gone",
    )
    wait_storage(admin)
    kubectl("delete", "crd", "--all", "--wait=false", kubeconfig=server.kubeconfig)
    eventually(
        lambda: (
            not admin.get(path_of("apiextensions.k8s.io/v1/customresourcedefinitions")).body[
                "items"
            ]
        ),
        "the CRDs are gone",
    )


def release_all(admin: Api) -> None:
    """Does the operator's part: takes the finalizers off everything."""
    for resource in (EXPERIMENTS, RUNS, MODELS):
        for item in admin.get(path_of(resource)).body.get("items", []):
            meta = item["metadata"]
            admin.merge(
                path_of(resource, meta["namespace"], meta["name"]),
                {"metadata": {"finalizers": None}},
            )


def upgrade(server: ApiServer, *files: Path) -> str:
    words = [word for file in files for word in ("--values", str(file))]
    return helm(
        "upgrade", RELEASE, CHART, "--namespace", NAMESPACE, *words, kubeconfig=server.kubeconfig
    )


def uninstall(server: ApiServer) -> None:
    """Without hooks: here is nobody who runs their pods."""
    wait_storage(Api(server))
    helm("uninstall", RELEASE, "--no-hooks", "--namespace", NAMESPACE, kubeconfig=server.kubeconfig)


NOISE = {"events", "leases", "apiservices", "componentstatuses", "ipaddresses"}


def everything(server: ApiServer) -> set[str]:
    """Every object of every kind as `plural.group/name`, but for those that Kubernetes writes by
    itself.
    """
    admin = Api(server)
    groups = [
        group["preferredVersion"]["groupVersion"] for group in admin.get("/apis").body["groups"]
    ]
    found = set()
    for version in ["v1", *groups]:
        # A kind may go between one question and the next: it has no objects then.
        for each in admin.get(f"/apis/{version}" if "/" in version else f"/api/{version}").body.get(
            "resources", []
        ):
            if "/" not in each["name"] and "list" in each["verbs"] and each["name"] not in NOISE:
                items = admin.get(path_of(f"{version}/{each['name']}")).body.get("items", [])
                suffix = f".{version.split('/')[0]}" if "/" in version else ""
                found |= {f"{each['name']}{suffix}/{item['metadata']['name']}" for item in items}
    return found


def secret(admin: Api, name: str, namespace: str) -> dict[str, str]:
    data = admin.get(path_of("v1/secrets", namespace, name)).body["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


class Left:
    """What is there that was not before: true when it is what it should be, and says what it is
    when it is not.
    """

    def __init__(self, found: set[str], expected: set[str]) -> None:
        self.more, self.less = found - expected, expected - found

    def __bool__(self) -> bool:
        return not self.more and not self.less

    def __repr__(self) -> str:
        return f"too much: {sorted(self.more)}, too little: {sorted(self.less)}"


def prepared(server: ApiServer) -> set[str]:
    """Sees to the release's namespace, and gives everything that is there then."""
    admin = Api(server)
    admin.create(path_of("v1/namespaces"), {"metadata": {"name": NAMESPACE}})
    eventually(
        lambda: admin.get(path_of("v1/configmaps", NAMESPACE, "kube-root-ca.crt")).code == 200,
        "the namespace has its ConfigMap",
    )
    eventually(
        lambda: admin.get(path_of("v1/serviceaccounts", NAMESPACE, "default")).code == 200,
        "the namespace has its ServiceAccount",
    )
    return everything(server)


def test_uninstalling_leaves_the_crds_and_nothing_else(clean, values):
    before = prepared(clean)
    # A claim is protected until a controller that does not run here says otherwise.
    install(clean.kubeconfig, TEST_VALUES, values({"replicas": 2} | SETS["demo without claims"]))
    added = everything(clean) - before
    assert {
        "deployments.apps/modelyard",
        "deployments.apps/modelyard-mlflow",
        "namespaces/risk",
        "poddisruptionbudgets.policy/modelyard",
    } <= added
    uninstall(clean)
    crds = {
        f"customresourcedefinitions.apiextensions.k8s.io/{kind}.modelyard.io"
        for kind in (kind.resource.PLURAL for kind in KINDS)
    }
    eventually(lambda: Left(everything(clean) - before, crds), "only the CRDs are left")


def test_with_crds_keep_false_nothing_at_all_is_left(clean, values):
    before = prepared(clean)
    install(clean.kubeconfig, values(SETS["nothing kept"]))
    assert len(everything(clean) - before) > 10
    uninstall(clean)
    eventually(lambda: Left(everything(clean) - before, set()), "nothing is left")


def test_the_crds_and_their_objects_outlive_the_release_and_the_next_one_takes_them_over(
    clean, values
):
    admin = Api(clean)
    install(clean.kubeconfig, values({"tenants": [CREDIT]}))
    body = {"metadata": {"name": "scores"}, "spec": {"description": "kept"}}
    assert (
        admin.create(
            path_of(EXPERIMENTS, "credit"),
            body | {"apiVersion": "modelyard.io/v1alpha1", "kind": "Experiment"},
        ).code
        == 201
    )
    uninstall(clean)
    assert admin.get(path_of(EXPERIMENTS, "credit", "scores")).body["spec"]["description"] == "kept"
    install(clean.kubeconfig, values({"tenants": [CREDIT]}))
    assert admin.get(path_of(EXPERIMENTS, "credit", "scores")).body["spec"]["description"] == "kept"
    assert secret(admin, "modelyard-connection", "credit")["MODELYARD_BUCKET"] == "credit-artifacts"


def test_an_upgrade_keeps_the_keys_and_touches_no_pod_that_it_need_not(clean, values):
    admin = Api(clean)
    install(clean.kubeconfig, TEST_VALUES)
    keys = secret(admin, f"{RELEASE}-minio", NAMESPACE)

    def generations() -> dict[str, int]:
        items = admin.get(path_of("apps/v1/deployments", NAMESPACE)).body["items"]
        return {item["metadata"]["name"]: item["metadata"]["generation"] for item in items}

    first = generations()
    upgrade(clean, TEST_VALUES)
    assert secret(admin, f"{RELEASE}-minio", NAMESPACE) == keys
    assert (
        secret(admin, "modelyard-connection", "risk")["AWS_SECRET_ACCESS_KEY"]
        == keys["MINIO_ROOT_PASSWORD"]
    )
    assert generations() == first
    upgrade(clean, TEST_VALUES, values({"log": {"level": "debug"}}))
    assert generations() == first | {RELEASE: first[RELEASE] + 1}
    upgrade(clean, TEST_VALUES, values({"demo": {"minio": {"rootPassword": "another-password"}}}))
    assert (
        secret(admin, "modelyard-connection", "risk")["AWS_SECRET_ACCESS_KEY"] == "another-password"
    )
    assert generations()[f"{RELEASE}-minio"] == first[f"{RELEASE}-minio"] + 1


def test_an_upgrade_brings_the_crds_up_to_date(clean, tmp_path):
    """Helm never upgrades a chart's crds/; that is why they are templates here."""
    older = tmp_path / "older"
    shutil.copytree(CHART, older)
    file = older / "files" / "crds" / "modelyard.io_experiments.yaml"
    file.write_text(file.read_text().replace("- mlexp\n", "- oldname\n"))

    def short_names() -> list[str]:
        path = path_of(
            "apiextensions.k8s.io/v1/customresourcedefinitions", name="experiments.modelyard.io"
        )
        return Api(clean).get(path).body["spec"]["names"]["shortNames"]

    helm(
        "install",
        RELEASE,
        older,
        "--namespace",
        NAMESPACE,
        "--create-namespace",
        kubeconfig=clean.kubeconfig,
    )
    assert short_names() == ["oldname"]
    upgrade(clean)
    assert short_names() == ["mlexp"]
    helm("rollback", RELEASE, "1", "--namespace", NAMESPACE, kubeconfig=clean.kubeconfig)
    assert short_names() == ["oldname"], (
        "docs/how-to/upgrade.md: a rollback brings the older CRDs back"
    )


def test_a_tenant_that_is_taken_out_loses_its_connection_and_keeps_its_namespace(clean, values):
    admin = Api(clean)
    install(clean.kubeconfig, values({"tenants": [CREDIT]}))
    assert admin.get(path_of("v1/secrets", "credit", "modelyard-connection")).code == 200
    upgrade(clean, values({"tenants": []}))
    assert admin.get(path_of("v1/secrets", "credit", "modelyard-connection")).code == 404
    assert admin.get(path_of("v1/namespaces", name="credit")).body["status"]["phase"] == "Active"


# --- before it is uninstalled ---------------------------------------------------------------------
def uninstaller(
    server: ApiServer,
    folder: Path,
    *arguments: str,
    token: str | None = None,
    seconds: int = 60,
    policies: str = "",
) -> subprocess.Popen[str]:
    """The script of the hook, as its pod would run it."""
    folder.mkdir()
    (folder / "token").write_text(token or server.token)
    (folder / "ca.crt").write_bytes(server.ca.read_bytes())
    host, port = re.fullmatch(r"https://(.+):(\d+)", server.url).groups()
    env = {
        "KUBERNETES_SERVICE_HOST": host,
        "KUBERNETES_SERVICE_PORT": port,
        "SERVICE_ACCOUNT": str(folder),
        "SECONDS_TO_WAIT": str(seconds),
        "POLICIES": policies,
    }
    # No proxy stands between a pod and its API server.
    clean = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    return subprocess.Popen(
        [sys.executable, CHART / "files" / "uninstall.py", *arguments],
        env=clean | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


OBJECTS = {
    EXPERIMENTS: {"kind": "Experiment", "spec": {}},
    RUNS: {"kind": "TrainingRun", "spec": {"experiment": "fraud", "trainer": {"xgboost": {}}}},
    MODELS: {"kind": "RegisteredModel", "spec": {}},
}


def populate(admin: Api, namespace: str) -> list[str]:
    """One object of each kind, with the operator's finalizer; their paths."""
    for resource, body in OBJECTS.items():
        metadata = {"name": "fraud", "finalizers": ["modelyard.io/external-cleanup"]}
        answer = admin.create(
            path_of(resource, namespace),
            {"apiVersion": "modelyard.io/v1alpha1", "metadata": metadata, **body},
        )
        assert answer.code == 201, answer.message
    return [path_of(resource, namespace, "fraud") for resource in OBJECTS]


def left_of(admin: Api, plural: str) -> set[str]:
    """Names of the objects of a kind of admission."""
    return {
        each["metadata"]["name"]
        for each in admin.get(path_of(f"admissionregistration.k8s.io/v1/{plural}")).body["items"]
    }


def is_deleted(admin: Api, path: str) -> bool:
    return "deletionTimestamp" in admin.get(path).body["metadata"]


def test_the_hook_deletes_waits_for_the_operator_and_leaves_other_namespaces_alone(
    clean, values, tmp_path
):
    admin = Api(clean)
    install(clean.kubeconfig, TEST_VALUES, values({"tenants": [CREDIT]}))
    mine, others = populate(admin, "risk"), populate(admin, "credit")
    script = uninstaller(clean, tmp_path / "account", "risk")
    for path in mine:
        eventually(lambda path=path: is_deleted(admin, path), f"{path} is being deleted")
    assert script.poll() is None
    for path in mine:
        assert admin.merge(path, {"metadata": {"finalizers": None}}).code == 200
    out, _ = script.communicate(timeout=240)
    assert script.returncode == 0, out
    assert "waiting for 3 objects to go" in out
    assert "nothing is left" in out
    assert not any(is_deleted(admin, path) for path in others)


def test_the_hook_says_what_does_not_go(clean, tmp_path):
    admin = Api(clean)
    install(clean.kubeconfig, TEST_VALUES)
    paths = populate(admin, "risk")
    script = uninstaller(clean, tmp_path / "account", "--all", seconds=1)
    out, _ = script.communicate(timeout=240)
    assert script.returncode == 1
    assert (
        "3 objects are still there after 1 s: registeredmodels risk/fraud, trainingruns risk/fraud,"
        " experiments risk/fraud." in out
    )
    assert "helm uninstall --no-hooks" in out
    assert all(is_deleted(admin, path) for path in paths)


def test_the_hook_has_nothing_to_do_where_there_are_no_crds(clean, tmp_path):
    script = uninstaller(clean, tmp_path / "account", "--all")
    out, _ = script.communicate(timeout=240)
    assert (script.returncode, out.strip()) == (
        0,
        "nothing is left that the operator would have to clean up",
    )


def test_the_hooks_rights_suffice(clean, values, tmp_path):
    """The hook's own account, its own roles: it deletes what holds every stage that a model can
    have, and what is purged.
    """
    admin = Api(clean)
    install(clean.kubeconfig, TEST_VALUES)
    # Helm would make these only while it uninstalls.
    manifest = helm("get", "hooks", RELEASE, "--namespace", NAMESPACE, kubeconfig=clean.kubeconfig)
    kubectl("apply", "--filename", "-", kubeconfig=clean.kubeconfig, stdin=manifest)
    kubectl(
        "create",
        "rolebinding",
        "ed",
        "-n",
        "risk",
        "--clusterrole=modelyard-editor",
        "--user=ed",
        kubeconfig=clean.kubeconfig,
    )
    wait_for_policies(admin, editor="ed")
    model = {
        "apiVersion": "modelyard.io/v1alpha1",
        "kind": "RegisteredModel",
        "metadata": {"name": "fraud"},
    }
    stages = {f"stage-{number}": {"version": "v1"} for number in range(16)}
    spec = {"deletionPolicy": "Delete", "versions": {"v1": {"runId": "r"}}, "stages": stages}
    assert admin.create(path_of(MODELS, "risk"), model | {"spec": spec}).code == 201
    run = {"apiVersion": "modelyard.io/v1alpha1", "metadata": {"name": "fraud-1"}, **OBJECTS[RUNS]}
    run["spec"] = {**run["spec"], "deletionPolicy": "Delete"}
    assert admin.create(path_of(RUNS, "risk"), run).code == 201
    request = {"spec": {"expirationSeconds": 600}}
    token = admin.create(
        f"{path_of('v1/serviceaccounts', NAMESPACE, f'{RELEASE}-uninstall')}/token", request
    ).body["status"]["token"]
    script = uninstaller(clean, tmp_path / "account", "risk", token=token)
    out, _ = script.communicate(timeout=240)
    assert script.returncode == 0, out
    assert admin.get(path_of(MODELS, "risk", "fraud")).code == 404
    assert admin.get(path_of(RUNS, "risk", "fraud-1")).code == 404
    other = uninstaller(clean, tmp_path / "other", NAMESPACE, token=token)
    out, _ = other.communicate(timeout=240)
    assert other.returncode == 1
    assert "403" in out
    kubectl(
        "delete",
        "--filename",
        "-",
        "--ignore-not-found",
        kubeconfig=clean.kubeconfig,
        stdin=manifest,
    )


def test_the_hook_deletes_the_policies_where_the_crds_go(clean, values, tmp_path):
    admin = Api(clean)
    install(clean.kubeconfig, values(SETS["nothing kept"]))
    manifest = helm("get", "hooks", RELEASE, "--namespace", NAMESPACE, kubeconfig=clean.kubeconfig)
    kubectl("apply", "--filename", "-", kubeconfig=clean.kubeconfig, stdin=manifest)
    job = find(documents(manifest), "Job", f"{RELEASE}-uninstall")["spec"]["template"]["spec"][
        "containers"
    ][0]
    policies = next(each["value"] for each in job["env"] if each["name"] == "POLICIES")
    assert (
        set(policies.split())
        == left_of(admin, "validatingadmissionpolicies")
        == left_of(admin, "validatingadmissionpolicybindings")
    )
    request = {"spec": {"expirationSeconds": 600}}
    token = admin.create(
        f"{path_of('v1/serviceaccounts', NAMESPACE, f'{RELEASE}-uninstall')}/token", request
    ).body["status"]["token"]
    script = uninstaller(
        clean, tmp_path / "account", *job["command"][2:], token=token, policies=policies
    )
    out, _ = script.communicate(timeout=240)
    assert script.returncode == 0, out
    assert not left_of(admin, "validatingadmissionpolicies") | left_of(
        admin, "validatingadmissionpolicybindings"
    )
    kubectl(
        "delete",
        "--filename",
        "-",
        "--ignore-not-found",
        kubeconfig=clean.kubeconfig,
        stdin=manifest,
    )


def test_where_the_crd_of_models_is_missing_only_our_own_kinds_are_refused(clean, values):
    """A policy whose parameters are of a kind that is not there fails: those on foreign kinds
    ignore that.
    """
    admin = Api(clean)
    kubectl(
        "apply",
        "--server-side",
        "-f",
        ROOT / "crds" / "modelyard.io_trainingruns.yaml",
        kubeconfig=clean.kubeconfig,
    )
    install(clean.kubeconfig, values(SETS["no CRDs"]))
    run = {"apiVersion": "modelyard.io/v1alpha1", "metadata": {"name": "a"}, **OBJECTS[RUNS]}
    # How it says that the parameters' kind is missing depends on whether this server has ever had
    # it.
    refused = re.compile(r"'modelyard-runs' denied request: failed to configure \w+: .*paramKind")
    path = path_of(RUNS, "default") + "?dryRun=All"
    eventually(
        lambda: refused.search(admin.create(path, run).message),
        "the policy on TrainingRuns misses its parameters",
    )
    service = {"metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}}
    answer = admin.create(path_of("v1/services", "default") + "?dryRun=All", service)
    assert answer.code == 201, answer.message


# --- what is said ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "create secret generic modelyard-connection"),
        (SETS["demo"], "  kubectl apply -f manifests/samples/fraud/"),
        (SETS["demo"], "port-forward service/modelyard-mlflow 5050:5050"),
        (
            SETS["demo of other images"],
            'kubectl -n play patch mlmodel fraud --type merge -p \'{"spec":{"stages":{"production":',
        ),
        ({"tenants": [RISK, CREDIT]}, "(risk, credit)"),
        (
            SETS["demo with a Secret"],
            "modelyard-connection in namespace risk, with the keys of keys",
        ),
    ],
)
def test_the_notes_say_the_next_command(server, values, content, said):
    notes = install(server.kubeconfig, values(content), words=["--dry-run=server"]).split(
        "\nNOTES:\n"
    )[1]
    assert said in notes
    assert "rollout status deployment/modelyard" in notes
    assert not re.search(r"get modelyard .*--watch", notes), "kubectl watches one kind"
    assert not re.search(r"secret-of|token-of|[A-Za-z0-9]{32}", notes)


@pytest.mark.parametrize(
    ("content", "namespace"),
    [(SETS["demo of other images"], "play"), ({"tenants": [CREDIT]}, "credit")],
)
def test_the_command_of_the_notes_makes_the_sample(clean, values, tmp_path, content, namespace):
    """As the notes have it, by a shell in the repository, in whatever namespace the tenant has."""
    admin = Api(clean)
    kubectl("apply", "--server-side", "--filename", ROOT / "crds", kubeconfig=clean.kubeconfig)
    file = values(content | {"crds": {"install": False}})
    notes = install(clean.kubeconfig, file, words=["--dry-run=server"]).split("\nNOTES:\n")[1]
    command = next(line for line in notes.splitlines() if "manifests/samples/fraud/" in line)
    path = f"{tool('kubectl').parent}:{os.environ['PATH']}"
    environment = {"PATH": path, "KUBECONFIG": str(clean.kubeconfig), "HOME": str(tmp_path)}
    # Another test may have left one of that name.
    assert admin.create(path_of("v1/namespaces"), {"metadata": {"name": namespace}}).code in {
        201,
        409,
    }
    try:
        eventually(
            lambda: admin.get(path_of(MODELS, namespace)).code == 200, "the kinds are served"
        )
        subprocess.run(
            ["sh", "-euc", command],
            cwd=ROOT,
            env=environment,
            check=True,
            capture_output=True,
            timeout=240,
        )
        made = {
            item["metadata"]["name"] for item in admin.get(path_of(RUNS, namespace)).body["items"]
        }
        assert made == {"fraud-v1", "fraud-v2"}
    finally:
        admin.delete(path_of("v1/namespaces", name=namespace))
        eventually(
            lambda: admin.get(path_of("v1/namespaces", name=namespace)).code == 404,
            "the namespace is gone",
        )


def test_a_name_that_is_taken_is_refused_before_anything_is_made(clean):
    kubectl(
        "create",
        "clusterrole",
        RELEASE,
        "--verb=get",
        "--resource=pods",
        kubeconfig=clean.kubeconfig,
    )
    try:
        with pytest.raises(Refused, match="invalid ownership metadata"):
            install(clean.kubeconfig)
        assert Api(clean).get(path_of("apps/v1/deployments", NAMESPACE)).body["items"] == []
    finally:
        kubectl("delete", "clusterrole", RELEASE, kubeconfig=clean.kubeconfig)
