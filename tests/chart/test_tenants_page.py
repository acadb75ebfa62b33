"""docs/how-to/tenants.md and observe.md are true: tenants, roles, quota and audit policy."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.chart.api import EXPERIMENTS, MODELS, Api, Manifest, eventually, path_of
from tests.chart.helm import CHART, NAMESPACE, RELEASE, ROOT, kubectl, render, tool
from tests.chart.models import held, made, refused
from tests.cluster.apiserver import ApiServer, running
from tests.pages import DOCS, Block, blocks

pytestmark = pytest.mark.api

TENANTS = DOCS / "how-to" / "tenants.md"
RBAC = "rbac.authorization.k8s.io/v1"


def section(heading: str) -> list[Block]:
    """Return the blocks below a heading, up to the next of its level or above. (One `#` is a
    comment in a block.)
    """
    text = TENANTS.read_text()
    begin = text[: text.index(f"\n{heading}\n")].count("\n") + 1
    levels = tuple("#" * depth + " " for depth in range(2, heading.index(" ") + 1))
    following = [
        number
        for number, line in enumerate(text.splitlines(), 1)
        if number > begin + 1 and line.startswith(levels)
    ]
    return [each for each in blocks(TENANTS) if begin < each.line < min(following, default=10**6)]


def typed(server: ApiServer, script: str, folder: Path = ROOT) -> str:
    """Return the output of a script from the page in a shell. No pod runs here, so waiting for pods
    is left out.
    """
    env = os.environ | {
        "KUBECONFIG": str(server.kubeconfig),
        "PATH": f"{tool('kubectl').parent}{os.pathsep}{os.environ['PATH']}",
    }
    script = script.replace(" --wait\n", "\n")
    done = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input=script,
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


# --- roles ----------------------------------------------------------------------------------------
def bound(admin: Api, user: str, *roles: str) -> Api:
    """Return a user with ClusterRoles in the namespace `risk`."""
    for role in roles:
        binding = {
            "metadata": {"name": f"{user}-{role}".replace(":", "-")},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": role,
            },
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        }
        assert admin.create(path_of(f"{RBAC}/rolebindings", "risk"), binding).code == 201
    return admin.as_user(user)


def test_the_role_for_training_has_no_right_on_secrets_and_edit_has(installed: ApiServer):
    # A controller that does not run here aggregates `view` and `edit`; these are their parts.
    admin = Api(installed)
    tina = bound(admin, "tina", "system:aggregate-to-view", "modelyard-editor")
    eddy = bound(admin, "eddy", "system:aggregate-to-edit", "modelyard-editor")
    path, pods = path_of("v1/secrets", "risk", "modelyard-connection"), path_of("v1/pods", "risk")
    change = {"metadata": {"labels": {"a": "b"}}}
    eventually(lambda: eddy.get(path).code == 200, "the right is in force")
    assert (
        tina.get(path).code,
        tina.merge(path, change).code,
        tina.delete(f"{path}?dryRun=All").code,
    ) == (403, 403, 403)
    assert (eddy.merge(path, change).code, eddy.delete(f"{path}?dryRun=All").code) == (200, 200)
    assert (tina.get(pods).code, tina.delete(f"{pods}?dryRun=All").code) == (200, 403)


def test_a_release_manager_of_one_stage_changes_that_stage_and_harmless_fields(
    installed: ApiServer,
):
    admin = Api(installed)
    (script,) = (each.text for each in section("### A release manager of one stage"))
    role = next(
        each
        for each in yaml.safe_load_all(script.split("<<'YAML'\n")[1].split("\nYAML\n")[0])
        if each
    )
    role["metadata"]["name"] = "production-only"
    assert admin.create(path_of(f"{RBAC}/roles", "risk"), role).code == 201
    binding = {
        "metadata": {"name": "rose"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Role",
            "name": "production-only",
        },
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "rose"}],
    }
    assert admin.create(path_of(f"{RBAC}/rolebindings", "risk"), binding).code == 201
    rose, path = (
        admin.as_user("rose"),
        made(admin, {"production": {"version": "v1"}, "staging": {"version": "v1"}}),
    )
    eventually(
        lambda: rose.merge(path, held("production", "v2")).code == 200, "she promotes to production"
    )
    assert (
        rose.merge(
            path, {"spec": {"stages": {"production": {"attempt": 1, "serving": {"replicas": 0}}}}}
        ).code
        == 200
    )

    # Not allowed with `patch` without `promote`.
    staging = [
        {"version": "v2"},
        {"version": None},
        {"attempt": 1},
        {"serving": {"replicas": 0}},
        {"serving": {"runtime": {"workers": 2}}},
        None,
    ]
    for change in ({"stages": {"staging": each}} for each in staging):
        assert refused(rose.merge(path, {"spec": change}), "stage staging"), change
    owner = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "made-up",
        "uid": "00000000-0000-0000-0000-00000000ffff",
    }
    for change in (
        {"spec": {"drift": "Warn"}},
        {"spec": {"versions": {"v1": None}}},
        {"metadata": {"ownerReferences": [owner]}},
    ):
        assert refused(rose.merge(path, change), "stage staging"), change
    assert refused(rose.merge(path, {"spec": {"deletionPolicy": "Delete"}}), "the verb purge")
    # Nor is anything that `patch` does not cover.
    assert rose.merge(f"{path}/status", {"status": {}}).code == 403
    assert (rose.delete(path).code, rose.create(path_of(MODELS, "risk"), {}).code) == (403, 403)
    body = {
        "apiVersion": "modelyard.io/v1alpha1",
        "kind": "RegisteredModel",
        "metadata": {"name": "new"},
        "spec": {},
    }
    assert rose.apply(path_of(MODELS, "risk", "new"), body).code == 403, (
        "an apply of what is not there is a creation"
    )

    # Allowed, as the page says.
    serving = {
        "replicas": 2,
        "autoscaling": {"maxReplicas": 3},
        "resources": {"limits": {"memory": "2Gi"}},
    }
    serving |= {"nodeSelector": {"a": "b"}, "tolerations": [{"key": "a", "operator": "Exists"}]}
    free = {
        "description": "x",
        "tags": {"a": "b"},
        "versions": {"v3": {"runId": "r"}},
        "stages": {"staging": {"serving": serving, "reason": "words"}, "idle": {}},
    }
    assert (
        rose.merge(
            path, {"metadata": {"labels": {"a": "b"}, "annotations": {"a": "b"}}, "spec": free}
        ).code
        == 200
    )

    # Requests to a model go through a port-forward over a websocket, which is a GET. The expected
    # answer is that there is no such pod.
    forward = path_of("v1/pods", "risk", "none") + "/portforward"
    assert (rose.get(forward).code, rose.create(forward, {}).code) == (404, 404)
    assert admin.as_user("dora-the-data-scientist").get(forward).code == 403


def test_the_commands_about_rights_do_what_the_page_says(installed: ApiServer):
    """No operator is needed. `view` is empty here, so the viewer gets its rights from the other
    roles.
    """
    script = "".join(each.text for each in section("## Who may promote"))
    try:
        said = typed(installed, script)
    finally:
        kubectl(
            "delete",
            "-f",
            ROOT / "manifests" / "samples" / "fraud",
            kubeconfig=installed.kubeconfig,
        )
    assert "ann may not change stage staging (version) of risk/fraud" in said
    assert {"and may not promote", "and not to staging", "yes"} <= set(said.splitlines())
    assert "rosa may not change stage staging (version) of risk/fraud" in said
    left = Api(installed).get(path_of(f"{RBAC}/rolebindings", "risk")).body["items"]
    assert not [
        each["metadata"]["name"]
        for each in left
        if re.match("(ann|rosa)(-|$)", each["metadata"]["name"])
    ]
    # The command that the page warns of: it asks about a model with the stage's name, so a right on
    # the stage does not count.
    asking = ("auth", "can-i", "promote", "-n", "risk", "--as=stan-of-staging")
    assert (
        kubectl(
            *asking, "registeredmodels", "--subresource=staging", kubeconfig=installed.kubeconfig
        ).strip()
        == "yes"
    )
    asked = subprocess.run(
        [
            tool("kubectl"),
            "--kubeconfig",
            installed.kubeconfig,
            *asking,
            "registeredmodels/staging",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.stdout.strip() == "no"
    assert "verb 'promote' is not a known verb" in asked.stderr


def test_the_quota_is_accepted(installed: ApiServer):
    (block,) = (each.text for each in section("## Quotas"))
    assert "created" in kubectl(
        "apply", "--dry-run=server", "-f", "-", kubeconfig=installed.kubeconfig, stdin=block
    )


# --- who promoted ---------------------------------------------------------------------------------
def token_of_the_operator(server: ApiServer) -> str:
    """Return a token of the operator's account, which may do everything here: an audit policy
    matches the real user, not the impersonated one.
    """
    account = f"{NAMESPACE}:{RELEASE}"
    kubectl("create", "namespace", NAMESPACE, kubeconfig=server.kubeconfig)
    kubectl("-n", NAMESPACE, "create", "serviceaccount", RELEASE, kubeconfig=server.kubeconfig)
    words = (
        "create",
        "clusterrolebinding",
        "all",
        "--clusterrole=cluster-admin",
        f"--serviceaccount={account}",
    )
    kubectl(*words, kubeconfig=server.kubeconfig)
    return kubectl(
        "-n", NAMESPACE, "create", "token", RELEASE, kubeconfig=server.kubeconfig
    ).strip()


def test_the_audit_policy_records_who_promotes_and_nothing_else(tmp_path: Path):
    (block,) = (
        each for each in blocks(DOCS / "how-to" / "observe.md") if "audit.k8s.io" in each.text
    )
    policy, log = tmp_path / "audit.yaml", tmp_path / "audit.log"
    policy.write_text(block.text)
    with running(arguments=[f"--audit-policy-file={policy}", f"--audit-log-path={log}"]) as server:
        crd = CHART / "files" / "crds" / "modelyard.io_registeredmodels.yaml"
        kubectl("apply", "--server-side", "-f", crd, kubeconfig=server.kubeconfig)
        kubectl(
            "wait",
            "--for=condition=Established",
            "crd/registeredmodels.modelyard.io",
            kubeconfig=server.kubeconfig,
        )
        admin = Api(server)
        assert admin.create(path_of("v1/namespaces"), {"metadata": {"name": "risk"}}).code == 201
        path = made(admin, {"production": {"version": "v1"}})
        rita, operator = (
            admin.as_user("rita", "system:masters"),
            Api(replace(server, token=token_of_the_operator(server))),
        )
        assert rita.merge(path, held("production", "v2")).code == 200
        assert admin.as_user("vera").merge(path, held("production", "v1")).code == 403
        assert rita.get(path).code == 200
        assert operator.merge(path, {"metadata": {"labels": {"a": "b"}}}).code == 200
        assert operator.merge(f"{path}/status", {"status": {"observedGeneration": 1}}).code == 200
    events = [json.loads(line) for line in log.read_text().splitlines()]
    found = [
        (
            each["verb"],
            each.get("impersonatedUser", each["user"])["username"],
            each["responseStatus"]["code"],
        )
        for each in events
    ]
    assert found == [("create", "admin", 201), ("patch", "rita", 200), ("patch", "vera", 403)]
    assert events[1]["requestObject"] == held("production", "v2")
    assert events[1]["objectRef"]["name"] == path.rsplit("/", 1)[1]


# --- adding and removing a tenant (last: with wrong commands `risk` is deleted)
# -----------------------
def test_a_tenant_is_added_to_the_demo_and_removed(installed: ApiServer, tmp_path: Path):
    admin = Api(installed)
    (tmp_path / "charts").symlink_to(ROOT / "charts")
    (tenant,) = (
        each
        for each in blocks(TENANTS)
        if each.language == "yaml" and each.text.startswith("# values.yaml")
    )
    upgrade, copy = (
        each.text
        for each in blocks(TENANTS)
        if "test_tenants_page" in (each.not_run or "") and "delete" not in each.text
    )

    def secret(namespace: str) -> Manifest:
        return admin.get(path_of("v1/secrets", namespace, "modelyard-connection"))

    (tmp_path / "tenants.yaml").write_text(tenant.text)
    typed(installed, upgrade, tmp_path)
    assert {secret("credit").code, secret("risk").code} == {200}
    image = admin.get(path_of("apps/v1/deployments", NAMESPACE, RELEASE)).body["spec"]["template"][
        "spec"
    ]["containers"][0]["image"]
    assert image == "modelyard/operator:dev", "the values of the release are still there"

    # The demo's second tenant: its keys are copied by hand, and the list replaces the earlier one.
    assert admin.get(path_of("v1/namespaces", name="credit")).code == 200
    (tmp_path / "tenants.yaml").write_text(
        "tenants: [{namespace: credit, createNamespace: true, existingSecret: true}]\n"
    )
    typed(installed, upgrade, tmp_path)
    assert secret("credit").code == 404
    typed(installed, copy)
    assert secret("credit").body["data"] == secret("risk").body["data"]

    body = {
        "apiVersion": "modelyard.io/v1alpha1",
        "kind": "Experiment",
        "metadata": {"name": "cards"},
        "spec": {},
    }
    assert admin.create(path_of(EXPERIMENTS, "credit"), body).code == 201
    (removal,) = (each.text for each in section("## Remove a tenant") if each.language == "sh")
    typed(installed, removal, tmp_path)
    eventually(
        lambda: admin.get(path_of("v1/namespaces", name="credit")).code == 404,
        "the namespace is gone",
    )
    assert secret("risk").code == 200, "the demo's own tenant is not in the list"


def test_without_the_other_values_an_upgrade_removes_the_demo():
    """The page warns of it."""
    (tenant,) = (
        each
        for each in blocks(TENANTS)
        if each.language == "yaml" and each.text.startswith("# values.yaml")
    )
    kinds = {
        (each["kind"], each["metadata"]["name"]) for each in render(yaml.safe_load(tenant.text))
    }
    assert ("Namespace", "credit") in kinds
    assert (
        not {
            ("Namespace", "risk"),
            ("Deployment", f"{RELEASE}-minio"),
            ("PersistentVolumeClaim", f"{RELEASE}-minio"),
        }
        & kinds
    )
