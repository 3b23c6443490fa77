"""What a client may say of itself (RFC 7591 2, OpenID Connect Registration 2): member by member."""

from typing import Any

import msgspec
import pytest
from joserfc.jwk import ECKey

from flows.claims import SCOPES
from flows.client_metadata import OPERATORS_MEMBERS, ClientMetadata, InvalidClientMetadata
from flows.client_validation import validate
from keys.signing import ALGORITHMS

CALLBACK = "https://shop.example.com/callback"
JWKS = {"keys": [ECKey.generate_key("P-256").as_dict(private=False)]}
PHONE_OTP = "urn:x5id:oauth:grant-type:phone-otp"
LONG = "https://shop.example.com/" + "a" * 2_000


def registered(
    members: dict[str, Any], *, development: bool = False, unknown: Any = "refused"
) -> ClientMetadata:
    given = {"redirect_uris": [CALLBACK], **members}
    return validate(given, algorithms=ALGORITHMS, development=development, unknown=unknown)


def answered(client: ClientMetadata) -> dict[str, Any]:
    """The metadata as the answer to a registration has them."""
    members: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(client.registered()))
    return members


def faults(members: dict[str, Any], **how: Any) -> dict[str, str]:
    """What is wrong, by the member that the description names; there is one fault for each."""
    with pytest.raises(InvalidClientMetadata) as caught:
        registered(members, **how)
    named = [it.partition(": ")[::2] for _, it in caught.value.faults]
    assert len(dict(named)) == len(named)
    return dict(named)


def codes(members: dict[str, Any], **how: Any) -> list[str]:
    with pytest.raises(InvalidClientMetadata) as caught:
        registered(members, **how)
    return [code for code, _ in caught.value.faults]


# Defaults


def test_who_gives_a_redirect_uri_alone_gets_the_defaults_of_the_specifications() -> None:
    assert answered(registered({})) == {
        "redirect_uris": [CALLBACK],
        "application_type": "web",
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "scope": " ".join(SCOPES),
        "subject_type": "public",
        "token_endpoint_auth_method": "client_secret_basic",
        "id_token_signed_response_alg": "RS256",
        "require_auth_time": False,
        "first_party_native": False,
        "refresh_token_policy": "offline_access",
    }


EVERYTHING: dict[str, Any] = {
    "client_name": "Shop",
    "client_name#ru": "Лавка",
    "client_name#zh-hant-tw": "商店",
    "client_uri": "https://shop.example.com/#about",
    "logo_uri": "https://shop.example.com/logo.png",
    "policy_uri": "https://shop.example.com/policy",
    "policy_uri#ru": "https://shop.example.com/ru/policy",
    "tos_uri": "https://shop.example.com/terms",
    "contacts": ["it@shop.example.com", "+7 999 000-00-00"],
    "application_type": "native",
    "redirect_uris": [CALLBACK, "http://[::1]:1/cb?a=b", "com.example.shop:/callback"],
    "post_logout_redirect_uris": ["https://shop.example.com/"],
    "initiate_login_uri": "https://shop.example.com/login",
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "scope": "openid phone",
    "subject_type": "pairwise",
    "sector_identifier_uri": "https://example.com/sector.json",
    "token_endpoint_auth_method": "private_key_jwt",
    "token_endpoint_auth_signing_alg": "ES256",
    "id_token_signed_response_alg": "ES256",
    "id_token_encrypted_response_alg": "ECDH-ES",
    "id_token_encrypted_response_enc": "A256GCM",
    "userinfo_signed_response_alg": "EdDSA",
    "userinfo_encrypted_response_alg": "ECDH-ES",
    "userinfo_encrypted_response_enc": "A128CBC-HS256",
    "jwks": JWKS,
    "default_max_age": 3_600,
    "require_auth_time": True,
    "default_acr_values": ["urn:x5id:acr:phone-otp"],
    "software_id": "shop",
    "software_version": "1.2.3",
    "first_party_native": True,
    "refresh_token_policy": "always",
}


def test_what_was_registered_is_given_back_as_it_came() -> None:
    assert answered(registered(EVERYTHING)) == EVERYTHING


def test_what_is_given_back_can_be_registered_again() -> None:
    client = registered(EVERYTHING)

    assert registered(answered(client)) == client


def test_null_is_as_good_as_left_out() -> None:
    nothing = dict.fromkeys(EVERYTHING.keys() - {"redirect_uris"})

    assert registered(nothing) == registered({})


def test_a_client_that_redirects_nobody_has_no_response_type() -> None:
    bot = {"redirect_uris": [], "grant_types": [PHONE_OTP]}

    assert answered(registered(bot))["response_types"] == []


# Bad values, member by member


NO_TEXTS: list[Any] = [7, True, [], {}, ["a"]]
NO_NAMES = [*NO_TEXTS, "a" * 101, "a\nb", "a\u202eb", " a", "a ", "\x00", "\ud800"]
NO_LISTS: list[Any] = ["a", 7, True, {}, [7], [None], [["a"]], {"a": "b"}]
NO_URIS = [
    *NO_TEXTS,
    *("", "shop", "/callback", "//shop.example.com/", "shop.example.com/callback", "https:"),
    *(
        "https://",
        "https:///a",
        "https:a",
        "https://?a",
        "https://:443/",
        "https://[/",
        "https://a b/",
    ),
    *("https://[a]/", "https://[::1%25eth0]/", "https://-a/", "https://a..b/", "https://a_b/"),
    *("https://*.example.com/", "https://a.example.com:99999/", "https://a.example.com:b/"),
    *("https://user@shop.example.com/", "https://u:p@shop.example.com/", "https://a\\@b/"),
    *(
        "https://shop.example.com/\u043f",
        "https://\u043b.example/",
        "https://a/\x00",
        " https://a/",
    ),
    *('https://a/"', "https://a/<b>", "https://a/{b}", "https://a/\n", f"https://{'a' * 64}.com/"),
    *("javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "about:blank"),
    LONG,
]
NO_WEB_URIS = [
    *NO_URIS,
    *("http://shop.example.com/", "com.example.shop:/a", "ftp://a.example.com/", "urn:a:b"),
    *("http://127.0.0.1/", "http://localhost/"),
]
NO_ALGORITHMS = [*NO_TEXTS, "", "none", "HS512", "es256", "a" * 10_000]
NO_FLAGS: list[Any] = ["true", "", 0, 1, [], {}]

BAD: dict[str, list[Any]] = {
    "client_name": NO_NAMES,
    "client_uri": NO_WEB_URIS,
    "logo_uri": NO_WEB_URIS,
    "policy_uri": NO_WEB_URIS,
    "tos_uri": NO_WEB_URIS,
    "client_name#ru": NO_NAMES,
    "client_uri#ru": NO_WEB_URIS,
    "logo_uri#ru": NO_WEB_URIS,
    "policy_uri#ru": NO_WEB_URIS,
    "tos_uri#ru": NO_WEB_URIS,
    "contacts": [*NO_LISTS, [""], ["a\u202eb"], ["a" * 101], ["a"] * 21],
    "application_type": [*NO_TEXTS, "", "Web", "desktop"],
    "redirect_uris": [*NO_LISTS, [], [CALLBACK] * 51],
    "post_logout_redirect_uris": [*NO_LISTS, ["https://a.example/#b"], [CALLBACK] * 51],
    "initiate_login_uri": NO_WEB_URIS,
    "grant_types": [
        *NO_LISTS,
        ["authorization_code", "password"],
        ["authorization_code", "implicit"],
        ["authorization_code", ""],
        ["refresh_token"],
        ["authorization_code"] * 21,
    ],
    "response_types": [*NO_LISTS, [], ["code", "token"], ["code", "code id_token"], ["code"] * 21],
    "scope": [*NO_TEXTS, "", "phone", "openid everything", "openid " * 200],
    "subject_type": [*NO_TEXTS, "", "private", "Pairwise"],
    "sector_identifier_uri": [*NO_WEB_URIS, "https://a.example/#b"],
    "token_endpoint_auth_method": [*NO_TEXTS, "", "client_secret", "tls_client_auth", "None"],
    "token_endpoint_auth_signing_alg": [*NO_ALGORITHMS, "ES256", "HS256"],
    "id_token_signed_response_alg": [*NO_ALGORITHMS, "HS256"],
    "id_token_encrypted_response_alg": NO_ALGORITHMS,
    "id_token_encrypted_response_enc": [*NO_TEXTS, "A256GCM"],
    "userinfo_signed_response_alg": [*NO_ALGORITHMS, "HS256"],
    "userinfo_encrypted_response_alg": NO_ALGORITHMS,
    "userinfo_encrypted_response_enc": [*NO_TEXTS, "A256GCM"],
    "jwks": [7, True, "a", [], {}, {"keys": {}}, {"keys": [7]}, {"keys": [{}]}, {"keys": None}],
    "jwks_uri": [*NO_WEB_URIS, "https://a.example/#b"],
    "default_max_age": ["1", 1.5, True, -1, 10**9 + 1, 10**30, [], {}],
    "require_auth_time": NO_FLAGS,
    "default_acr_values": [*NO_LISTS, [""], ["a" * 101], ["a"] * 21],
    "software_id": [*NO_NAMES, ""],
    "software_version": [*NO_NAMES, ""],
    "first_party_native": [*NO_FLAGS, True],  # of a web application
    "refresh_token_policy": [*NO_TEXTS, "", "never"],
    "resource": [*NO_TEXTS, "", "a", "/a", "https://[/", "https://a b/", "urn:a#b", LONG],
    "resources": [*NO_LISTS, [""], ["a"], ["https://a.example/#b"], [CALLBACK] * 51],
    "service_scope": [*NO_TEXTS, "orders", 'orders"', "a" * 1_001],
    "request_uris": [*NO_LISTS, ["https://shop.example.com/request.jwt"]],
    "request_object_signing_alg": [*NO_TEXTS, "none", "ES256"],
    "request_object_encryption_alg": [*NO_TEXTS, "ECDH-ES"],
    "request_object_encryption_enc": [*NO_TEXTS, "A256GCM"],
    "require_signed_request_object": [*NO_FLAGS, True],
    "frontchannel_logout_uri": NO_WEB_URIS,
    "frontchannel_logout_session_required": NO_FLAGS,
    "backchannel_logout_uri": NO_WEB_URIS,
    "backchannel_logout_session_required": NO_FLAGS,
}


def test_every_member_is_in_the_table_of_bad_values() -> None:
    members = set(ClientMetadata.__struct_fields__) - {"translations"}

    assert members <= BAD.keys()


@pytest.mark.parametrize("unknown", ["refused", "ignored"])
@pytest.mark.parametrize("member", BAD)
def test_a_bad_value_is_refused_by_the_name_of_its_member(member: str, unknown: str) -> None:
    for value in BAD[member]:
        with pytest.raises(InvalidClientMetadata) as caught:
            registered({member: value}, unknown=unknown)
        for code, description in caught.value.faults:
            assert code == "invalid_client_metadata", value
            # RFC 6749 5.2, in whose form RFC 7591 3.2.2 answers.
            assert description.isascii(), value
            assert description.isprintable(), value
            assert not set(description) & {'"', "\\"}, value
            assert len(description) <= 210, value
        told = [description for _, description in caught.value.faults]
        assert any(it.startswith((f"{member}: ", "the metadata are")) for it in told), (value, told)


NO_REDIRECT_URIS = [
    *(it for it in NO_URIS if isinstance(it, str) and it != LONG and it),
    "https://shop.example.com/#",
    "https://shop.example.com/callback#top",
]


@pytest.mark.parametrize("application_type", ["web", "native"])
@pytest.mark.parametrize("uri", NO_REDIRECT_URIS)
def test_a_bad_redirect_uri_has_an_error_of_its_own(uri: str, application_type: str) -> None:
    told = {"application_type": application_type, "redirect_uris": [CALLBACK, uri]}

    assert codes(told) == ["invalid_redirect_uri"]


@pytest.mark.parametrize(
    "uri",
    [
        "http://shop.example.com/callback",
        "http://localhost/callback",
        "http://127.0.0.1/callback",
        "com.example.shop:/callback",
        "ws://shop.example.com/",
    ],
)
def test_a_site_is_redirected_to_by_https_alone(uri: str) -> None:
    assert codes({"redirect_uris": [uri]}) == ["invalid_redirect_uri"]


@pytest.mark.parametrize(
    "uri",
    [
        "http://shop.example.com/callback",
        "http://localhost/callback",
        "http://127.0.0.1.example.com/callback",
        "http://10.0.0.1/callback",
        "shop:/callback",
        "myapp://callback",
        "intent:/callback",
    ],
)
def test_an_app_is_redirected_to_by_https_loopback_literals_and_schemes_of_its_domain(
    uri: str,
) -> None:
    assert codes({"application_type": "native", "redirect_uris": [uri]}) == ["invalid_redirect_uri"]


@pytest.mark.parametrize("host", ["localhost:8001", "127.0.0.1", "[::1]:9"])
def test_in_development_a_site_may_be_on_this_machine(host: str) -> None:
    here = dict.fromkeys(("client_uri", "jwks_uri", "initiate_login_uri"), f"http://{host}/a")

    client = registered({"redirect_uris": [f"http://{host}/cb"], **here}, development=True)

    assert client.jwks_uri == f"http://{host}/a"
    assert codes({"redirect_uris": ["http://a.example/cb"]}, development=True) == [
        "invalid_redirect_uri"
    ]


# Members together


@pytest.mark.parametrize(
    ("members", "told"),
    [
        (
            {"grant_types": [PHONE_OTP]} | {"response_types": ["code"]},
            {"response_types": "code goes with the grant type authorization_code"},
        ),
        (
            {"redirect_uris": []},
            {"redirect_uris": "is required for the grant type authorization_code"},
        ),
        (
            {"grant_types": ["refresh_token"]},
            {"grant_types": "refresh_token needs a grant type that begins a grant"},
        ),
        (
            {"grant_types": [PHONE_OTP], "token_endpoint_auth_method": "none"},
            {"token_endpoint_auth_method": "the phone grant is for confidential clients"},
        ),
        (
            {"jwks": JWKS, "jwks_uri": LONG[:50]},
            {"jwks_uri": "must not be there together with jwks"},
        ),
        (
            {"token_endpoint_auth_method": "private_key_jwt"},
            {"jwks_uri": "it or jwks is required for private_key_jwt"},
        ),
        (
            {"token_endpoint_auth_signing_alg": "HS256"},
            {"token_endpoint_auth_signing_alg": "client_secret_basic signs nothing"},
        ),
        (
            {
                "token_endpoint_auth_method": "client_secret_jwt",
                "token_endpoint_auth_signing_alg": "ES256",
            },
            {"token_endpoint_auth_signing_alg": "ES256 is not supported for client_secret_jwt"},
        ),
        (
            {
                "token_endpoint_auth_method": "private_key_jwt",
                "token_endpoint_auth_signing_alg": "HS256",
                "jwks": JWKS,
            },
            {"token_endpoint_auth_signing_alg": "HS256 is not supported for private_key_jwt"},
        ),
        (
            {
                "grant_types": [PHONE_OTP],
                "redirect_uris": [],
                "sector_identifier_uri": "https://a.example/s",
            },
            {"sector_identifier_uri": "is for redirect_uris, of which there are none"},
        ),
    ],
)
def test_members_must_agree(members: dict[str, Any], told: dict[str, str]) -> None:
    assert faults(members) == told


def test_all_faults_are_told_at_once() -> None:
    wrong = {"scope": "openid everything", "jwks": {}, "policy_uri": "ftp://a.example/"}

    assert faults(wrong).keys() == wrong.keys()


def test_encryption_may_wait_for_the_keys_that_jwks_uri_holds() -> None:
    client = registered(
        {"jwks_uri": "https://a.example/jwks", "id_token_encrypted_response_alg": "ECDH-ES"}
    )

    assert client.protection("id_token")[1:] == ("ECDH-ES", "A128CBC-HS256")


# Subjects


@pytest.mark.parametrize(
    ("redirect_uris", "sector_identifier_uri", "sector"),
    [
        (
            ["https://shop.example.com/a", "https://Shop.example.com:8443/b"],
            None,
            "shop.example.com",
        ),
        (["https://a.example/", "https://b.example/"], "https://c.example/s", "c.example"),
        (["https://a.example/"], "https://c.example:8443/s", "c.example"),
    ],
)
def test_a_sector_is_a_host(
    redirect_uris: list[str], sector_identifier_uri: str | None, sector: str
) -> None:
    client = registered(
        {
            "subject_type": "pairwise",
            "redirect_uris": redirect_uris,
            "sector_identifier_uri": sector_identifier_uri,
        }
    )

    assert client.sector == sector


@pytest.mark.parametrize(
    "redirect_uris",
    [
        ["https://a.example/", "https://b.example/"],
        ["https://a.example/", "com.example.a:/callback"],
        ["com.example.a:/callback"],
        ["com.example.a://a.example/callback"],
        ["http://127.0.0.1/callback"],
        ["http://[::1]/callback", "https://[::1]/callback"],
    ],
)
def test_redirect_uris_without_one_host_of_their_own_need_a_sector_identifier_uri(
    redirect_uris: list[str],
) -> None:
    app = {"application_type": "native", "redirect_uris": redirect_uris}
    sector = {"sector_identifier_uri": "https://c.example/s"}

    assert faults({"subject_type": "pairwise", **app}).keys() == sector.keys()
    assert registered({"subject_type": "pairwise", **app, **sector}).sector == "c.example"
    assert registered({"subject_type": "public", **app}).sector is None


# Language tags (RFC 7591 2.2)


@pytest.mark.parametrize(
    ("locale", "name"),
    [("ru", "Лавка"), ("en", "Shop (GB)"), ("de", "Shop"), ("zh", "商店"), ("fr", "Shop")],
)
def test_a_customer_reads_a_name_in_their_own_language_if_there_is_one(
    locale: str, name: str
) -> None:
    client = registered(
        {
            "client_name": "Shop",
            "client_name#RU": "Лавка",
            "client_name#en-GB": "Shop (GB)",
            "client_name#zh-Hant-TW": "商店",
            "tos_uri#fr": "https://shop.example.com/fr",
        }
    )

    assert client.in_language("client_name", locale) == name


def test_a_name_in_a_foreign_language_is_better_than_none() -> None:
    client = registered({"client_name#ru": "Лавка"})

    assert client.in_language("client_name", "en") == "Лавка"
    assert client.in_language("policy_uri", "en") is None


@pytest.mark.parametrize("tag", ["", "r", "ru_RU", "ru-", "-ru", "123", "ru#en", "рус", "a" * 60])
def test_a_language_tag_is_well_formed(tag: str) -> None:
    for unknown in ("refused", "ignored"):
        assert codes({f"client_name#{tag}": "Shop"}, unknown=unknown) == ["invalid_client_metadata"]


def test_a_language_is_there_once() -> None:
    assert codes({"client_name#ru": "Лавка", "client_name#RU": "Магазин"}) == [
        "invalid_client_metadata"
    ]


def test_languages_have_a_bound() -> None:
    names = {f"client_name#a{number}": "Shop" for number in range(51)}
    tags = {f"client_name#{chr(97 + n // 26)}{chr(97 + n % 26)}": "Shop" for n in range(50)}

    assert len(registered(tags).translations) == 50
    assert len(codes(names)) == 1


# What has no meaning here


@pytest.mark.parametrize("member", ["colour", "scope#ru", "translations", "client_secret", ""])
def test_a_member_without_a_meaning_is_ignored_or_refused_as_the_caller_says(member: str) -> None:
    assert faults({member: {}}) == {member: "is not a known member"}
    assert registered({member: {}}, unknown="ignored") == registered({})


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("refresh_token_policy", "always"),
        ("resource", "https://api.example.com/"),
        ("resources", ["https://api.example.com/"]),
    ],
)
def test_what_is_ours_to_say_is_refused_in_a_registration(member: str, value: Any) -> None:
    assert registered({member: value}).registered()[member] in (value, tuple(value))
    assert faults({member: value}, unknown="ignored") == {member: "is for our operators to set"}


def test_the_defaults_of_what_is_ours_to_say_may_be_sent_back() -> None:
    ours = {name: getattr(ClientMetadata(), name) for name in OPERATORS_MEMBERS}

    assert registered(ours, unknown="ignored") == registered({})


@pytest.mark.parametrize(
    "members",
    [
        {"frontchannel_logout_uri": "https://a.example/l"},
        {"backchannel_logout_uri": "https://a.example/l"},
        {"frontchannel_logout_session_required": True},
        {"backchannel_logout_session_required": True},
    ],
)
def test_a_wish_to_be_told_of_logouts_is_left_out_of_a_registration_and_refused_in_a_file(
    members: dict[str, Any],
) -> None:
    (member,) = members

    assert registered(members, unknown="ignored") == registered({})
    assert faults(members) == {member: "is not supported: clients are not told of a logout yet"}


def test_no_request_object_is_asked_for_by_an_empty_list() -> None:
    assert registered({"request_uris": [], "require_signed_request_object": False}) == registered(
        {}
    )


def _nested(levels: int) -> Any:
    value: Any = "a"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("value", ["a" * 70_000, _nested(20), _nested(5_000), "\ud800"])
def test_even_what_is_ignored_has_a_bound(value: Any) -> None:
    assert codes({"colour": value}, unknown="ignored") == ["invalid_client_metadata"]
