"""The CronJob that purges: its arguments, its node and its network."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.chart.helm import NAMESPACE, RELEASE, ROOT, Manifest, find, render
from tests.chart.rendered import env, every_set, named
from tests.chart.values import SETS

NAME = f"{RELEASE}-purge"
DEMO_SECRET = {"secretKeyRef": {"name": f"{RELEASE}-minio", "key": "MINIO_ROOT_USER"}}


def job(values: dict[str, Any]) -> Manifest:
    return find(render(values), "CronJob", NAME, NAMESPACE)["spec"]


def pod(values: dict[str, Any]) -> Manifest:
    return job(values)["jobTemplate"]["spec"]["template"]["spec"]


def container(values: dict[str, Any]) -> Manifest:
    (only,) = pod(values)["containers"]
    assert only["name"] == "purge"
    return only


def test_purging_is_off_by_default_and_on_in_the_demo():
    assert named(render(), "CronJob") == named(render(SETS["tenants"]), "CronJob") == []
    assert (
        named(render(SETS["demo"]), "CronJob") == named(render(SETS["purge"]), "CronJob") == [NAME]
    )
    assert named(render(SETS["demo without purging"]), "CronJob") == []


def test_there_is_no_cron_job_where_it_cannot_read_the_database():
    assert named(render(SETS["demo without claims"]), "CronJob") == [], (
        "the database goes with MLflow's pod"
    )
    assert named(render(SETS["demo of other images"]), "CronJob") == [], (
        "another MLflow has other tables"
    )
    assert named(render(SETS["demo on a database"]), "CronJob") == [NAME]


@every_set
def test_one_job_runs_at_a_time_and_none_is_kept(values):
    for each in render(values):
        if each["kind"] == "CronJob":
            spec = each["spec"]
            assert spec["concurrencyPolicy"] == "Forbid"
            assert spec["jobTemplate"]["spec"]["backoffLimit"] <= 2
            assert spec["jobTemplate"]["spec"]["ttlSecondsAfterFinished"] > 0
            assert (
                spec["jobTemplate"]["metadata"]["labels"]["app.kubernetes.io/component"] == "purge"
            )
            assert spec["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_arguments_follow_the_values():
    assert job(SETS["demo"])["schedule"] == "17 3 * * *"
    assert container(SETS["demo"])["command"] == [
        "python",
        "-m",
        "modelyard_runtime.purge",
        "--older-than=30d",
    ]
    assert job(SETS["purge"])["schedule"] == "@daily"
    assert container(SETS["purge"])["command"][3:] == ["--older-than=12h", "--dry-run"]
    assert container(SETS["demo"])["image"] == "modelyard/runtime:0.1.0"


@pytest.mark.parametrize("name", ["demo", "purge"])
def test_the_program_accepts_its_arguments(name):
    words = container(SETS[name])["command"][3:]
    # Without a database it exits after reading them, with another code than for invalid ones.
    command = [sys.executable, "-m", "modelyard_runtime.purge", *words]
    done = subprocess.run(
        command,
        env={"PYTHONPATH": str(ROOT / "operator")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "MLFLOW_BACKEND_STORE_URI is not set" in done.stderr
    assert done.returncode == 67


def test_in_the_demo_the_job_shares_mlflow_s_volume_and_so_its_node():
    spec = pod(SETS["demo"])
    deployment = find(render(SETS["demo"]), "Deployment", f"{RELEASE}-mlflow")["spec"]["template"]
    server = deployment["spec"]["containers"][0]
    (term,) = spec["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert term["labelSelector"]["matchLabels"].items() <= deployment["metadata"]["labels"].items()
    assert {"name": "data", "persistentVolumeClaim": {"claimName": f"{RELEASE}-mlflow"}} in spec[
        "volumes"
    ]
    assert {"name": "data", "mountPath": "/var/lib/mlflow"} in container(SETS["demo"])[
        "volumeMounts"
    ]
    ours, theirs = env(container(SETS["demo"])), env(server)
    for name in (
        "MLFLOW_BACKEND_STORE_URI",
        "MLFLOW_S3_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    ):
        assert ours[name] == theirs[name]
    assert ours["AWS_ACCESS_KEY_ID"] == DEMO_SECRET
    assert spec["securityContext"] == deployment["spec"]["securityContext"], (
        "the file is the same user's"
    )


@pytest.mark.parametrize(
    ("name", "secret"),
    [("demo on a database", f"{RELEASE}-mlflow"), ("demo on a database in a Secret", "database")],
)
def test_a_database_needs_no_volume(name, secret):
    assert env(container(SETS[name]))["MLFLOW_BACKEND_STORE_URI"] == {
        "secretKeyRef": {"name": secret, "key": "uri"}
    }
    assert "affinity" not in pod(SETS[name])
    assert [volume["name"] for volume in pod(SETS[name])["volumes"]] == ["tmp"]


def test_without_the_demo_all_settings_come_from_the_secret():
    assert container(SETS["purge"])["envFrom"] == [{"secretRef": {"name": "database"}}]
    assert "env" not in container(SETS["purge"])


def test_it_connects_to_dns_the_database_and_s3_only():
    def ports(values: dict[str, Any]) -> set[int | str]:
        policy = find(render(values), "NetworkPolicy", NAME, NAMESPACE)["spec"]
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        assert "ingress" not in policy
        return {port["port"] for rule in policy["egress"] for port in rule["ports"]}

    assert ports(SETS["demo"]) == {53, "s3"}
    assert ports(SETS["purge"]) == {53, 5432, 80, 443, 9000}
    assert ports(
        SETS["purge"] | {"networkPolicy": {"databasePorts": [6432], "s3Ports": [443]}}
    ) == {53, 6432, 443}
    egress = [{"ports": [{"protocol": "TCP", "port": 5433}]}]
    database = {"backendStoreSecret": {"name": "database"}, "extraEgress": egress}
    assert ports({"demo": {"enabled": True, "mlflow": database}}) == {53, "s3", 5433}
    minio = find(render(SETS["demo"]), "NetworkPolicy", NAME)["spec"]["egress"][-1]["to"][0][
        "podSelector"
    ]["matchLabels"]
    assert (
        minio
        == find(render(SETS["demo"]), "Deployment", f"{RELEASE}-minio")["spec"]["selector"][
            "matchLabels"
        ]
    )


def test_without_network_policies_there_is_none():
    assert NAME not in named(render(SETS["no network policies"]), "NetworkPolicy")
    assert NAME in named(render(SETS["no network policies"]), "CronJob")
