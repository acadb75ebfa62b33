"""Table of the addresses to which the operator connects."""

from __future__ import annotations

import pytest

from modelyard.api.addresses import Addresses, is_link_local

METADATA = [
    "169.254.169.254",
    "169.254.170.2",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "fd20:ce::254",
    "100.100.100.200",
]
MAPPED = [
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
    "64:ff9b:1:2:3:4:169.254.169.254",
    "::ffff:0:169.254.169.254",
    "2002:a9fe:a9fe::1",
    "::169.254.169.254",
]
HERE = [
    "127.0.0.1",
    "127.9.9.9",
    "::1",
    "::ffff:127.0.0.1",
    "::127.0.0.1",
    "0.0.0.0",
    "::",
    "0.1.2.3",
    "::ffff:0.0.0.0",
]
OTHERS = [
    "10.0.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "203.0.113.7",
    "fd12::1",
    "2001:db8::1",
    "::ffff:10.0.0.1",
]


@pytest.mark.parametrize(
    "address",
    [*METADATA, *MAPPED, *HERE, "224.0.0.1", "255.255.255.255", "ff02::1", "no address", ""],
)
def test_an_address_is_denied(address: str):
    assert not Addresses().permits("mlflow.example.com", address)


@pytest.mark.parametrize("address", OTHERS)
def test_an_address_is_permitted(address: str):
    assert Addresses().permits("mlflow.example.com", address)


@pytest.mark.parametrize("address", [*METADATA, *MAPPED])
def test_addresses_of_metadata_services_are_link_local(address: str):
    assert is_link_local(address)


@pytest.mark.parametrize("address", [*HERE, *OTHERS, "mlflow.example.com"])
def test_other_addresses_are_not_link_local(address: str):
    assert not is_link_local(address)


@pytest.mark.parametrize(
    ("rule", "host", "address", "permitted"),
    [
        (Addresses(allow=("127.0.0.0/8",)), "x", "127.0.0.1", True),
        (Addresses(allow=("127.0.0.1",)), "x", "::ffff:127.0.0.1", True),
        (Addresses(allow=("127.0.0.1",)), "x", "127.0.0.2", False),
        (Addresses(allow=("0.0.0.0/0", "::/0")), "x", "169.254.169.254", False),
        (Addresses(allow=("MLflow.Example.com",)), "mlflow.example.com.", "127.0.0.1", True),
        (Addresses(allow=("mlflow.example.com",)), "evil.example.com", "127.0.0.1", False),
        (Addresses(deny=("10.96.0.1",)), "kubernetes.default", "10.96.0.1", False),
        (Addresses(deny=("10.96.0.1",)), "x", "::ffff:10.96.0.1", False),
        (Addresses(allow=("10.0.0.0/8",), deny=("10.96.0.1",)), "x", "10.96.0.1", False),
        (Addresses(allow=("10.96.0.1",), deny=("10.96.0.1",)), "x", "10.96.0.1", True),
        (Addresses(deny=("evil.example.com",)), "evil.example.com", "10.0.0.1", False),
        (Addresses(only=("10.0.0.0/8",)), "x", "10.0.0.1", True),
        (Addresses(only=("10.0.0.0/8",)), "x", "192.168.0.1", False),
        (Addresses(only=("mlflow.example.com",)), "mlflow.example.com", "192.168.0.1", True),
        (Addresses(only=("mlflow.example.com",)), "mlflow.example.com", "169.254.169.254", False),
        (Addresses(only=("10.0.0.0/8",), allow=("127.0.0.1",)), "x", "127.0.0.1", True),
        (Addresses(only=("[fd12::1]",)), "x", "fd12::1", True),
    ],
)
def test_the_more_specific_entry_wins(rule: Addresses, host: str, address: str, permitted: bool):
    assert rule.permits(host, address) == permitted


@pytest.mark.parametrize("entry", ["10.0.0.0/99", "1.2.3", "a b", "http://x", "*.example.com", ""])
def test_an_invalid_entry_is_named(entry: str):
    with pytest.raises(ValueError, match="is not a host name, an address or a network") as caught:
        Addresses(allow=(entry,))
    assert repr(entry) in str(caught.value)
