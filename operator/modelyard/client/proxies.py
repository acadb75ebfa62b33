"""Whether this process reaches an address through a proxy (`modelyard.api.proxies`)."""

import os
from urllib.parse import urlsplit

from modelyard.api.proxies import direct

__all__ = ["by_proxy", "never_by_proxy"]


def never_by_proxy(url: str) -> bool:
    """Tell whether an address belongs to this machine or the cluster, so that no proxy is used."""
    return direct(url, inside="KUBERNETES_SERVICE_HOST" in os.environ)


def by_proxy(url: str) -> bool:
    """Tell whether the environment's proxy variables apply to an address."""
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - 20 ms, which help and completion do not need

    parts, proxies = urlsplit(url), getproxies()
    given = proxies.get(parts.scheme) or proxies.get("all")
    return bool(given) and not never_by_proxy(url) and not proxy_bypass(parts.hostname or "")
