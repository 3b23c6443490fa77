"""Where a fetch for somebody else may go: which URLs, and which addresses behind their names.

Whoever registers a client could otherwise make the server ask its own network for things (CWE-918;
RFC 7591 5, OpenID Connect Core 6.2).
"""

import ipaddress
import re
from dataclasses import dataclass

from conf.urls import is_loopback
from flows.ports import FetchError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_MOST_CHARACTERS = 2048
_MOST_HOST_CHARACTERS = 253  # RFC 1035 2.3.4, in the way that people write names
_DEFAULT_PORTS = {"http": 80, "https": 443}
# Lower ports belong to protocols that ought not to receive a request that a stranger chose.
_PORTS = frozenset({443, *range(1024, 65_536)})

# One grammar for all: what two parsers read differently, an attacker uses. A URI is ASCII (RFC
# 3986 2), so an internationalised name is there in its A-labels. There is no user information, and
# no fragment.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9.-]+|\[[0-9a-f.]*:[0-9a-f:.]*\])(:(?P<port>[0-9]{1,5}))?"
    r"(?P<target>[/?][a-z0-9._~:/?@!$&'()*+,;=%-]*)?",
    re.ASCII | re.IGNORECASE,
)
# The last label begins with a letter, as every top-level domain does. So 127.1, 0x7f.1 and
# 2130706433 are no names, which resolvers take for IPv4 addresses. And there is no dot at the end,
# which certificates do not have.
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"({_LABEL}\.)*(?=[a-z]){_LABEL}")

# https://www.iana.org/assignments/iana-ipv4-special-registry, and multicast: all that is not for
# reaching anybody in the Internet.
_SPECIAL_IPV4 = tuple(
    ipaddress.IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # between a provider and its customers
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, where clouds tell a machine its credentials
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
# Of IPv6 this is all that is given out for the Internet. What lies outside, and need not be named:
# ::, ::1, IPv4-mapped ::ffff:0:0/96, NAT64 64:ff9b::/96, unique local, link-local, multicast.
_GLOBAL_IPV6 = ipaddress.IPv6Network("2000::/3")
# https://www.iana.org/assignments/iana-ipv6-special-registry, within it.
_SPECIAL_IPV6 = tuple(
    ipaddress.IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments; Teredo, whose addresses hold an IPv4 address
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, whose addresses hold an IPv4 address
        "3fff::/20",  # documentation
    )
)
# What a host of the group's own may have, if the settings name it. Never loopback or link-local.
_PRIVATE = tuple(
    ipaddress.ip_network(block)
    for block in ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)


@dataclass(frozen=True, slots=True)
class Target:
    """What a URL names; `host` is a name in lower case, or in development an IP literal."""

    scheme: str
    host: str
    port: int
    path_and_query: str

    @property
    def authority(self) -> str:
        """The value of the Host header (RFC 9110 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def literal(self) -> Address | None:
        """The address that stands in place of a name; None if it is a name."""
        return _literal(self.host)


def parse(url: str, *, development: bool) -> Target:
    """Read a URL that somebody else gave.

    It is https, to the name of a host, on port 443 or one above 1023. In development an IP literal
    may stand for the name, and it may be http to a loopback host. Raises FetchError.
    """
    match = _URL.fullmatch(url) if len(url) <= _MOST_CHARACTERS else None
    if match is None:
        raise _not_fetched()
    scheme, host = match["scheme"].lower(), match["host"].lower().strip("[]")
    port = _DEFAULT_PORTS[scheme] if match["port"] is None else int(match["port"])
    if port not in _PORTS:
        raise _not_fetched()
    if _literal(host) is None:
        if not _NAME.fullmatch(host) or len(host) > _MOST_HOST_CHARACTERS:
            raise _not_fetched()
    elif not development:
        raise _not_fetched()
    if scheme == "http" and not (development and is_loopback(host)):
        raise _not_fetched()
    path = match["target"] or "/"
    return Target(scheme, host, port, path if path.startswith("/") else f"/{path}")


def may_be_reached(address: Address, *, loopback: bool, private: bool) -> bool:
    """Say whether `address` is one in the Internet, or of the kinds that are allowed besides."""
    if loopback and address.is_loopback:
        return True
    if private and any(address in network for network in _PRIVATE):
        return True
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _SPECIAL_IPV4)
    return address in _GLOBAL_IPV6 and not any(address in network for network in _SPECIAL_IPV6)


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _not_fetched() -> FetchError:
    return FetchError("the URL is not one that is fetched")
