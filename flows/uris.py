"""The URIs that clients register, as far as their text says whether they may."""

import ipaddress
import re
from typing import Literal
from urllib.parse import SplitResult, urlsplit

_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")  # RFC 3986 2
# It will stand in a Content-Security-Policy.
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*", re.IGNORECASE)
_REFUSED_SCHEMES = frozenset(
    {"about", "blob", "data", "file", "filesystem", "javascript", "vbscript"}
)
_SCHEME_OF_APP = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+", re.IGNORECASE)


def redirect_uri_fault(
    uri: str, application_type: Literal["web", "native"], *, development: bool
) -> str | None:
    """What keeps `uri` from being redirected to (RFC 6749 3.1.2, RFC 8252 7 and 8), or None.

    In development, web clients may redirect to plain http on loopback.
    """
    parts = _split(uri)
    if isinstance(parts, str):
        return parts
    if "#" in uri:
        return "must have no fragment"
    if parts.scheme == "https":
        return _host_fault(parts)
    if application_type == "web":
        if parts.scheme == "http" and development and _is_loopback(parts):
            return None
        return "must be https"
    if parts.scheme == "http":
        # RFC 8252 7.3 and 8.3: the literal, because `localhost` may resolve to something else.
        if is_loopback_literal(parts.hostname):
            return None
        return "must be https or a loopback IP literal"
    if parts.scheme in _REFUSED_SCHEMES or not _SCHEME_OF_APP.fullmatch(parts.scheme):
        return "needs a scheme in reverse domain notation (RFC 8252 7.1)"
    return None


def web_uri_fault(uri: str, *, development: bool) -> str | None:
    """What keeps `uri` from being linked to or fetched, or None.

    In development it may be plain http on loopback.
    """
    parts = _split(uri)
    if isinstance(parts, str):
        return parts
    if parts.scheme == "http" and development and _is_loopback(parts):
        return None
    return "must be https" if parts.scheme != "https" else _host_fault(parts)


def resource_fault(uri: str) -> str | None:
    """What keeps `uri` from being the identifier of a protected resource (RFC 8707 2), or None."""
    parts = _split(uri)
    if isinstance(parts, str):
        return parts
    return "must have no fragment" if "#" in uri else None


def is_loopback_literal(host: str | None) -> bool:
    """Whether `host` is an IP literal of this very machine."""
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _is_loopback(parts: SplitResult) -> bool:
    return is_loopback_literal(parts.hostname) or parts.hostname == "localhost"


def _host_fault(parts: SplitResult) -> str | None:
    host = parts.hostname or ""
    if "[" in parts.netloc:
        return None if _is_ipv6(host) else "must name a host"
    return None if _HOST_NAME.fullmatch(host) else "must name a host"


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return "%" not in host  # a zone is of this machine alone


def _split(uri: str) -> SplitResult | str:
    """The parts of an absolute URI, or what is wrong with it."""
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018 - reading it is what finds a bad port
    except ValueError:
        return "is not a URI"
    if not _CHARACTERS.fullmatch(uri) or not parts.scheme:
        return "is not an absolute URI"
    if parts.username is not None or parts.password is not None:
        return "must have no user information"
    return parts
