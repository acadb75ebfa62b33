"""Resolve names and open sockets for aiohttp, by the rule for addresses of `api.addresses`."""

import socket
from collections.abc import Callable
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from modelyard.adapters.bounds import TRIED
from modelyard.adapters.mlflow_errors import Denied
from modelyard.adapters.offload import Share
from modelyard.api.addresses import Addresses
from modelyard.errors import ModelyardError

__all__ = ["Resolver", "sockets"]

_SECONDS = 5.0


class Resolver(AbstractResolver):
    """Resolves names in a namespace's own threads, apart from the process's default ones."""

    def __init__(self, share: Share) -> None:
        """Create a resolver on a namespace's share of the threads."""
        self._share = share

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Resolve a name.

        Raises:
            OSError: It is unknown, or its name server does not answer in time.

        """

        def ask(_: object) -> list[tuple[Any, ...]]:
            return list(
                socket.getaddrinfo(
                    host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
                )
            )

        try:
            found = await self._share.run("look up", "host name", ask, deadline=_SECONDS)
        except ModelyardError as error:
            raise OSError(str(error)) from None
        except UnicodeError:
            raise OSError("the host name is not valid") from None
        return [
            ResolveResult(
                hostname=host,
                host=address[0],
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST,
            )
            for kind, _, protocol, _, address in found[:TRIED]
        ]

    async def close(self) -> None:
        """Do nothing: the pool owns the threads."""


def sockets(addresses: Addresses, host: str) -> Callable[[Any], socket.socket]:
    """Return aiohttp's socket factory for one host.

    aiohttp calls it with every resolved address, right before it connects.

    Raises (the factory):
        Denied: The rule forbids the address.

    """

    def made(info: Any) -> socket.socket:
        family, kind, protocol, _, address = info
        if not addresses.permits(host, address[0]):
            raise Denied
        return socket.socket(family, kind, protocol)

    return made
