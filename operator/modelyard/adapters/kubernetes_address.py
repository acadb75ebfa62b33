"""The API server's addresses, which no tenant's MLflow or S3 may have."""

import asyncio
import socket
from urllib.parse import urlsplit

from modelyard.adapters.kubernetes_api import Api
from modelyard.errors import Invalid, Unavailable

__all__ = ["api_addresses"]


async def api_addresses(api: Api) -> tuple[str, ...]:
    """Return the API server's addresses: the one in use, and the one that it advertises.

    Of several API servers only the one that answers advertises its address; an administrator has to
    deny the others.

    Raises:
        Unavailable: It does not answer, or its host name cannot be resolved now.

    """
    try:
        versions = await api.read("/api", "find", "the API server's address")
    except Invalid:  # a cluster may forbid discovery
        versions = {}
    advertised = [
        each.get("serverAddress", "") for each in versions.get("serverAddressByClientCIDRs") or ()
    ]
    hosts = [urlsplit(api.host).hostname, *(urlsplit(f"//{each}").hostname for each in advertised)]
    found: set[str] = set()
    for host in filter(None, hosts):
        loop = asyncio.get_running_loop()
        try:
            resolved = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError:
            raise Unavailable(
                "Kubernetes", "find", "the API server's address", "its host name is not known"
            ) from None
        found |= {str(each[4][0]).partition("%")[0] for each in resolved}
    return tuple(sorted(found))
