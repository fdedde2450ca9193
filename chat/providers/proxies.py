"""The HTTP proxy that the environment names for an address."""

from __future__ import annotations

import ipaddress
from urllib.request import getproxies

import httpx2


def proxy_for(url: httpx2.URL) -> str | None:
    """Return the proxy's URL by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, or None to connect directly.

    NO_PROXY holds `*`, host names (with their subdomains; with a leading dot the subdomains only), IP addresses and
    networks, separated by commas, each with an optional port.
    """
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy or any(_matches(entry.strip(), url) for entry in proxies.get("no", "").split(",")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _matches(entry: str, url: httpx2.URL) -> bool:
    if not entry or entry == "*":
        return bool(entry)
    scheme, separator, rest = entry.lower().rpartition("://")
    if separator and scheme not in ("all", url.scheme):
        return False
    network = _network(rest)
    if network is not None:
        address = _network(url.host)
        return address is not None and address.network_address in network
    name, _, port = rest.removeprefix("*").partition(":")
    if port and port != str(url.port or {"http": 80, "https": 443}.get(url.scheme)):
        return False
    return url.host.endswith(name if name.startswith(".") else f".{name}") or url.host == name


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None
