"""What the configuration demands of a URL, and what counts as this very machine."""

import ipaddress
from collections.abc import Iterator
from typing import Final
from urllib.parse import SplitResult, urlsplit

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def is_loopback(host: str) -> bool:
    """Whether `host` (no brackets around IPv6) is `localhost` or a loopback IP literal."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def url_faults(url: str) -> Iterator[str]:
    """Say what keeps `url` from being an absolute https URL, or http to a loopback host."""
    parts = _split(url)
    if parts is None:
        yield "must be an absolute https URL"
    elif parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        yield "must be https (http is for a loopback host)"


def issuer_faults(issuer: str) -> Iterator[str]:
    """Say what keeps `issuer` from being an issuer identifier, one text for each fault.

    It is compared character by character (OpenID Connect Discovery 4.3) and every URL that the
    server publishes is made from it, so there is only one way to write it.
    """
    yield from url_faults(issuer)
    parts = _split(issuer)
    if parts is None:
        return
    if "?" in issuer:
        yield "must not have a query"
    if "#" in issuer:
        yield "must not have a fragment"
    if parts.path.endswith("/"):
        yield "must not end with a slash"
    if not issuer.startswith(f"{parts.scheme}://{parts.netloc.lower()}"):
        yield "must have its scheme and host in lower case"
    if parts.port == _DEFAULT_PORTS[parts.scheme]:
        yield f"must leave out the default port {parts.port}"


def host_of(url: str) -> str:
    """Return the host of `url`, without brackets; empty if there is none."""
    parts = _split(url)
    return (parts and parts.hostname) or ""


def _split(url: str) -> SplitResult | None:
    """Split an absolute http(s) URL without user information; None for anything else."""
    # urlsplit drops tabs and line ends without a word, so they are refused before it sees them.
    if not (url.isascii() and url.isprintable()) or " " in url or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        usable_port = parts.port != 0
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    return parts if usable_port else None
