import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

import conf
from conf import settings
from conf.delivery import Delivery, HttpGateway, MessageProvider, Route, Step
from conf.model import OpenRegistration, Registration
from conf.settings import (
    Address,
    HsmSettings,
    KeyEncryptionKey,
    KeySettings,
    Lifetimes,
    Limit,
    Listen,
    Otp,
    Sending,
    Settings,
    StoreSettings,
)
from flows.claims import SCOPES

ANNOTATED = Path(conf.__file__).parent / "production.toml"

PRODUCTION = """
issuer = "https://id.example.com"
directory = "data"
key_encryption_keys = [{ id = "a", file = "kek" }]
delivery.providers = [
  { id = "sms", kind = "sms", url = "https://sms.example.com/send", form = { a = "{phone}{text}" } }
]
"""


def load(
    place: Path,
    text: str,
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    path = place / "idp.toml"
    path.write_text(text, encoding="utf-8")
    return settings.load(path, overrides or {}, environ=environ or {})


def test_the_smallest_production_file_is_completed_with_the_defaults(place: Path) -> None:
    assert load(place, PRODUCTION) == Settings(
        issuer="https://id.example.com",
        development=False,
        directory=place / "data",
        listen=Listen("127.0.0.1", 8000),
        workers=1,
        metrics=Address("127.0.0.1", 9464),
        trusted_proxies=(),
        ca_file=None,
        outbound_private_hosts=(),
        key_encryption_keys=(KeyEncryptionKey("a", file=place / "kek"),),
        store=StoreSettings(),
        keys=KeySettings(),
        hsm=None,
        lifetimes=Lifetimes(),
        otp=Otp(),
        sending=Sending(),
        test_numbers=(),
        registration=Registration(None, Limit(60, 3600), ()),
        interactions_per_address=Limit(6000, 3600),
        delivery=Delivery(
            (
                MessageProvider(
                    "sms",
                    "sms",
                    http=HttpGateway(
                        "https://sms.example.com/send", "POST", form={"a": "{phone}{text}"}
                    ),
                ),
            ),
            (Route("+", (Step("sms", ("sms",)),)),),
        ),
        log_format="json",
    )


def test_every_key_is_read(place: Path) -> None:
    loaded = load(
        place,
        """
        workers = 4
        trusted_proxies = ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"]
        ca_file = "ca.pem"
        outbound_private_hosts = ["jwks.internal.example", "jwks"]
        log_format = "console"
        """
        + PRODUCTION
        + """
        listen = { host = "::", port = 443, tls_cert = "cert.pem", tls_key = "key.pem" }
        metrics = { host = "10.0.0.7", port = 9100 }
        store = { memory_bytes = 67108864, call_timeout_seconds = 1 }
        [lifetimes]
        code_seconds = 1
        access_token_seconds = 2
        id_token_seconds = 3
        refresh_idle_seconds = 4
        refresh_absolute_seconds = 5
        refresh_grace_seconds = 0
        session_idle_seconds = 7
        session_absolute_seconds = 8
        interaction_seconds = 9
        [otp]
        validity_seconds = 10
        tries = 3
        resend_after_seconds = 0
        sends_per_phone = { burst = 1, period_seconds = 11 }
        sends_per_address = { burst = 2, period_seconds = 12 }
        sends_per_client = { burst = 4, period_seconds = 14 }
        sends_per_prefix = { burst = 5, period_seconds = 15 }
        sends_per_device = { burst = 6, period_seconds = 16 }
        wrong_tries_per_phone = { burst = 3 }
        wrong_tries_per_address = { burst = 7, period_seconds = 17 }
        wrong_tries_per_client = { burst = 8, period_seconds = 18 }
        length = 8
        [sending]
        countries = ["RU", "KZ"]
        mobile_only = false
        client_budget = 9
        provider_budget = 10
        lowest_conversion = 0.25
        hold_seconds = 19
        proof_of_work_bits = 20
        [[test_numbers]]
        first = "+79990000000"
        last = "+79990000009"
        code = "12345678"
        """,
    )
    assert loaded.listen == Listen("::", 443, place / "cert.pem", place / "key.pem")
    assert loaded.metrics == Address("10.0.0.7", 9100)
    assert loaded.workers == 4
    assert loaded.trusted_proxies == ("10.0.0.0/8", "192.0.2.1", "2001:db8::/32")
    assert loaded.ca_file == place / "ca.pem"
    assert loaded.outbound_private_hosts == ("jwks.internal.example", "jwks")
    assert loaded.log_format == "console"
    assert loaded.store == StoreSettings("child", 67108864, 1.0)
    assert loaded.lifetimes == Lifetimes(1, 2, 3, 4, 5, 0, 7, 8, 9)
    assert loaded.otp == Otp(
        length=8,
        validity=10,
        tries=3,
        resend_after=0,
        sends_per_phone=Limit(1, 11),
        sends_per_address=Limit(2, 12),
        sends_per_client=Limit(4, 14),
        sends_per_prefix=Limit(5, 15),
        sends_per_device=Limit(6, 16),
        wrong_tries_per_phone=Limit(3, 3600),
        wrong_tries_per_address=Limit(7, 17),
        wrong_tries_per_client=Limit(8, 18),
    )
    assert loaded.sending == Sending(("RU", "KZ"), False, 9, 10, 0.25, 19, 20)  # noqa: FBT003
    assert loaded.test_numbers == (settings.TestNumbers(79990000000, 79990000009, "12345678"),)


def test_an_override_replaces_the_value_in_the_file(place: Path) -> None:
    loaded = load(
        place, "workers = 2" + PRODUCTION, {"workers": 3, "lifetimes.refresh_grace_seconds": 0}
    )
    assert loaded.workers == 3
    assert loaded.lifetimes == Lifetimes(refresh_grace=0)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "[::1]"])
def test_production_lets_http_pass_for_a_loopback_issuer(place: Path, host: str) -> None:
    assert not load(place, PRODUCTION, {"issuer": f"http://{host}:8000"}).https
    assert load(place, PRODUCTION).https


def test_production_without_a_message_provider_needs_test_numbers(place: Path) -> None:
    numbers = [{"first": "+79990000000", "last": "+79990000000", "code": "000000"}]
    loaded = load(place, PRODUCTION, {"test_numbers": numbers, "delivery": None})
    assert loaded.delivery == Delivery()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_development_is_plain_http_on_loopback_with_a_hundred_test_numbers(
    tmp_path: Path, host: str
) -> None:
    made = settings.development(directory=tmp_path, host=host, port=8765, workers=2)
    assert made.development
    assert made.issuer == f"http://{f'[{host}]' if host == '::1' else host}:8765"
    assert made.listen == Listen(host, 8765)
    assert made.workers == 2
    assert made.log_format == "console"
    assert made.delivery.reaches("+79161234567")
    assert made.key_encryption_keys == (
        KeyEncryptionKey("development", file=tmp_path / "key-encryption-key"),
    )
    assert made.test_numbers == (settings.TestNumbers(79990000000, 79990000099, "000000"),)


def test_anybody_registers_in_development_and_nobody_without_a_token_in_production(
    place: Path,
) -> None:
    opened = settings.development(directory=place).registration.open
    assert opened == OpenRegistration()
    assert set(opened.scopes) == set(SCOPES)
    closed = settings.development(directory=place, overrides={"registration.open": False})
    assert closed.registration.open is None
    assert load(place, PRODUCTION, {"registration.open": True}).registration.open == opened


def test_what_open_registration_allows_is_read(place: Path) -> None:
    policy = {
        "scopes": ["openid"],
        "grant_types": ["authorization_code"],
        "redirect_hosts": ["partner.example", "127.0.0.1"],
        "most_clients": 7,
    }
    limit = {"burst": 2, "period_seconds": 3}
    registration = {"open": True, "open_policy": policy, "attempts_per_address": limit}
    loaded = load(place, PRODUCTION, {"registration": registration}).registration
    assert loaded.attempts_per_address == Limit(2, 3)
    assert loaded.open == OpenRegistration(
        ("openid",), ("authorization_code",), ("partner.example", "127.0.0.1"), 7
    )


@pytest.mark.parametrize("password", ["word", {"file": "store-password"}, {"env": "STORE"}])
def test_a_store_elsewhere_is_read(place: Path, password: object) -> None:
    (place / "store-password").write_text("word\n")
    store = {"topology": "external", "addresses": ["[::1]:3301"], "password": password}
    loaded = load(place, PRODUCTION, {"store": store}, environ={"STORE": "word"})
    assert loaded.store == StoreSettings(
        topology="external", addresses=(Address("::1", 3301),), password="word"
    )
    assert Settings.from_json(loaded.to_json()) == loaded
    assert "word'" not in repr(loaded)


def test_a_request_outlasts_a_failover_of_a_replicated_store(place: Path) -> None:
    addresses = ["a:3301", "10.0.0.2:3301", "c.example:3302"]
    store = {"topology": "replicated", "addresses": addresses, "password": "word", "user": "web"}
    loaded = load(place, PRODUCTION, {"store": store}).store
    assert loaded.addresses == (
        Address("a", 3301),
        Address("10.0.0.2", 3301),
        Address("c.example", 3302),
    )
    assert (loaded.call_timeout, loaded.user) == (4.5, "web")


def test_the_keys_of_software_statements_are_read(place: Path) -> None:
    jwks = {"keys": [{"kty": "EC", "crv": "P-256", "x": "a", "y": "b"}]}
    (place / "jwks").write_text(json.dumps(jwks))
    issuers = [{"issuer": "https://directory.example", "jwks_file": "jwks"}]
    loaded = load(place, PRODUCTION, {"registration.software_statement_issuers": issuers})
    (issuer,) = loaded.registration.software_statement_issuers
    assert (issuer.issuer, issuer.jwks) == ("https://directory.example", jwks)
    assert Settings.from_json(loaded.to_json()) == loaded


@pytest.mark.parametrize("pin", ["1234", {"file": "pin"}, {"env": "HSM_PIN"}])
def test_the_pin_of_the_hsm_is_in_clear_or_elsewhere(place: Path, pin: object) -> None:
    (place / "module.so").touch()
    (place / "pin").write_text("1234\n")
    hsm = {"module": "module.so", "token_label": "our token", "pin": pin}
    loaded = load(place, PRODUCTION, {"hsm": hsm}, environ={"HSM_PIN": "1234"})
    assert loaded.hsm == HsmSettings(place / "module.so", "our token", "1234")
    assert Settings.from_json(loaded.to_json()) == loaded


def test_every_source_of_a_key_encryption_key_is_read(place: Path) -> None:
    keys = [
        {"id": "2026-11", "command": ["vault", "read", "-field=key", ""]},
        {"id": "a" * 32, "env": "IDP_KEY_2"},
        {"id": "Old_1", "file": "kek"},
    ]
    loaded = load(place, PRODUCTION, {"key_encryption_keys": keys})
    assert loaded.key_encryption_keys == (
        KeyEncryptionKey("2026-11", command=("vault", "read", "-field=key", "")),
        KeyEncryptionKey("a" * 32, env="IDP_KEY_2"),
        KeyEncryptionKey("Old_1", file=place / "kek"),
    )


def test_keys_rotate_by_algorithm(place: Path) -> None:
    given = {
        "algorithms": ["RS256", "ES256"],
        "jwks_max_age_seconds": 60,
        "rotation_seconds": {"ES256": 86_400, "RS256": 0},
    }
    keys = load(place, PRODUCTION, {"keys": given}).keys

    assert keys.algorithms == ("RS256", "ES256")
    assert keys.jwks_max_age == 60
    assert keys.rotation["ES256"] == 86_400
    assert keys.rotation["RS256"] == 0
    assert keys.rotation["ECDH-ES"] == KeySettings().rotation["ECDH-ES"]


def test_development_may_have_key_encryption_keys_of_its_own(tmp_path: Path) -> None:
    keys = [{"id": "a", "env": "IDP_KEY"}]
    made = settings.development(directory=tmp_path, overrides={"key_encryption_keys": keys})
    assert made.key_encryption_keys == (KeyEncryptionKey("a", env="IDP_KEY"),)


def test_development_takes_overrides_and_makes_its_directory_absolute() -> None:
    made = settings.development(directory=Path("var"), overrides={"otp.tries": 2})
    assert made.directory == Path.cwd() / "var"
    assert made.otp == Otp(tries=2)


def test_a_load_test_may_have_many_test_numbers_in_development(tmp_path: Path) -> None:
    numbers = [{"first": "+79990000000", "last": "+79990999999", "code": "000000"}]
    made = settings.development(directory=tmp_path, overrides={"test_numbers": numbers})
    assert made.is_test_number("+79990999999")


@pytest.mark.parametrize(
    ("phone", "found"),
    [
        ("+79990000000", True),
        ("+79990000099", True),
        ("+79990000100", False),
        ("+79989999999", False),
        ("79990000000", False),
        ("+079990000000", False),
        ("+7999000000٠", False),
        ("+79990000000\n", False),
        ("", False),
    ],
)
def test_a_test_number_is_recognised_by_its_e164_form_alone(
    tmp_path: Path, phone: str, *, found: bool
) -> None:
    made = settings.development(directory=tmp_path)
    assert (made.is_test_number(phone) == made.test_numbers[0]) is found


def test_the_settings_survive_the_way_to_a_worker(place: Path) -> None:
    loaded = load(
        place,
        "listen = { tls_cert = 'cert.pem', tls_key = 'key.pem' }" + PRODUCTION,
        {
            "ca_file": "ca.pem",
            "key_encryption_keys": [
                {"id": "a", "file": "kek"},
                {"id": "b", "env": "IDP_KEY"},
                {"id": "c", "command": ["cat", "key"]},
            ],
        },
    )
    assert Settings.from_json(loaded.to_json()) == loaded


def test_a_secret_is_not_shown_by_repr(place: Path) -> None:
    hsm = {"module": "kek", "token_label": "idp", "pin": "735190"}
    loaded = load(place, PRODUCTION, {"hsm": hsm})
    assert "735190" in loaded.to_json()
    assert "735190" not in repr(loaded)


def test_the_socket_lies_in_the_directory(tmp_path: Path) -> None:
    made = settings.development(directory=tmp_path)
    assert made.socket_path == tmp_path / "store" / "tarantool.sock"


def test_the_annotated_production_file_tells_the_true_defaults(place: Path) -> None:
    text = ANNOTATED.read_text(encoding="utf-8")
    # A default is a commented line; with the marks gone the file must say the same as without.
    uncommented = re.sub(r"(?m)^# (?=\w+ = |\[\[)", "", text)
    files: dict[str, object] = {
        "key_encryption_keys": [{"id": "a", "file": "kek"}],
        "listen.tls_cert": "cert.pem",
        "listen.tls_key": "key.pem",
    }
    text, uncommented = (
        re.sub(r'file = "/etc/idp/sms-\w+"', 'file = "token"', it) for it in (text, uncommented)
    )
    examples: dict[str, object] = {
        "ca_file": "ca.pem",
        "hsm": None,
        "store.password": None,
        "test_numbers": [],
        "registration.software_statement_issuers": [],
    }
    told = load(place, uncommented, files | examples)
    annotated = load(place, text, files | examples)
    assert told.delivery.providers[0] == annotated.delivery.providers[0]
    assert replace(told, delivery=annotated.delivery) == annotated
    assert (told.lifetimes, told.otp) == (Lifetimes(), Otp())
    assert set(tomllib.loads(uncommented)) == set(Settings.__dataclass_fields__)
