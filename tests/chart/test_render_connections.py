"""The addresses that the operator and the tenants' pods may connect to, as rendered."""

from __future__ import annotations

import ipaddress

from tests.chart.helm import RELEASE, find, render
from tests.chart.values import SETS

METADATA = (
    "169.254.169.254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd20:ce::254",
)


def test_the_operator_gets_the_addresses_that_it_may_connect_to():
    told = {
        "allow": ["minio.storage", "127.0.0.1"],
        "deny": ["10.0.0.5"],
        "only": ["10.0.0.0/8", "fd00::/8"],
    }
    container = find(render({"connections": told}), "Deployment", RELEASE)["spec"]["template"][
        "spec"
    ]["containers"][0]
    environment = {
        each["name"]: each["value"]
        for each in container["env"]
        if each["name"].startswith("MODELYARD_CONNECTIONS")
    }
    settings = {key: environment[f"MODELYARD_CONNECTIONS_{key.upper()}"] for key in told}
    assert {key: value.split(",") for key, value in settings.items()} == told


def test_no_pod_reaches_a_metadata_service_but_dns_may_be_there():
    objects = render(SETS["tenants"])
    policies = [
        each for each in objects if each["kind"] == "NetworkPolicy" and each["spec"].get("egress")
    ]
    assert {each["metadata"]["name"] for each in policies} >= {
        RELEASE,
        "modelyard-training",
        "modelyard-serving",
        "modelyard-gates",
    }
    for each in policies:
        for rule in each["spec"]["egress"]:
            ports = {port["port"] for port in rule.get("ports", [])}
            # DNS, the API server, the candidate's pods, the counters of serving pods, a tenant's
            # own extraEgress
            if ports in ({53}, {443, 6443}, {8080}, {9090}) or "ports" not in rule:
                continue
            blocks = {
                peer["ipBlock"]["cidr"]: peer["ipBlock"]["except"]
                for peer in rule["to"]
                if "ipBlock" in peer
            }
            denied = [
                ipaddress.ip_network(each) for each in (*blocks["0.0.0.0/0"], *blocks["::/0"])
            ]
            for address in map(ipaddress.ip_address, METADATA):
                assert any(address in network for network in denied), address
            assert "fe80::/10" in blocks["::/0"]
