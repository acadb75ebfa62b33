"""Which addresses are never asked through a proxy, whatever the environment says: those of this
machine and of the cluster.

A proxy is for the world outside. It would hear the credentials that MLflow and S3 are asked with,
and cannot reach a port-forward or a Service anyway. All other addresses follow HTTP_PROXY,
HTTPS_PROXY, ALL_PROXY and NO_PROXY. Standard library only, for pods import it. What the environment
of this process says does not belong here.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

__all__ = ["direct", "without_proxy"]


def direct(url: str, *, inside: bool) -> bool:
    """Tell whether an address is this machine's or the cluster's. Pure.

    Args:
        url: An http or https URL.
        inside: It is asked in a pod. There `mlflow` and `mlflow.risk` are Services; over TLS
            `acme.ai` may be either, and is a host: a proxy hears nothing of it.

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
    """Return the variables by which requests, botocore and httpx ask these addresses directly, as
    far as they are `direct`.

    What the user exempts stays exempted. Both spellings are set, for each library reads another one
    first.
    """
    inside = "KUBERNETES_SERVICE_HOST" in environment
    hosts = [urlsplit(url).hostname or "" for url in urls if url and direct(url, inside=inside)]
    if not hosts:
        return {}
    known = ",".join(filter(None, (environment.get("no_proxy"), environment.get("NO_PROXY"))))
    entries = [entry for each in (*known.split(","), *hosts) if (entry := each.strip())]
    # Alone it means every address; in a list requests and botocore take it for a host's name.
    exempted = (
        "*"
        if "*" in (environment.get("no_proxy"), environment.get("NO_PROXY"))
        else ",".join(dict.fromkeys(entries))
    )
    return {"no_proxy": exempted, "NO_PROXY": exempted}
