from collections.abc import Mapping
from pathlib import Path

import pytest

from conf import settings
from conf.settings import ConfigurationError

PRODUCTION = """
issuer = "https://id.example.com"
directory = "data"
key_encryption_keys = [{ id = "a", file = "kek" }]
delivery.providers = [
  { id = "sms", kind = "sms", url = "https://sms.example.com/send", form = { a = "{phone}{text}" } }
]
"""


def faults(place: Path, text: str, overrides: Mapping[str, object] | None = None) -> list[str]:
    path = place / "idp.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        settings.load(path, overrides or {}, environ={})
    assert str(caught.value) == "\n".join(caught.value.faults)
    return list(caught.value.faults)


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("issuer", None, "issuer: is required"),
        ("issuer", 7, "issuer: must be a text"),
        ("issuer", "id.example.com", "issuer: must be an absolute https URL"),
        ("issuer", "https://", "issuer: must be an absolute https URL"),
        ("issuer", "https://u@id.example.com", "issuer: must be an absolute https URL"),
        ("issuer", "https://id.example.com:x", "issuer: must be an absolute https URL"),
        ("issuer", "https://id .example.com", "issuer: must be an absolute https URL"),
        ("issuer", "https://ид.example.com", "issuer: must be an absolute https URL"),
        ("issuer", "http://id.example.com", "issuer: must be https"),
        ("issuer", "https://id.example.com?", "issuer: must not have a query"),
        ("issuer", "https://id.example.com/a?b=c", "issuer: must not have a query"),
        ("issuer", "https://id.example.com#f", "issuer: must not have a fragment"),
        ("issuer", "https://id.example.com/", "issuer: must not end with a slash"),
        ("issuer", "https://id.example.com/a/", "issuer: must not end with a slash"),
        ("issuer", "https://ID.example.com", "issuer: must have its scheme and host in lower"),
        ("issuer", "HTTPS://id.example.com", "issuer: must have its scheme and host in lower"),
        ("issuer", "https://id.example.com:443", "issuer: must leave out the default port 443"),
        ("directory", None, "directory: is required"),
        ("key_encryption_keys", None, "key_encryption_keys: is required"),
        ("key_encryption_keys", [], "key_encryption_keys: is required"),
        ("key_encryption_keys", "kek", "key_encryption_keys: must be an array of tables"),
        ("ca_file", 1, "ca_file: must be a text"),
        ("ca_file", ".", "ca_file: {} cannot be read: Is a directory"),
        ("outbound_private_hosts", "jwks", "outbound_private_hosts: must be a list of texts"),
        ("outbound_private_hosts", ["10.0.0.1"], "outbound_private_hosts[0]: must be a host name"),
        ("outbound_private_hosts", ["a.b:443"], "outbound_private_hosts[0]: must be a host name"),
        ("outbound_private_hosts", ["a.b", "A.b"], "outbound_private_hosts[1]: must be a host"),
        ("development", "yes", "development: must be true or false"),
        ("workers", 0, "workers: must be 1..64"),
        ("workers", True, "workers: must be 1..64"),
        ("workers", 1.0, "workers: must be 1..64"),
        ("log_format", "xml", "log_format: must be json or console"),
        ("trusted_proxies", "10.0.0.1", "trusted_proxies: must be a list of texts"),
        ("trusted_proxies", ["::1", "proxy"], "trusted_proxies[1]: must be an IP address or a"),
        ("trusted_proxies", ["10.0.0.1/8"], "trusted_proxies[0]: must be an IP address or a"),
        ("trusted_proxies", ["0.0.0.0/0"], "trusted_proxies[0]: must not be everyone"),
        ("listen", 8000, "listen: must be a table"),
        ("listen.host", "a b", "listen.host: must be a host name or an IP address"),
        ("listen.host", "[::1]", "listen.host: must be a host name or an IP address"),
        ("listen.port", 65536, "listen.port: must be 1..65535"),
        ("listen.tls_cert", "cert.pem", "listen.tls_key: is required"),
        ("listen.tls_key", "key.pem", "listen.tls_cert: is required"),
        ("metrics.port", 8000, "metrics.port: must not be the address in listen"),
        ("store.memory_bytes", 1024, "store.memory_bytes: must be 67108864..1099511627776"),
        ("store.call_timeout_seconds", 0, "store.call_timeout_seconds: must be 0.05..30"),
        ("store.call_timeout_seconds", float("nan"), "store.call_timeout_seconds: must be 0.05"),
        ("store.topology", "sharded", "store.topology: must be child, external or replicated"),
        ("store.addresses", ["a:1"], "store.addresses: must not be there: the server starts"),
        ("store.password", "x", "store.password: must not be there: the server makes its own"),
        ("store.user", "Robert'); --", "store.user: must be the name of a database user"),
        ("keys.algorithms", "ES256", "keys.algorithms: must be a list of texts"),
        ("keys.algorithms", ["ES256"], "keys.algorithms: must hold RS256, for clients that name"),
        ("keys.algorithms", ["RS256"], "keys.algorithms: must hold ES256, for access tokens"),
        (
            "keys.algorithms",
            ["ES256", "RS256", "HS256"],
            "keys.algorithms[2]: must be one of ES256, RS256, PS256, EdDSA, ES384, each once",
        ),
        (
            "keys.algorithms",
            ["ES256", "RS256", "ES256"],
            "keys.algorithms[2]: must be one of ES256, RS256, PS256, EdDSA, ES384, each once",
        ),
        ("keys.jwks_max_age_seconds", -1, "keys.jwks_max_age_seconds: must be 0..86400"),
        ("keys.propagation_seconds", 0, "keys.propagation_seconds: must be 1..60"),
        ("keys.rotation_seconds", 60, "keys.rotation_seconds: must be a table"),
        ("keys.rotation_seconds.ES256", -1, "keys.rotation_seconds.ES256: must be 0..34560000"),
        ("keys.rotation_seconds.HS256", 60, "keys.rotation_seconds.HS256: unknown key"),
        ("lifetimes.code_seconds", 61, "lifetimes.code_seconds: must be 1..60"),
        ("lifetimes.code_seconds", "60", "lifetimes.code_seconds: must be 1..60"),
        ("lifetimes.refresh_grace_seconds", -1, "lifetimes.refresh_grace_seconds: must be 0..300"),
        (
            "lifetimes.refresh_absolute_seconds",
            86400,
            "lifetimes.refresh_idle_seconds: must not be over refresh_absolute_seconds",
        ),
        (
            "lifetimes.session_absolute_seconds",
            86400,
            "lifetimes.session_idle_seconds: must not be over session_absolute_seconds",
        ),
        (
            "lifetimes.code_second",
            60,
            "lifetimes.code_second: unknown key (did you mean code_seconds?)",
        ),
        ("otp.digits", 4, "otp.digits: unknown key"),
        ("otp.tries", 11, "otp.tries: must be 1..10"),
        ("otp.sends_per_phone.burst", 0, "otp.sends_per_phone.burst: must be 1..1000000"),
        ("otp.sends_per_phone.period", 1, "otp.sends_per_phone.period: unknown key"),
        ("delivery", None, "delivery.providers: is required"),
        ("registration.open", "yes", "registration.open: must be true or false"),
        (
            "registration.open_policy.redirect_hosts",
            ["a.example", "*.example"],
            "registration.open_policy.redirect_hosts[1]: must be a host name in lower case",
        ),
        (
            "registration.open_policy.most_clients",
            0,
            "registration.open_policy.most_clients: must be 1..1000000",
        ),
        (
            "registration.software_statement_issuers",
            [{"issuer": "i"}],
            "registration.software_statement_issuers[i].jwks_file: is required",
        ),
        (
            "registration.software_statement_issuers",
            [{"issuer": "i", "jwks_file": "kek"}],
            "registration.software_statement_issuers[i].jwks_file: {}/kek is not a JWK Set",
        ),
        ("test_numbers", {}, "test_numbers: must be an array of tables"),
        ("mesenger", {"url": "x"}, "mesenger: unknown key"),
    ],
)
def test_a_fault_is_reported_alone_and_with_its_key(
    place: Path, key: str, value: object, fault: str
) -> None:
    found = faults(place, PRODUCTION, {key: value})
    assert len(found) == 1, found
    assert found[0].startswith(fault.replace("{}", str(place)))


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ({"env": "KEY"}, "[0].id: is required"),
        ({"id": "2026.11", "env": "KEY"}, "[2026.11].id: must be 1 to 32 letters, digits, hyphens"),
        ({"id": "a|b", "env": "KEY"}, "[a|b].id: must be 1 to 32 letters, digits, hyphens"),
        ({"id": "a" * 33, "env": "KEY"}, f"[{'a' * 33}].id: must be 1 to 32 letters, digits"),
        ({"id": 7, "env": "KEY"}, "[7].id: must be a text"),
        ({"id": "a"}, "[a]: must have exactly one of file, env, command"),
        ({"id": "a", "file": "f", "env": "E"}, "[a]: must have exactly one of file, env, command"),
        ({"id": "a", "file": "f", "command": ["c"]}, "[a]: must have exactly one of file, env, "),
        ({"id": "a", "file": 7}, "[a].file: must be a text"),
        ({"id": "a", "env": "A=B"}, "[a].env: must be the name of an environment variable"),
        ({"id": "a", "command": "vault read"}, "[a].command: must be a list of texts"),
        ({"id": "a", "command": []}, "[a].command: is required"),
        ({"id": "a", "command": [" ", "x"]}, "[a].command: must begin with a program"),
        ({"id": "a", "command": ["c\n"]}, "[a].command: must begin with a program"),
        ({"id": "a", "env": "E", "mode": "0600"}, "[a].mode: unknown key"),
    ],
)
def test_a_key_encryption_key_has_an_id_and_one_source(
    place: Path, key: Mapping[str, object], fault: str
) -> None:
    (found,) = faults(place, PRODUCTION, {"key_encryption_keys": [key]})
    assert found.startswith(f"key_encryption_keys{fault}")


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"module": None}, "module: is required"),
        ({"module": "no.so"}, "module: {}/no.so cannot be read: No such file"),
        ({"module": "."}, "module: {} cannot be read: Is a directory"),
        ({"token_label": None}, "token_label: is required"),
        ({"token_label": 1}, "token_label: must be a text"),
        ({"pin": None}, "pin: is required"),
        ({"pin": 1234}, "pin: must be a text"),
        ({"pin": {}}, "pin: must have exactly one of env, file"),
        ({"pin": {"env": "NOT_SET"}}, "pin.env: the environment variable NOT_SET is not set"),
        ({"slot": 1}, "slot: unknown key"),
    ],
)
def test_an_hsm_is_a_library_a_token_and_its_pin(
    place: Path, changed: Mapping[str, object], fault: str
) -> None:
    hsm = {"module": "kek", "token_label": "idp", "pin": "1234", **changed}
    (found,) = faults(place, PRODUCTION, {"hsm": hsm})
    assert found.startswith(f"hsm.{fault}".replace("{}", str(place)))


def test_the_ids_of_key_encryption_keys_differ(place: Path) -> None:
    keys = [{"id": "a", "env": "KEY_1"}, {"id": "b", "env": "KEY_2"}, {"id": "a", "env": "KEY_3"}]
    (found,) = faults(place, PRODUCTION, {"key_encryption_keys": keys})
    assert found == "key_encryption_keys[a].id: must not be that of another one"


@pytest.mark.parametrize(
    ("first", "last", "code", "fault"),
    [
        ("+79990000009", "+79990000000", "000000", "[0].last: must be as long as first, and not"),
        ("+7999000000", "+79990000000", "000000", "[0].last: must be as long as first, and not"),
        ("+79990000000", "+79990001000", "000000", "[0].last: must make a range of at most 1000 "),
        ("79990000000", "+79990000001", "000000", "[0].first: must be a phone number in E.164"),
        ("+79990000000", "+79990000001", "00000", "[0].code: must be 6 digits"),
        ("+79990000000", "+79990000001", "٠٠٠٠٠٠", "[0].code: must be 6 digits"),
    ],
)
def test_a_range_of_test_numbers_is_narrow_and_in_order(
    place: Path, first: str, last: str, code: str, fault: str
) -> None:
    numbers = [{"first": first, "last": last, "code": code}]
    (found,) = faults(place, PRODUCTION, {"test_numbers": numbers})
    assert found.startswith(f"test_numbers{fault}")


def test_ranges_of_test_numbers_do_not_overlap(place: Path) -> None:
    numbers = [
        {"first": "+79990000000", "last": "+79990000005", "code": "111111"},
        {"first": "+79990000005", "last": "+79990000009", "code": "222222"},
    ]
    (found,) = faults(place, PRODUCTION, {"test_numbers": numbers})
    assert found == "test_numbers[1].first: must not begin a range that overlaps another one"


def test_all_faults_are_reported_together(place: Path) -> None:
    text = """
        issuer = "http://id.example.com/?a=b#c"
        directory = 1
        colour = "red"
        [lifetimes]
        code_seconds = 600
        [otp]
        tries = "five"
        """
    found = faults(place, text)
    keys = [fault.split(": ")[0] for fault in found]
    assert sorted(keys) == [
        "colour",
        "delivery.providers",
        "directory",
        "issuer",
        "issuer",
        "issuer",
        "issuer",
        "key_encryption_keys",
        "lifetimes.code_seconds",
        "otp.tries",
    ]


@pytest.mark.parametrize(
    ("content", "what"),
    [(None, "cannot be read: No such file"), (b"a = ", "is not TOML"), (b"\xff", "is not TOML")],
)
def test_a_file_that_cannot_be_read_is_one_fault(
    tmp_path: Path, content: bytes | None, what: str
) -> None:
    path = tmp_path / "idp.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        settings.load(path)
    (fault,) = caught.value.faults
    assert fault.startswith(f"{path}: {what}")


def test_an_override_below_a_value_that_is_no_table_leaves_the_fault_to_the_file(
    place: Path,
) -> None:
    found = faults(place, "listen = 1" + PRODUCTION, {"listen.port": 8443})
    assert found == ["listen: must be a table"]


@pytest.mark.parametrize(
    ("overrides", "keys"),
    [
        ({"listen.host": "0.0.0.0"}, ["listen.host"]),  # noqa: S104
        ({"listen.host": "::"}, ["listen.host"]),
        ({"issuer": "https://id.example.com"}, ["issuer"]),
        (
            {"issuer": "https://localhost.example.com", "listen.host": "h"},
            ["issuer", "listen.host"],
        ),
    ],
)
def test_development_is_refused_beyond_loopback(
    tmp_path: Path, overrides: Mapping[str, object], keys: list[str]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings.development(directory=tmp_path, overrides=overrides)
    assert list(caught.value.faults) == [
        f"{key}: must be loopback in development mode" for key in keys
    ]


def external(*addresses: str, **changed: object) -> dict[str, object]:
    return {"topology": "external", "addresses": [*addresses], "password": "x"} | changed


@pytest.mark.parametrize(
    ("store", "fault"),
    [
        ({"topology": "external", "password": "x"}, "store.addresses: is required"),
        (external("a"), "store.addresses[0]: must be HOST:PORT"),
        (external("a:65536"), "store.addresses[0]: must be HOST:PORT"),
        (external("::1:3301"), "store.addresses[0]: must be HOST:PORT"),
        (external("a:1", topology="replicated"), "store.addresses: must be three to seven"),
        (
            external("a:1", "b:1", "a:1", topology="replicated"),
            "store.addresses[2]: must be there once",
        ),
        (external("a:1", "b:1"), "store.addresses: must be exactly one address"),
        (external("a:1", password=None), "store.password: is required"),
        (external("a:1", password={"file": "away"}), "store.password.file: {}/away cannot be"),
    ],
)
def test_a_store_elsewhere_is_named_in_full(
    place: Path, store: Mapping[str, object], fault: str
) -> None:
    (found,) = faults(place, PRODUCTION, {"store": store})
    assert found.startswith(fault.format(place))
