from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from conf.channels import (
    AndroidApp,
    Brand,
    ChannelEntry,
    ChannelLifetimes,
    ClientEntry,
    IosApp,
    Messages,
    Secret,
    Support,
)
from conf.channels_file import (
    DEMO_CHANNELS,
    GROUP_CHANNELS,
    ensure_secret_files,
    load_channels,
)
from conf.decoding import ConfigurationError

LOGO = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path d="M0 0h8v8z"/></svg>'
ARGON2ID = (
    "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
)
PHONE_OTP = "urn:x5id:oauth:grant-type:phone-otp"

CHANNEL = """
[[channels]]
id = "shop"
name = "The shop"
locale = "ru"
[channels.brand]
name = { ru = "Лавка", en = "Shop" }
color = "#1a7f37"
logo = "logo.svg"
terms_uri = "https://shop.example.com/terms"
privacy_uri = "https://shop.example.com/privacy"
"""
MORE = """
[channels.support]
phone = "+7 800 555-35-35"
email = "help@shop.example.com"
url = "https://shop.example.com/help"
[channels.messages]
sender = "Shop 24"
one_time_code = { ru = "{channel}: {code}", en = "{code} for {channel} at {origin}, {{really}}" }
messenger = { ru = "{code} от {channel}" }
voice = { en = "This is {channel}: {code}" }
[channels.lifetimes]
access_token_seconds = 60
refresh_idle_seconds = 1000
refresh_absolute_seconds = 1000
sign_in_seconds = 3600
[channels.android]
package_name = "com.example.shop"
sha256_cert_fingerprints = ["{fingerprint}"]
sms_retriever_hash = "FA+9qCX9VSu"
[channels.ios]
app_id = "ABCDE12345.com.example.shop"
"""
FINGERPRINT = ":".join(["0A"] * 32)
CLIENT = """
[[channels.clients]]
client_id = "shop-site"
redirect_uris = ["https://shop.example.com/callback"]
secret = { file = "shop-site" }
"""


@dataclass(frozen=True)
class Place:
    directory: Path

    @property
    def secrets(self) -> Path:
        return self.directory / "secrets"

    def write(self, text: str, name: str = "channels.toml") -> Path:
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        return path

    def faults(self, text: str, **environ: str) -> list[str]:
        """The faults of a file with this text, without the file's name."""
        path = self.write(text)
        with pytest.raises(ConfigurationError) as caught:
            load_channels([path], secrets_directory=self.secrets, environ=environ)
        found = caught.value.faults
        assert all(fault.startswith(f"{path}: ") for fault in found)
        return [fault.removeprefix(f"{path}: ") for fault in found]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "shop-site").write_text("s3cret\n")
    (tmp_path / "secrets" / "empty").write_text("\n")
    (tmp_path / "logo.svg").write_text(LOGO)
    return Place(tmp_path)


def test_a_channel_is_read_with_its_brand_and_its_clients(place: Place) -> None:
    channels = load_channels(
        [place.write(CHANNEL + CLIENT)], secrets_directory=place.secrets, environ={}
    )
    assert channels == (
        ChannelEntry(
            channel_id="shop",
            name="The shop",
            brand=Brand(
                name={"ru": "Лавка", "en": "Shop"},
                color="#1a7f37",
                logo=LOGO,
                favicon="",
                terms_uri="https://shop.example.com/terms",
                privacy_uri="https://shop.example.com/privacy",
            ),
            locale="ru",
            locales=("ru", "en"),
            clients=(
                ClientEntry(
                    client_id="shop-site",
                    metadata={"redirect_uris": ["https://shop.example.com/callback"]},
                    secrets=(Secret(clear="s3cret"),),
                ),
            ),
        ),
    )


def whole(place: Place) -> str:
    """A channel that says all that there is to say, and one client."""
    (place.directory / "favicon.svg").write_text(LOGO.replace("h8v8z", "h8v8h-8z"))
    said = CHANNEL.replace(
        'locale = "ru"', 'locale = "ru"\nscopes = ["openid", "phone"]\nclaims = ["phone_number"]'
    ).replace('logo = "logo.svg"', 'logo = "logo.svg"\nfavicon = "favicon.svg"')
    more = MORE.replace("{fingerprint}", FINGERPRINT)
    return said + more + CLIENT.replace("redirect", 'platform = "web"\nredirect')


def test_a_channel_may_say_more(place: Place) -> None:
    (channel,) = load_channels(
        [place.write(whole(place))], secrets_directory=place.secrets, environ={}
    )
    assert channel.brand.favicon == LOGO.replace("h8v8z", "h8v8h-8z")
    assert channel.support == Support(
        "+7 800 555-35-35", "help@shop.example.com", "https://shop.example.com/help"
    )
    assert channel.messages == Messages(
        "Shop 24",
        {"ru": "{channel}: {code}", "en": "{code} for {channel} at {origin}, {{really}}"},
        {"ru": "{code} от {channel}"},
        {"en": "This is {channel}: {code}"},
    )
    assert channel.lifetimes == ChannelLifetimes(60, None, 1000, 1000, 3600)
    assert (channel.scopes, channel.claims) == (("openid", "phone"), ("phone_number",))
    assert channel.android == AndroidApp("com.example.shop", (FINGERPRINT,), "FA+9qCX9VSu")
    assert channel.ios == IosApp("ABCDE12345.com.example.shop")
    assert channel.clients[0].platform == "web"


@pytest.mark.parametrize(
    ("locales", "names", "offered"),
    [
        ("", '{ ru = "Лавка", en = "Shop" }', ("ru", "en")),
        ('locales = ["ru"]', '{ ru = "Лавка" }', ("ru",)),
        ('locales = ["ru"]', '{ ru = "Лавка", en = "Shop" }', ("ru",)),
        ('locales = ["en", "ru"]', '{ ru = "Лавка", en = "Shop" }', ("ru", "en")),
    ],
)
def test_a_brand_has_a_name_in_each_locale_that_is_offered(
    place: Place, locales: str, names: str, offered: tuple[str, ...]
) -> None:
    text = CHANNEL.replace('{ ru = "Лавка", en = "Shop" }', names)
    path = place.write(text.replace('locale = "ru"', f'locale = "ru"\n{locales}') + CLIENT)
    (channel,) = load_channels([path], secrets_directory=place.secrets, environ={})
    assert channel.locales == offered
    assert set(offered) <= set(channel.brand.name)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            'locale = "ru"',
            'locale = "ru"\nlocales = ["en"]',
            "locales: must have ru, the channel's",
        ),
        ('locale = "ru"', 'locale = "ru"\nlocales = []', "locales: is required"),
        ('locale = "ru"', 'locale = "ru"\nlocales = ["ru", "de"]', "locales[1]: must be ru or en"),
        ('locale = "ru"', 'locale = "ru"\nlocales = ["ru", "ru"]', "locales[1]: is there twice"),
        ("favicon.svg", "no.svg", "brand.favicon: {}/no.svg cannot be read: No such file"),
        ("+7 800 555-35-35", "8 800 555-35-35", "support.phone: must be a phone number with its"),
        ("help@shop.example.com", "help", "support.email: must be an e-mail address"),
        ("https://shop.example.com/help", "/help", "support.url: must be an absolute https URL"),
        ('sender = "Shop 24"', 'sender = "Лавка"', "messages.sender: must be at most 11 Latin"),
        ('sender = "Shop 24"', 'sender = "A shop or two"', "messages.sender: must be at most 11"),
        ('sender = "Shop 24"', 'text = "{code}"', "messages.text: unknown key"),
        ('"{channel}: {code}"', '"{channel}"', "messages.one_time_code.ru: must have {code}"),
        (
            '"{channel}: {code}"',
            '"{code} {phone}"',
            "messages.one_time_code.ru: must have no other",
        ),
        ('"{channel}: {code}"', '"{code!r}"', "messages.one_time_code.ru: must have no other"),
        ('"{channel}: {code}"', '"{code:>9}"', "messages.one_time_code.ru: must have no other"),
        ('"{channel}: {code}"', '"{code} {0}"', "messages.one_time_code.ru: must have no other"),
        ('"{channel}: {code}"', '"{code.x}"', "messages.one_time_code.ru: must have {code}"),
        ('"{channel}: {code}"', '"{code} }"', "messages.one_time_code.ru: must write a brace"),
        ('"{channel}: {code}"', '""', "messages.one_time_code.ru: must not be empty"),
        ('ru = "{channel}', 'de = "{channel}', "messages.one_time_code.de: unknown key"),
        ('"{code} от {channel}"', '"{channel}"', "messages.messenger.ru: must have {code}"),
        ('"This is {channel}: {code}"', '"{code} {x}"', "messages.voice.en: must have no other"),
        ("VSu", "VS", "android.sms_retriever_hash: must be the 11 characters by which the SMS"),
        ("VSu", "VS=", "android.sms_retriever_hash: must be the 11 characters by which the SMS"),
        (
            "access_token_seconds = 60",
            "access_token_seconds = 0",
            "lifetimes.access_token_seconds:",
        ),
        (
            "refresh_idle_seconds = 1000",
            "refresh_idle_seconds = 1001",
            "lifetimes.refresh_idle_sec",
        ),
        ("sign_in_seconds = 3600", "sign_in = 3600", "lifetimes.sign_in: unknown key"),
        (
            "sign_in_seconds = 3600",
            "session_idle_seconds = 9",
            "lifetimes.session_idle_seconds: un",
        ),
        ('["openid", "phone"]', '["phone"]', "scopes: must have openid"),
        ('["openid", "phone"]', "[]", "scopes: is required"),
        ('["openid", "phone"]', '["openid", "a b"]', "scopes[1]: must be a scope"),
        ('["phone_number"]', '["Phone"]', "claims[0]: must be the name of a claim"),
        ('["phone_number"]', '"phone_number"', "claims: must be a list of texts"),
        ('"com.example.shop"', '"shop"', "android.package_name: must be an application ID"),
        ('["0A:', '["0a:', "android.sha256_cert_fingerprints[0]: must be a SHA-256 fingerprint"),
        (
            "sha256_cert_fingerprints",
            "fingerprints",
            "android.sha256_cert_fingerprints: is require",
        ),
        ("ABCDE12345.", "", "ios.app_id: must be an application identifier"),
        (
            'platform = "web"',
            'platform = "tv"',
            "clients[shop-site].platform: must be android, ios",
        ),
        (
            "secret = {",
            'previous_secret = "s3cret"\nsecret = {',
            "clients[shop-site].previous_secret: must be {env=...}, {file=...} or {argon2id=...}",
        ),
        (
            "secret = {",
            "previous_secret = {",
            "clients[shop-site].previous_secret: stands beside a secret, never alone",
        ),
    ],
)
def test_a_fault_of_what_a_channel_says_more_is_reported(
    place: Place, old: str, new: str, fault: str
) -> None:
    text = whole(place)
    assert old in text
    found = place.faults(text.replace(old, new, 1))
    assert found[0].startswith(f"channels[shop].{fault}".replace("{}", str(place.directory)))
    assert not any("s3cret" in it for it in found)


def test_a_support_without_any_way_to_reach_it_is_a_fault(place: Place) -> None:
    (found,) = place.faults(CHANNEL + "[channels.support]\n" + CLIENT)
    assert found == "channels[shop].support: must have a phone, an email or a url"


def test_two_secrets_are_good_while_one_takes_the_place_of_the_other(place: Place) -> None:
    previous = f'secret = {{ file = "shop-site" }}\nprevious_secret = {{ argon2id = "{ARGON2ID}" }}'
    text = CHANNEL + CLIENT.replace('secret = { file = "shop-site" }', previous)
    ((client,),) = (
        channel.clients
        for channel in load_channels(
            [place.write(text)], secrets_directory=place.secrets, environ={}
        )
    )
    assert client.secrets == (Secret(clear="s3cret"), Secret(argon2id=ARGON2ID))


@pytest.mark.parametrize(
    ("reference", "secrets"),
    [
        ('secret = { file = "shop-site" }', (Secret(clear="s3cret"),)),
        ('secret = { env = "SHOP_SECRET" }', (Secret(clear="from the environment"),)),
        (f'secret = {{ argon2id = "{ARGON2ID}" }}', (Secret(argon2id=ARGON2ID),)),
        ("", ()),
    ],
)
def test_a_secret_is_resolved_where_it_lives(
    place: Place, reference: str, secrets: tuple[Secret, ...]
) -> None:
    path = place.write(CHANNEL + CLIENT.replace('secret = { file = "shop-site" }', reference))
    environ = {"SHOP_SECRET": "from the environment"}
    ((client,),) = (
        channel.clients
        for channel in load_channels([path], secrets_directory=place.secrets, environ=environ)
    )
    assert client.secrets == secrets
    assert "s3cret" not in repr(client)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('id = "shop"', 'id = "Shop"', "channels[Shop].id: must be lower-case letters, digits and"),
        ('id = "shop"', "", "channels[0].id: is required"),
        ('name = "The shop"', "", "channels[shop].name: is required"),
        ('locale = "ru"', 'locale = "de"', "channels[shop].locale: must be ru or en"),
        ('locale = "ru"', 'locale = "ru"\nx = 1', "channels[shop].x: unknown key"),
        (', en = "Shop"', "", "channels[shop].brand.name.en: is required"),
        ("#1a7f37", "green", "channels[shop].brand.color: must be a colour such as #1a7f37"),
        ("logo.svg", "no.svg", "channels[shop].brand.logo: {}/no.svg cannot be read: No such file"),
        ("https://shop.example.com/terms", "/terms", "channels[shop].brand.terms_uri: must be an"),
        ("privacy_uri", "policy_uri", "channels[shop].brand.privacy_uri: is required"),
        ('client_id = "shop-site"', "", "channels[shop].clients[0].client_id: is required"),
        ('"shop-site"\nredirect', '"a b"\nredirect', "channels[shop].clients[a b].client_id: must"),
        ("redirect_uris", "x = 1979-05-27\nredirect_uris", "{client}.x: must be a value that JSON"),
        (
            "redirect_uris",
            "x = [{y = nan}]\nredirect_uris",
            "{client}.x: must be a value that JSON",
        ),
        ('{ file = "shop-site" }', '"s3cret"', "{client}.secret: must be {env=...}, {file=...} or"),
        ('file = "shop-site"', "", "{client}.secret: must have exactly one of env, file"),
        ('file = "shop-site"', 'file = "a", env = "b"', "{client}.secret: must have exactly one"),
        ('file = "shop-site"', 'file = "no"', "{client}.secret.file: {}/secrets/no cannot be read"),
        ('file = "shop-site"', 'file = "empty"', "{client}.secret.file: {}/secrets/empty is empty"),
        ('file = "shop-site"', 'file = "../logo.svg"', "{client}.secret.file: must be a file name"),
        ('file = "shop-site"', 'file = ".."', "{client}.secret.file: must be a file name"),
        ('file = "shop-site"', 'env = "NO"', "{client}.secret.env: the environment variable NO is"),
        ('file = "shop-site"', 'env = "BAD"', "{client}.secret: must refer to a secret of print"),
        (
            'file = "shop-site"',
            'argon2id = "s3cret"',
            "{client}.secret.argon2id: must be an argon2",
        ),
        (
            'file = "shop-site"',
            f'argon2id = "{ARGON2ID}", file = "a"',
            "{client}.secret.file: unknown key",
        ),
    ],
)
def test_a_fault_is_reported_with_file_and_key(
    place: Place, old: str, new: str, fault: str
) -> None:
    text = (CHANNEL + CLIENT).replace(old, new, 1)
    assert text != CHANNEL + CLIENT
    found = place.faults(text, BAD="naïve")
    expected = fault.replace("{client}", "channels[shop].clients[shop-site]")
    assert found[0].startswith(expected.replace("{}", str(place.directory)))
    assert not any("s3cret" in fault for fault in found)


def test_a_channel_needs_a_client(place: Place) -> None:
    (found,) = place.faults(CHANNEL)
    assert found == "channels[shop].clients: is required: a channel has at least one client"


def test_a_secret_file_needs_a_secrets_directory(place: Place) -> None:
    path = place.write(CHANNEL + CLIENT)
    with pytest.raises(ConfigurationError) as caught:
        load_channels([path], secrets_directory=None, environ={})
    (found,) = caught.value.faults
    assert "secret.file: has no secrets directory" in found


def test_an_identifier_is_taken_once_in_all_the_files(place: Place) -> None:
    first = place.write(CHANNEL + CLIENT, "first.toml")
    second = place.write(CHANNEL + CLIENT, "second.toml")
    with pytest.raises(ConfigurationError) as caught:
        load_channels([first, second], secrets_directory=place.secrets, environ={})
    assert caught.value.faults == (
        f"{second}: channels[shop].id: is taken already, in {first}",
        f"{second}: channels[shop].clients[shop-site].client_id: is taken already, in {first}",
    )


def test_the_faults_of_all_the_files_are_reported_together(place: Place) -> None:
    paths = [
        place.directory / "absent.toml",
        place.write("channels = 1", "one.toml"),
        place.write("[[channels", "two.toml"),
    ]
    with pytest.raises(ConfigurationError) as caught:
        load_channels(paths, secrets_directory=None, environ={})
    starts = [
        f"{paths[0]}: cannot be read: No such file",
        f"{paths[1]}: channels: must be an array of tables",
        f"{paths[2]}: is not TOML: ",
    ]
    assert len(caught.value.faults) == len(starts)
    for fault, start in zip(caught.value.faults, starts, strict=True):
        assert fault.startswith(start)


def test_a_logo_that_runs_something_is_a_fault(place: Place) -> None:
    (place.directory / "logo.svg").write_text(LOGO.replace("path", "script"))
    (found,) = place.faults(CHANNEL + CLIENT)
    assert found == "channels[shop].brand.logo: must not have the element script"


def test_missing_secret_files_are_made_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    directory = tmp_path / "var" / "secrets"
    made = ensure_secret_files([DEMO_CHANNELS], directory)
    assert [path.name for path in made] == ["demo", "demo-bot", "demo-rs256"]
    contents = [path.read_text() for path in made]
    assert {len(content) for content in contents} == {43}
    assert len(set(contents)) == len(contents)
    assert {path.stat().st_mode & 0o777 for path in made} == {0o600}
    assert directory.stat().st_mode & 0o777 == 0o700
    assert ensure_secret_files([DEMO_CHANNELS], directory) == ()
    assert [path.read_text() for path in made] == contents


def test_a_secret_file_is_not_made_outside_the_directory(place: Place) -> None:
    path = place.write((CHANNEL + CLIENT).replace('file = "shop-site"', 'file = "../other"'))
    assert ensure_secret_files([path], place.secrets) == ()
    assert not (place.directory / "other").exists()


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, ChannelEntry]:
    paths = [GROUP_CHANNELS, DEMO_CHANNELS]
    directory = tmp_path_factory.mktemp("secrets")
    ensure_secret_files(paths, directory)
    channels = load_channels(paths, secrets_directory=directory, environ={})
    return {channel.channel_id: channel for channel in channels}


def clients(samples: Mapping[str, ChannelEntry]) -> dict[str, ClientEntry]:
    return {client.client_id: client for it in samples.values() for client in it.clients}


def test_the_group_has_sixteen_channels_each_with_its_own_logo(
    samples: Mapping[str, ChannelEntry],
) -> None:
    assert len(samples) == 16 + 1
    assert len({channel.brand.logo for channel in samples.values()}) == 16 + 1


def test_the_sample_clients_hold_together(samples: Mapping[str, ChannelEntry]) -> None:
    for client in clients(samples).values():
        said = client.metadata
        public = said["token_endpoint_auth_method"] == "none"
        assert (client.secrets == ()) is public
        assert ("redirect_uris" in said) is (said["grant_types"] != [PHONE_OTP, "refresh_token"])
        assert (said["response_types"] == ["code"]) is ("redirect_uris" in said)
        if client.client_id != "demo-rs256":
            assert said["id_token_signed_response_alg"] == "ES256"


def test_every_kind_of_client_is_among_the_channels(samples: Mapping[str, ChannelEntry]) -> None:
    kinds = {
        (
            client.metadata.get("application_type"),
            client.metadata["token_endpoint_auth_method"],
            client.metadata.get("refresh_token_policy"),
        )
        for channel in samples.values()
        if channel.channel_id != "demo"
        for client in channel.clients
    }
    assert kinds == {
        ("native", "none", "always"),
        ("web", "client_secret_basic", "always"),
        ("web", "none", None),
        (None, "client_secret_basic", "always"),
    }


def test_the_demo_channel_is_what_the_demo_expects(samples: Mapping[str, ChannelEntry]) -> None:
    demo = {client.client_id: client.metadata for client in samples["demo"].clients}
    assert demo["demo"]["redirect_uris"] == ["http://localhost:8001/callback"]
    assert demo["demo"]["post_logout_redirect_uris"] == [
        "http://localhost:8001/",
        "http://localhost:8001/signed-out",
    ]
    assert demo["demo-native"]["application_type"] == "native"
    assert "id_token_signed_response_alg" not in demo["demo-rs256"]
    assert demo["demo-rs256"]["token_endpoint_auth_method"] == "client_secret_post"
    assert demo["demo-bot"]["grant_types"] == [PHONE_OTP, "refresh_token"]
