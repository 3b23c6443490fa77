"""`idp channels`: compared, applied, refused where it breaks what runs, told of and undone."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conf.channels_file import DEMO_CHANNELS
from conf.settings import development
from idp.commands.operating import with_store
from storage.child import PrivateTarantool
from tests.idp.conftest import Run
from tests.storage.builders import Owner

FINGERPRINT = ":".join(["0A"] * 32)
OTHER_FINGERPRINT = ":".join(["0B"] * 32)
KEY = '{ kty = "EC", crv = "P-256", kid = "%s", x = "%s", y = "%s" }'
ONE = KEY % (
    "one",
    "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
)
TWO = KEY % (
    "two",
    "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
)
CHANNELS = f"""
[[channels]]
id = "shop"
name = "Shop"
locale = "en"
scopes = ["openid", "profile", "phone", "email"]
[channels.brand]
name = {{ ru = "Лавка", en = "Shop" }}
color = "#1a7f37"
logo = "{DEMO_CHANNELS.parent}/logos/demo.svg"
terms_uri = "https://shop.example.com/terms"
privacy_uri = "https://shop.example.com/privacy"
[channels.android]
package_name = "com.example.shop"
sha256_cert_fingerprints = ["{FINGERPRINT}", "{OTHER_FINGERPRINT}"]
[channels.ios]
app_id = "ABCDE12345.com.example.shop"

[[channels.clients]]
client_id = "shop-site"
secret = {{ env = "SHOP" }}
redirect_uris = ["https://shop.example.com/a", "https://shop.example.com/b"]
post_logout_redirect_uris = ["https://shop.example.com/", "https://shop.example.com/bye"]
grant_types = ["authorization_code", "refresh_token"]
scope = "openid profile phone"
id_token_signed_response_alg = "ES256"
refresh_token_policy = "always"
resources = ["https://api.example.com/a", "https://api.example.com/b"]
jwks = {{ keys = [{ONE}, {TWO}] }}

[[channels.clients]]
client_id = "shop-app"
application_type = "native"
token_endpoint_auth_method = "none"
redirect_uris = ["com.example.shop:/callback"]
"""
APP = CHANNELS[CHANNELS.rindex("[[channels.clients]]") :]
OTHER_CHANNEL = CHANNELS[: CHANNELS.index("[[channels.clients]]")].replace("shop", "other")


class Shop:
    """An installation whose store runs alone, and its channels file."""

    def __init__(self, directory: Path, run: Run) -> None:
        self.directory = directory / "var"
        self.file = directory / "channels.toml"
        self._run = run

    def run(self, command: str, *arguments: object) -> tuple[int, str, str]:
        """A command of `idp channels`."""
        return self._run("channels", command, *arguments, "--directory", self.directory)

    def write(self, text: str) -> None:
        """Make this the channels file."""
        self.file.write_text(text, encoding="utf-8")

    def change(self, old: str, new: str) -> None:
        """Change the channels file in one place."""
        text = self.file.read_text(encoding="utf-8")
        assert text.count(old) >= 1
        self.write(text.replace(old, new, 1))

    def plan(self) -> tuple[int, dict[str, Any]]:
        """The exit code of a plan, and what it says."""
        code, out, err = self.run("plan", self.file, "--json")
        assert err == ""
        return code, json.loads(out)

    def apply(self, *options: str) -> dict[str, Any]:
        """What applying the file says, which must succeed."""
        said: dict[str, Any] = self.done("apply", self.file, *options)
        return said

    def done(self, command: str, *arguments: object) -> Any:
        """What a command says, which must succeed."""
        code, out, err = self.run(command, *arguments, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)

    def client(self, client_id: str = "shop-site") -> dict[str, Any]:
        """A client as the store has it."""
        clients: list[dict[str, Any]] = self.done("show", "shop")["clients"]
        return {it["client_id"]: it for it in clients}[client_id]


@pytest.fixture
def empty(directory: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """Nothing was applied yet."""
    for name in ("SHOP", "OLD", "NEW"):
        monkeypatch.setenv(name, f"the secret {name}")
    store = PrivateTarantool(directory / "var" / "store", 2**26)
    store.start()
    made = Shop(directory, run)
    made.write(CHANNELS)
    yield made
    store.stop()


@pytest.fixture
def shop(empty: Shop) -> Shop:
    """A shop that was applied."""
    assert empty.apply()["revision"] == 1
    return empty


def test_a_plan_says_what_would_change_and_changes_nothing(empty: Shop) -> None:
    code, plan = empty.plan()
    assert code == 2
    assert [(it["what"], it["kind"], it["id"]) for it in plan["differences"]] == [
        ("added", "channel", "shop"),
        ("added", "client", "shop-site"),
        ("added", "client", "shop-app"),
    ]
    assert plan["objections"] == []
    assert empty.done("history") == []
    assert empty.run("plan", empty.file)[1].splitlines()[0] == "+ channel shop"


def test_what_was_applied_is_what_the_file_says(shop: Shop) -> None:
    assert shop.plan() == (0, {"differences": [], "objections": []})
    assert shop.run("plan", shop.file)[:2] == (0, "nothing to change\n")
    assert shop.apply() == {"revision": None, "differences": [], "objections": []}
    assert shop.run("apply", shop.file)[1] == "nothing to change\n"
    assert len(shop.done("history")) == 1


def test_a_plan_of_a_file_with_faults_is_a_failure(shop: Shop) -> None:
    shop.change('color = "#1a7f37"', 'color = "green"')
    code, out, err = shop.run("plan", shop.file)
    assert (code, out) == (1, "")
    assert "channels[shop].brand.color: must be a colour" in err


def test_differences_are_told_member_by_member(shop: Shop) -> None:
    shop.change("#1a7f37", "#1a7f38")
    shop.change('"https://shop.example.com/a", ', '"https://shop.example.com/c", ')
    shop.change('name = "Shop"', 'name = "The shop"')
    shop.change('scope = "openid profile phone"', 'scope = "openid profile phone email"')
    code, out, _ = shop.run("plan", shop.file)
    assert code == 2
    assert out.splitlines() == [
        "~ channel shop",
        "    ~ color: #1a7f37 -> #1a7f38",
        "    ~ title: Shop -> The shop",
        "~ client shop-site of shop",
        "    - redirect_uris: https://shop.example.com/a",
        "    + redirect_uris: https://shop.example.com/c",
        "    + scope: email",
        "",
        "refused without --force:",
        "! client shop-site: sign-ins that come back to https://shop.example.com/a are refused",
    ]


ADDITIVE = {
    "a redirect URI": ('"https://shop.example.com/b"]', '"https://shop.example.com/b", "https://x"]'),
    "a scope": ('"openid profile phone"', '"openid profile phone email"'),
    "an address after logout": ('.com/bye"]', '.com/bye", "https://shop.example.com/c"]'),
    "a client": (APP, APP.replace("shop-app", "third") + APP),
    "a second secret": ('env = "SHOP" }', 'env = "NEW" }\nprevious_secret = { env = "SHOP" }'),
    "colours and names": ("#1a7f37", "#123456"),
    "shorter lifetimes": ('locale = "en"', 'locale = "en"\nlifetimes = { id_token_seconds = 9 }'),
    "a wider channel": ('"email"]', '"email", "address"]'),
    "a platform": ('application_type = "native"', 'application_type = "native"\nplatform = "ios"'),
}  # fmt: skip


@pytest.mark.parametrize("what", ADDITIVE)
def test_what_only_adds_passes_without_force(shop: Shop, what: str) -> None:
    shop.change(*ADDITIVE[what])
    code, plan = shop.plan()
    assert (code, plan["objections"]) == (2, [])
    assert shop.apply()["revision"] == 2
    assert shop.plan()[0] == 0


BREAKING = {
    "a redirect URI": (
        '"https://shop.example.com/a", ',
        "",
        "client shop-site: sign-ins that come back to https://shop.example.com/a are refused",
    ),
    "an address after logout": (
        ', "https://shop.example.com/bye"',
        "",
        "client shop-site: signing out does not come back to https://shop.example.com/bye any more",
    ),
    "a grant type": (
        '"authorization_code", "refresh_token"',
        '"authorization_code"',
        "client shop-site: its requests with the grant type refresh_token are refused",
    ),
    "a scope": (
        '"openid profile phone"',
        '"openid profile"',
        "client shop-site: its requests for the scope phone are refused",
    ),
    "the authentication method": (
        "secret = {",
        'token_endpoint_auth_method = "client_secret_post"\nsecret = {',
        "client shop-site: the client has to change at the very moment when client_secret_basic",
    ),
    "a signing algorithm": (
        'id_token_signed_response_alg = "ES256"',
        "",
        "client shop-site: the client has to change at the very moment when ES256 becomes RS256",
    ),
    "an encryption": (
        "jwks =",
        'userinfo_encrypted_response_alg = "ECDH-ES"\njwks =',
        "client shop-site: the client has to change at the very moment when nothing becomes",
    ),
    "a resource": (
        'resources = ["https://api.example.com/a", "https://api.example.com/b"]',
        'resources = ["https://api.example.com/a"]',
        "client shop-site: it gets no tokens for https://api.example.com/b any more",
    ),
    "a key": (f"[{ONE}, {TWO}]", f"[{ONE}]", "client shop-site: what it proves with its key two ("),
    "refresh tokens": (
        'refresh_token_policy = "always"',
        "",
        "client shop-site: refresh tokens are no longer issued without offline_access",
    ),
    "the kind of subjects": (
        "jwks =",
        'subject_type = "pairwise"\njwks =',
        "client shop-site: its customers come under other names: public subjects become pairwise",
    ),
    "a secret": (
        'env = "SHOP"',
        'env = "NEW"',
        "client shop-site: its secret is taken away at once",
    ),
    "a client": (APP, "", "client shop-app: nobody can sign in with it any more"),
    "a scope of the channel": (
        '"phone", "email"]',
        '"phone"]',
        "channel shop: no client of it may ask for the scope email any more",
    ),
    "claims of the channel": (
        'locale = "en"',
        'locale = "en"\nclaims = ["name"]',
        "channel shop: no client of it learns given_name any more",
    ),
    "a certificate": (
        f', "{OTHER_FINGERPRINT}"',
        "",
        f"channel shop: the app signed with {OTHER_FINGERPRINT} opens its links no more",
    ),
    "an app": (
        "ABCDE12345.com.example.shop",
        "ABCDE12345.com.example.other",
        "channel shop: ABCDE12345.com.example.shop opens its links and keeps its customers'",
    ),
}


@pytest.mark.parametrize("what", BREAKING)
def test_what_breaks_running_clients_is_refused_without_force(shop: Shop, what: str) -> None:
    old, new, told = BREAKING[what]
    shop.change(old, new)
    before = shop.done("show", "shop")

    code, out, err = shop.run("apply", shop.file)

    assert (code, out) == (1, "")
    lines = err.splitlines()
    assert any(line.startswith(f"idp: {told}") for line in lines)
    assert lines[-1].startswith("idp: nothing was changed; repeat the command with --force")
    assert shop.done("show", "shop") == before
    code, plan = shop.plan()
    assert code == 2
    assert any(it.startswith(told) for it in plan["objections"])
    assert shop.apply("--force", "--reason", "the old site is shut")["revision"] == 2
    assert shop.plan()[0] == 0
    latest = shop.done("history")[0]
    assert (latest["forced"], latest["reason"]) == (True, "the old site is shut")


def test_force_needs_a_reason(shop: Shop) -> None:
    shop.change(APP, "")
    for reason in ([], ["--reason", "  "]):
        code, _, err = shop.run("apply", shop.file, "--force", *reason)
        assert code == 2
        assert "--force needs --reason" in err
    assert len(shop.done("history")) == 1


def test_force_that_was_not_needed_is_not_noted(shop: Shop) -> None:
    shop.change("#1a7f37", "#123456")
    shop.apply("--force", "--reason", "just in case")
    assert shop.done("history")[0]["forced"] is False


def test_two_secrets_are_good_until_the_file_has_one_of_them(shop: Shop) -> None:
    first = shop.client()["secrets"]
    shop.change('env = "SHOP" }', 'env = "NEW" }\nprevious_secret = { env = "SHOP" }')
    shop.apply()
    both = shop.client()["secrets"]
    assert both[1:] == first
    shop.change('\nprevious_secret = { env = "SHOP" }', "")
    assert shop.plan()[1]["objections"] == []
    shop.apply()
    assert shop.client()["secrets"] == both[:1]


def test_a_client_moves_between_channels_of_the_files(shop: Shop) -> None:
    text = CHANNELS.replace(APP, "") + OTHER_CHANNEL + APP
    shop.write(text)
    code, out, _ = shop.run("plan", shop.file)
    assert code == 2
    assert "~ client shop-app of other\n    ~ channel: shop -> other" in out
    # Another channel may allow it less, and gives it another name.
    assert "! client shop-app: it belongs to the channel shop so far, and would to other" in out


def test_a_channel_that_begins_to_name_its_scopes_takes_the_others_away(shop: Shop) -> None:
    scopes = 'scopes = ["openid", "profile", "phone", "email"]\n'
    shop.change(scopes, "")
    shop.apply()
    shop.change('locale = "en"\n', f'locale = "en"\n{scopes}')
    objections = shop.plan()[1]["objections"]
    assert any("no client of it may ask for the scope address" in it for it in objections)


def test_a_removed_client_that_is_made_anew_has_nothing_of_before(shop: Shop) -> None:
    settings = development(directory=shop.directory)
    before = with_store(settings, lambda store: store.revocation_epoch())
    # A client of a new name has nothing that would have to end, and refreshes look at each row.
    assert before == 0

    shop.change(APP, "")
    shop.apply("--force", "--reason", "it was compromised")
    assert with_store(settings, lambda store: store.revocation_epoch()) == before + 1

    shop.write(CHANNELS)
    shop.apply()
    # What a worker that had not heard of the removal gave meanwhile ends, too.
    assert with_store(settings, lambda store: store.revocation_epoch()) == before + 2


def test_a_channel_that_no_file_mentions_stays(shop: Shop) -> None:
    shop.write(OTHER_CHANNEL + APP.replace("shop-app", "other-app"))
    shop.apply()
    assert [it["channel_id"] for it in shop.done("show")] == ["other", "shop"]
    assert [it["client_id"] for it in shop.done("show", "shop")["clients"]] == (
        ["shop-app", "shop-site"]
    )


def test_what_one_has_done_can_be_undone_and_done_again(shop: Shop) -> None:
    before = shop.done("show", "shop")
    shop.change("#1a7f37", "#123456")
    shop.change('"openid profile phone"', '"openid profile phone email"')
    shop.apply("--reason", "a new look")
    after = shop.done("show", "shop")

    code, _, err = shop.run("undo")
    assert (code, "its requests for the scope email are refused" in err) == (1, True)
    undone = shop.done("undo", "--force", "--reason", "an ugly look")

    assert undone["revision"] == 3
    assert shop.done("show", "shop") == before
    assert shop.done("history", 3)["undoes"] == 2
    assert shop.done("undo")["revision"] == 4
    assert shop.done("show", "shop") == after


def test_the_first_application_can_be_undone(shop: Shop) -> None:
    code, _, err = shop.run("undo", 1)
    assert code == 1
    assert "channel shop: its clients lose what they look like" in err
    assert "client shop-site: nobody can sign in with it any more" in err
    shop.done("undo", 1, "--force", "--reason", "a mistake")
    assert shop.done("show") == []
    shop.apply()
    assert len(shop.done("show", "shop")["clients"]) == 2


def test_undoing_what_has_changed_since_is_refused_without_force(shop: Shop) -> None:
    shop.change("#1a7f37", "#111111")
    shop.apply()
    shop.change("#111111", "#222222")
    shop.apply()
    code, _, err = shop.run("undo", 2)
    assert code == 1
    assert "channel shop: it has changed since revision 2, which would be lost" in err
    shop.done("undo", 2, "--force", "--reason", "really")
    assert shop.done("show", "shop")["color"] == "#1a7f37"


def test_a_channel_with_a_client_of_somebody_else_does_not_go(shop: Shop) -> None:
    shop.write(CHANNELS + APP.replace("shop-app", "third"))
    shop.apply()
    code, _, err = shop.run("undo", 1, "--force", "--reason", "all of it")
    assert (code, err) == (1, "idp: third: would be left without its channel\n")
    assert len(shop.done("show", "shop")["clients"]) == 3


def test_there_is_nothing_to_undo_at_first(empty: Shop) -> None:
    assert empty.run("undo")[::2] == (1, "idp: there is no revision yet\n")
    assert empty.run("undo", 7)[::2] == (1, "idp: there is no revision 7 (any more)\n")
    assert empty.run("history", 7)[::2] == (1, "idp: there is no revision 7 (any more)\n")
    assert empty.run("show", "shop")[::2] == (1, "idp: there is no channel shop\n")


def test_history_tells_who_when_why_and_what(shop: Shop) -> None:
    shop.change("#1a7f37", "#123456")
    shop.apply("--reason", "a new look")
    shop.write(OTHER_CHANNEL + APP.replace("shop-app", "other-app"))
    shop.apply()
    third, second, first = shop.done("history")
    assert [it["id"] for it in third["changed"]] == ["other", "other-app"]
    assert second["reason"] == "a new look"
    assert re.fullmatch(r".+@.+", second["by"])
    assert second["at"] >= first["at"]
    assert [it["revision"] for it in shop.done("history", "--channel", "shop")] == [2, 1]
    told = shop.run("history", 2)[1]
    assert "reason: a new look" in told
    assert "    ~ color: #1a7f37 -> #123456" in told
    listed = shop.run("history")[1].splitlines()
    assert listed[0].split() == ["REVISION", "AT", "(UTC)", "BY", "WHAT", "WHY"]
    assert "+other +other-app" in listed[1]


def test_nothing_tells_a_secret_or_its_hash(shop: Shop) -> None:
    shop.change('env = "SHOP" }', 'env = "NEW" }\nprevious_secret = { env = "SHOP" }')
    outputs = [
        shop.run("plan", shop.file),
        shop.run("apply", shop.file),
        *(shop.run("history", 2, *how) for how in ((), ("--json",))),
        *(shop.run("show", "shop", *how) for how in ((), ("--json",))),
    ]
    for _, out, _ in outputs:
        assert "the secret" not in out
        assert "$argon2id$" not in out
    kept = asyncio.run(_revisions(shop.directory / "store"))
    assert "$argon2id$" in kept or "sha256" in kept
    assert "the secret" not in kept


async def _revisions(store: Path) -> str:
    """All that the store keeps of revisions."""
    owner = await Owner.connect(store)
    try:
        return str(
            await owner.eval("return require('json').encode(box.space.channel_change:select())")
        )
    finally:
        await owner.close()


def test_a_text_of_more_than_one_message_is_warned_of(shop: Shop) -> None:
    long = "{channel}: " + "x" * 160 + " {code}"
    shop.change(
        "[channels.android]",
        f'[channels.messages]\none_time_code = {{ en = "{long}" }}\n[channels.android]',
    )
    code, _, err = shop.run("plan", shop.file)
    assert code == 2
    assert re.fullmatch(
        r"idp: warning: shop: messages.one_time_code.en is, with its last line, \d+ characters too "
        r"long for one SMS and paid for as 2\n",
        err,
    )


def test_a_standard_text_that_a_long_name_makes_too_long_is_warned_of(shop: Shop) -> None:
    name = "Лавка на углу у старого вокзала"
    shop.change('ru = "Лавка"', f'ru = "{name}"')
    _, _, err = shop.run("plan", shop.file)
    line = "\n\n@127.0.0.1 #000000"
    excess = len(f"{name}: 000000. Никому не говорите{line}") - 70
    assert err == (
        "idp: warning: shop: the standard text in place of messages.one_time_code.ru is, with its "
        f"last line, {excess} characters too long for one SMS and paid for as 2\n"
    )


def test_a_lifetime_that_is_longer_than_the_installations_is_warned_of(shop: Shop) -> None:
    shop.change('locale = "en"', 'locale = "en"\nlifetimes = { access_token_seconds = 301 }')
    code, _, err = shop.run("plan", shop.file)
    assert code == 2
    assert err == (
        "idp: warning: shop: lifetimes.access_token_seconds is over the installation's, "
        "which is 300 and counts\n"
    )


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            '"openid profile phone"',
            '"openid address"',
            "shop-site: scope: address is not among the",
        ),
        ('"phone", "email"]', '"phone"]\nclaims = ["shoe_size"]', "shop: claims: shoe_size is not"),
        (
            'application_type = "native"',
            'application_type = "native"\nplatform = "web"',
            "shop-app: platform: web goes with the application_type web",
        ),
        ('secret = { env = "SHOP" }', "", "shop-site: secret: is required"),
        (
            'token_endpoint_auth_method = "none"',
            'token_endpoint_auth_method = "none"\nsecret = { env = "NEW" }',
            "shop-app: secret: a client that authenticates by none has none",
        ),
    ],
)
def test_what_contradicts_itself_is_a_fault(shop: Shop, old: str, new: str, told: str) -> None:
    shop.change(old, new)
    code, out, err = shop.run("plan", shop.file)
    assert (code, out) == (1, "")
    assert err.startswith(f"idp: {told}")


def test_a_client_that_does_not_say_has_the_scopes_of_its_channel(shop: Shop) -> None:
    assert shop.client("shop-app")["scope"] == ["openid", "profile", "phone", "email"]
