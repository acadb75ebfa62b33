"""Addresses that are never contacted through a proxy: those of this machine and of the cluster.

A proxy would see the credentials for MLflow and S3, and cannot reach a port-forward or a Service
anyway. All other addresses follow HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY. Standard library
only, because pods import it.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

__all__ = ["direct", "without_proxy"]


def direct(url: str, *, inside: bool) -> bool:
    """Tell whether an address is this machine's or the cluster's.

    Args:
        url: An http or https URL.
        inside: The caller runs in a pod, where `mlflow` and `mlflow.risk` are Services. Over TLS,
            `acme.ai` could be either and is treated as a host: the proxy sees only ciphertext.

    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        labels = host.split(".")
    if host == "localhost" or labels[-1] == "localhost" or "svc" in labels[2:]:
        return True
    return inside and (len(labels) == 1 or (len(labels) == 2 and parts.scheme == "http"))


def without_proxy(environment: Mapping[str, str], urls: Iterable[str]) -> dict[str, str]:
    """Return variables that exempt the `direct` ones of these addresses from proxies.

    They are for requests, botocore and httpx.

    The user's own exemptions are kept. Both spellings are set, because the libraries prefer
    different ones.
    """
    inside = "KUBERNETES_SERVICE_HOST" in environment
    hosts = [urlsplit(url).hostname or "" for url in urls if url and direct(url, inside=inside)]
    if not hosts:
        return {}
    known = ",".join(filter(None, (environment.get("no_proxy"), environment.get("NO_PROXY"))))
    entries = [entry for each in (*known.split(","), *hosts) if (entry := each.strip())]
    # `*` alone means every address; in a list, requests and botocore read it as a host name.
    exempted = (
        "*"
        if "*" in (environment.get("no_proxy"), environment.get("NO_PROXY"))
        else ",".join(dict.fromkeys(entries))
    )
    return {"no_proxy": exempted, "NO_PROXY": exempted}
