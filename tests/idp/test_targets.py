"""Where a fetch for somebody else may go."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.ports import FetchError
from idp.outbound.targets import may_be_reached, parse

INSIDE = [
    "0.0.0.0",  # noqa: S104  nothing is bound to it
    *("0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200"),
    *("127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1", "172.31.255.255"),
    *("192.0.0.1", "192.0.0.170", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1"),
    *("198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255"),
    *("240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8"),
    *("::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::a00:1", "100::1"),
    *("2001::1", "2001:0:7f00:1::", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1"),
    *("2002:7f00:1::1", "2002:a00:1::1", "2002:808:808::1", "3fff::1", "5f00::1"),
    *("fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%lo", "fec0::1", "ff02::1", "ff0e::1"),
]
OUTSIDE = [
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0"),
    *("126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255"),
    *("172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255"),
    *("198.20.0.0", "223.255.255.255"),
    *("2001:200::1", "2001:4860:4860::8888", "2003::1", "2606:4700:4700::1111", "2a00:1450::1"),
]
PRIVATE = ["10.0.0.1", "100.64.0.1", "172.16.0.1", "192.168.1.1", "fc00::1", "fd12:3456::1"]
LOOPBACK = ["127.0.0.1", "127.255.255.254", "::1"]


def allowed(address: str, *, loopback: bool = False, private: bool = False) -> bool:
    return may_be_reached(ipaddress.ip_address(address), loopback=loopback, private=private)


@pytest.mark.parametrize("address", INSIDE)
def test_no_address_is_reached_that_is_not_in_the_internet(address: str) -> None:
    assert not allowed(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_in_the_internet_is_reached(address: str) -> None:
    assert allowed(address)


@given(st.ip_addresses())
def test_what_python_knows_not_to_be_global_is_not_reached(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert not allowed(str(address))


@pytest.mark.parametrize("address", [*INSIDE, *OUTSIDE])
def test_development_adds_loopback_and_nothing_else(address: str) -> None:
    assert allowed(address, loopback=True) == (address in {*OUTSIDE, *LOOPBACK})


@pytest.mark.parametrize("address", [*INSIDE, *OUTSIDE])
def test_a_host_of_the_groups_own_adds_private_networks_and_nothing_else(address: str) -> None:
    private = {*PRIVATE, "10.255.255.255", "172.31.255.255", "100.100.100.200"}
    assert allowed(address, private=True) == (address in {*OUTSIDE, *private})


@pytest.mark.parametrize(
    ("url", "host", "port", "path_and_query", "authority"),
    [
        ("https://rp.example", "rp.example", 443, "/", "rp.example"),
        ("https://rp.example/jwks?a=%20b&c", "rp.example", 443, "/jwks?a=%20b&c", "rp.example"),
        ("https://rp.example?a", "rp.example", 443, "/?a", "rp.example"),
        ("HTTPS://RP.Example/JWKS", "rp.example", 443, "/JWKS", "rp.example"),
        ("https://rp.example:443/", "rp.example", 443, "/", "rp.example"),
        ("https://rp.example:8443/", "rp.example", 8443, "/", "rp.example:8443"),
        ("https://rp.example:65535/", "rp.example", 65535, "/", "rp.example:65535"),
        ("https://xn--e1afmkfd.xn--p1ai/", "xn--e1afmkfd.xn--p1ai", 443, "/", None),
        ("https://3.a-b.example/", "3.a-b.example", 443, "/", None),
        ("https://jwks/", "jwks", 443, "/", None),
        (f"https://{'a' * 63}.example/", f"{'a' * 63}.example", 443, "/", None),
    ],
)
def test_a_url_is_https_to_a_name(
    url: str, host: str, port: int, path_and_query: str, authority: str | None
) -> None:
    target = parse(url, development=False)

    assert (target.scheme, target.host, target.port) == ("https", host, port)
    assert target.path_and_query == path_and_query
    assert target.authority == (authority or host)


NEVER = [
    *("", "jwks", "/jwks", "//rp.example/jwks", "https:", "https://", "https:///jwks"),
    *(
        "ftp://rp.example/",
        "file:///etc/passwd",
        "data:application/json,{}",
        "gopher://rp.example/",
    ),
    *("https://u@rp.example/", "https://u:p@rp.example/", "https://@rp.example/"),
    *("https://rp.example/#f", "https://rp.example/#", "https://rp.example#@evil.example/"),
    *("https://rp.example\\@evil.example/", "https://rp.example\\.evil.example/"),
    *("https://rp.example:/", "https://rp.example:0/", "https://rp.example:22/"),
    *("https://rp.example:80/", "https://rp.example:1023/", "https://rp.example:65536/"),
    *("https://rp.example:+443/", "https://rp.example:443443/", "https://rp.example:４４３/"),
    *("https://rp.example./", "https://.rp.example/", "https://rp..example/", "https://./"),
    *("https://-rp.example/", "https://rp-.example/", "https://r_p.example/"),
    *("https://r%70.example/", "https://rp.example%2f.evil.example/", "https://rp.example%00/"),
    *(
        "https://пример.рф/",
        "https://ⓡⓟ.example/",
        "https://１２７.0.0.1/",
        "https://127。0。0。1/",
    ),
    *("httpſ://rp.example/", "https://rp.example/ключи"),
    *("https://127.1/", "https://0/", "https://2130706433/", "https://0x7f000001/"),
    *("https://0x7f.0.0.1/", "https://0177.0.0.1/", "https://127.0.0.1./", "https://1.2.3.4.5/"),
    *("https://[::1/", "https://::1/", "https://[rp.example]/", "https://[127.0.0.1]/"),
    *("https://[fe80::1%25lo]/", "https://[v1.x]/", "https://[:]/"),
    *(
        "https://rp.example /",
        " https://rp.example/",
        "https://rp.example/\n",
        "https://rp.\texample/",
    ),
    *("https://rp.example/\r\nX-Injected: 1", "https://rp.example/a b", 'https://rp.example/"'),
    *(f"https://{'a' * 64}.example/", f"https://{'a.' * 124}example/", "https://a/" + "a" * 2048),
]
LITERALS = ["https://127.0.0.1/", "https://8.8.8.8/", "https://[::1]/", "https://[2a00:1450::1]/"]
PLAIN = [f"http://{host}:8001/" for host in ("localhost", "127.0.0.1", "[::1]", "LOCALHOST")]


@pytest.mark.parametrize("development", [False, True])
@pytest.mark.parametrize("url", [*NEVER, "http://rp.example:8001/", "http://localhost/"])
def test_nothing_else_is_a_url_that_is_fetched(url: str, *, development: bool) -> None:
    with pytest.raises(FetchError, match="the URL is not one that is fetched"):
        parse(url, development=development)


@pytest.mark.parametrize("url", [*LITERALS, *PLAIN])
def test_literals_and_plain_http_to_loopback_are_for_development(url: str) -> None:
    parse(url, development=True)
    with pytest.raises(FetchError):
        parse(url, development=False)


@pytest.mark.parametrize("url", ["http://8.8.8.8:8001/", "http://10.0.0.1:8001/"])
def test_in_development_plain_http_leads_nowhere_but_to_loopback(url: str) -> None:
    with pytest.raises(FetchError):
        parse(url, development=True)


@given(st.text())
def test_any_text_is_a_url_or_is_refused(text: str) -> None:
    for url in (text, f"https://{text}", f"https://rp.example{text}"):
        try:
            target = parse(url, development=True)
        except FetchError:
            continue
        assert url.isascii()
        assert target.host
