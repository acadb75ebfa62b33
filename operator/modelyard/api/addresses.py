"""Addresses to which the operator may connect, and link-local ones to which no program may.

The operator connects to hosts that a tenant's Secret names. Each address is checked after its name
was resolved, when the connection is made, because a name may resolve differently the next time.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

__all__ = ["DENIED", "Addresses", "is_link_local"]

DENIED = (
    "the operator does not connect to loopback, link-local and metadata addresses, nor to the API"
    " server or what connections.deny names; the chart's connections.allow names exceptions"
)
"""The message for a denied address, whether or not anything listens there."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAME = 129
"""The weight of a name, which is more specific than any network."""
_EMBEDDING = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "64:ff9b::/96",  # NAT64
            "64:ff9b:1::/48",  # local-use NAT64, with prefixes of 96 bits
            "::ffff:0:0:0/96",  # translated (RFC 2765)
        ),
    )
)
"""Networks whose addresses have an IPv4 address in their last 32 bits."""
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_LINK_LOCAL = tuple(
    map(
        ipaddress.ip_network,
        (
            "169.254.0.0/16",  # IPv4 link-local: the metadata services of most clouds
            "fe80::/10",  # IPv6 link-local
            "fd00:ec2::/32",  # metadata of AWS by IPv6
            "fd20:ce::254/128",  # metadata of Google Cloud by IPv6
            "100.100.100.200/32",  # metadata of Alibaba Cloud
            "192.0.0.192/32",  # metadata of Oracle Cloud
            "168.63.129.16/32",  # Azure's host
        ),
    )
)
_HERE = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",  # Linux connects 0.0.0.0 to the local host
            "127.0.0.0/8",
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
            "::/128",
            "::1/128",
            "ff00::/8",  # multicast
        ),
    )
)


def is_link_local(address: str) -> bool:
    """Tell whether an address is link-local, or where a cloud serves metadata.

    Args:
        address: An IPv4 or IPv6 address; the result for a name is False.

    """
    return any(found in network for found in _forms(address) for network in _LINK_LOCAL)


@dataclass(frozen=True)
class Addresses:
    """Allow and deny lists. An entry is a host name, an address or a network (`10.0.0.0/8`).

    If both lists have an entry for an address, the more specific one wins: a name, then the smaller
    network; `allow` if they are equal. So allowing `10.0.0.0/8` does not allow the API server in
    it.

    Attributes:
        allow: Exceptions from the denied addresses. A host name is allowed whatever it resolves to.
        deny: Denied in addition to loopback, link-local, metadata and multicast addresses: the API
            server's, and those that an administrator names.
        only: If not empty, addresses that neither it nor `allow` covers are denied.

    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    only: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that each entry is a name, an address or a network.

        Raises:
            ValueError: The message names the entry.

        """
        for entry in (*self.allow, *self.deny, *self.only):
            if _network(entry) is None and not _is_name(entry):
                raise ValueError(
                    f"{entry!r} is not a host name, an address or a network such as 10.0.0.0/8"
                )

    def permits(self, host: str, address: str) -> bool:
        """Tell whether a connection may be made.

        Args:
            host: The requested name or address.
            address: The resolved address, to which the connection is about to be made.

        """
        name, forms = host.rstrip(".").lower(), _forms(address)
        if not forms:
            return False
        allowed, denied = self._allow.weight(name, forms), self._deny.weight(name, forms)
        if denied > allowed:
            return False
        return allowed >= 0 or not self.only or self._only.weight(name, forms) >= 0

    @cached_property
    def _allow(self) -> "_Entries":
        return _Entries.of(self.allow)

    @cached_property
    def _deny(self) -> "_Entries":
        return _Entries.of(self.deny, (*_HERE, *_LINK_LOCAL))

    @cached_property
    def _only(self) -> "_Entries":
        return _Entries.of(self.only)


@dataclass(frozen=True)
class _Entries:
    """The parsed names and networks of one list."""

    names: frozenset[str]
    networks: tuple[Network, ...]

    @classmethod
    def of(cls, entries: Iterable[str], more: Iterable[Network] = ()) -> "_Entries":
        read = [(entry, _network(entry)) for entry in entries]
        names = frozenset(entry.rstrip(".").lower() for entry, network in read if network is None)
        return cls(names, (*(network for _, network in read if network is not None), *more))

    def weight(self, name: str, forms: tuple[Address, ...]) -> int:
        """Return how specific the entry is that covers an address; -1 if none does."""
        if name in self.names:
            return _NAME
        found = (_bits(network) for form in forms for network in self.networks if form in network)
        return max(found, default=-1)


def _bits(network: Network) -> int:
    """Return the length of a network's prefix, as for IPv6."""
    return network.prefixlen + (96 if network.version == 4 else 0)


def _forms(address: str) -> tuple[Address, ...]:
    """Return an address, and the IPv4 addresses embedded in it; empty for a name."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ()
    if isinstance(found, ipaddress.IPv4Address):
        return (found,)
    last = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    inner: list[Address | None] = [found.ipv4_mapped, found.sixtofour]
    inner.append(found.teredo[1] if found.teredo else None)
    # ::1 is the IPv6 loopback, not 0.0.0.1 in the deprecated compatible form.
    embeds = any(found in network for network in _EMBEDDING) or (
        found in _COMPATIBLE and int(found) > 1
    )
    inner.append(last if embeds else None)
    return (found, *(each for each in inner if each is not None))


def _network(entry: str) -> Network | None:
    try:
        return ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return None


def _is_name(entry: str) -> bool:
    labels = entry.rstrip(".").split(".")
    plain = all(label and label.replace("-", "").replace("_", "").isalnum() for label in labels)
    # A name whose last label is a number was meant as an address.
    return plain and entry.isascii() and not labels[-1].isdigit()
