"""How this process asks an address: directly, or as the proxies of its environment say. The rule
is `modelyard.api.proxies`.
"""

import os
from urllib.parse import urlsplit

from modelyard.api.proxies import direct

__all__ = ["by_proxy", "never_by_proxy"]


def never_by_proxy(url: str) -> bool:
    """Tell whether an address is this machine's or the cluster's, as this process sees it."""
    return direct(url, inside="KUBERNETES_SERVICE_HOST" in os.environ)


def by_proxy(url: str) -> bool:
    """Tell whether the environment leads an address through a proxy."""
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - 20 ms, which help and completion do without

    parts, proxies = urlsplit(url), getproxies()
    given = proxies.get(parts.scheme) or proxies.get("all")
    return bool(given) and not never_by_proxy(url) and not proxy_bypass(parts.hostname or "")
