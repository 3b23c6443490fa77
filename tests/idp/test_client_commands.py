"""`idp clients`."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flows.clients import ClientDocument
from idp.commands.operating import actor
from keys.client_secrets import ClientSecretSealer
from keys.hashing import sha256
from keys.life_cycle import LifeCycle
from tests.idp.installation import Installation
from tests.keys.forging import ES256

CALLBACK = "https://shop.example/callback"
SHOP = ("--channel", "shop", "--redirect-uri", CALLBACK)
JWKS = {"keys": [dict(ES256.public_jwk)]}


@pytest.fixture
def shop(here: Installation) -> Installation:
    """An installation with a channel, whose file has one client."""
    metadata = {"client_name": "From a file", "redirect_uris": [CALLBACK]}
    document = json.dumps({"metadata": metadata, "secrets": [{"argon2id": "$argon2id$"}]})
    here.lua(
        "local document = ... "
        "box.space.channel:insert({ 'shop', '{}', 1 }) "
        "box.space.client:insert({ 'from-file', 'shop', 'channels', document, 1 })",
        document,
    )
    return here


def done(here: Installation, command: str, *arguments: object) -> Any:
    code, out, err = here.run("clients", command, *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def refused(here: Installation, command: str, *arguments: object) -> str:
    code, out, err = here.run("clients", command, *arguments)
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    return err.removeprefix("idp: ").rstrip("\n")


def shown(here: Installation, client_id: str) -> Any:
    return done(here, "show", client_id)


def document_of(here: Installation, client_id: str) -> ClientDocument:
    async def read(life_cycle: LifeCycle) -> str:
        found: Any = await life_cycle.store._call("client_read", dict, client_id=client_id)
        return str(found["client"]["document"])

    return msgspec.json.decode(here.do(read), type=ClientDocument)


def events(here: Installation, client_id: str) -> list[dict[str, Any]]:
    _, out, _ = here.run("audit", "read", "--client", client_id, "--json")
    return [json.loads(line) for line in out.splitlines()]


def written(here: Installation, name: str, value: object) -> Path:
    path = here.directory / name
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


# Made


def test_a_client_is_made_and_its_secret_told_once(shop: Installation) -> None:
    made = done(shop, "create", "my-shop", *SHOP, "--name", "My shop", "--reason", "asked for")

    assert made["client_id"] == "my-shop"
    assert len(made["client_secret"]) == 43
    (secret,) = document_of(shop, "my-shop").secrets
    assert secret.sha256 == sha256(made["client_secret"])
    described = shown(shop, "my-shop")
    assert described["channel_id"] == "shop"
    assert described["source"] == "operator"
    assert not described["disabled"]
    assert described["metadata"]["client_name"] == "My shop"
    assert described["metadata"]["redirect_uris"] == [CALLBACK]
    assert described["metadata"]["token_endpoint_auth_method"] == "client_secret_basic"
    assert described["secrets"] == [{"form": "sha256", "sealed_with": None, "expires_at": None}]
    assert made["client_secret"] not in json.dumps(described)
    (event,) = events(shop, "my-shop")
    assert (event["event"], event["by"], event["reason"]) == (
        "client_created",
        actor(),
        "asked for",
    )


def test_people_are_told_the_secret_too(shop: Installation) -> None:
    code, out, _ = shop.run("clients", "create", "my-shop", *SHOP)
    assert code == 0
    first, second = out.splitlines()
    assert first == "created: my-shop"
    secret = second.removeprefix("secret, shown this once: ")
    assert document_of(shop, "my-shop").secrets[0].sha256 == sha256(secret)
    _, out, _ = shop.run("clients", "show", "my-shop")
    assert "secret 1: sha256\n" in out
    assert f"redirect_uris: {CALLBACK}\n" in out
    assert secret not in out


@pytest.mark.parametrize(
    ("method", "more"),
    [("none", ()), ("private_key_jwt", ("--jwks-uri", "https://shop.example/jwks"))],
)
def test_a_client_that_needs_no_secret_gets_none(
    shop: Installation, method: str, more: tuple[str, ...]
) -> None:
    made = done(shop, "create", "my-app", *SHOP, "--auth-method", method, *more)
    assert made == {"client_id": "my-app", "client_secret": None}
    assert shown(shop, "my-app")["secrets"] == []


def test_a_secret_that_must_be_known_is_sealed_for_its_client_alone(shop: Installation) -> None:
    made = done(shop, "create", "my-shop", *SHOP, "--auth-method", "client_secret_jwt")

    (secret,) = document_of(shop, "my-shop").secrets
    assert (secret.sha256, secret.argon2id) == (None, None)
    sealed = secret.sealed or ""

    async def opened(life_cycle: LifeCycle) -> str:
        return ClientSecretSealer(life_cycle.sealer).open("my-shop", sealed)

    async def opened_as_another(life_cycle: LifeCycle) -> str:
        return ClientSecretSealer(life_cycle.sealer).open("other", sealed)

    assert shop.do(opened) == made["client_secret"]
    with pytest.raises(Exception, match="sealed as something else"):
        shop.do(opened_as_another)
    assert shown(shop, "my-shop")["secrets"][0]["sealed_with"] == "a"


def test_metadata_come_from_a_file_and_options_take_their_place(shop: Installation) -> None:
    metadata = {"client_name": "File", "scope": "openid phone", "redirect_uris": ["https://x/"]}
    file = written(shop, "client.json", metadata)
    keys = written(shop, "jwks.json", JWKS)
    options = ("--metadata", file, "--jwks", keys, "--auth-method", "private_key_jwt")
    done(shop, "create", "my-shop", *SHOP, *options)
    registered = shown(shop, "my-shop")["metadata"]
    assert registered["client_name"] == "File"
    assert registered["scope"] == "openid phone"
    assert registered["redirect_uris"] == [CALLBACK]
    assert registered["jwks"] == JWKS


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("my shop", *SHOP), "an identifier has letters, digits and . _ ~ -, and at most 100"),
        (("a" * 101, *SHOP), "an identifier has letters"),
        (("my-shop", "--channel", "no", "--redirect-uri", CALLBACK), "there is no channel no"),
        (("from-file", *SHOP), "from-file is taken: see `idp clients show from-file`"),
        (("my-shop", "--channel", "shop"), "redirect_uris: "),
        (("my-shop", *SHOP, "--redirect-uri", "http://x/"), "redirect_uris: must be https"),
        (("my-shop", *SHOP, "--auth-method", "magic"), "token_endpoint_auth_method: "),
        (("my-shop", *SHOP, "--metadata", "/no/such/file"), "/no/such/file cannot be read"),
    ],
)
def test_what_cannot_be_made_is_told_in_a_sentence(
    shop: Installation, arguments: tuple[str, ...], said: str
) -> None:
    assert said in refused(shop, "create", *arguments)
    assert [it["client_id"] for it in done(shop, "list")["clients"]] == ["from-file"]


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000, '"x"'])
def test_a_file_that_is_no_json_object_is_refused(shop: Installation, content: str) -> None:
    file = written(shop, "client.json", content)
    assert "JSON" in refused(shop, "create", "my-shop", *SHOP, "--metadata", file)


# Listed


def test_clients_are_listed(shop: Installation) -> None:
    shop.lua("box.space.channel:insert({ 'other', '{}', 1 })")
    for number in range(3):
        done(shop, "create", f"my-{number}", *SHOP)
    others = ("--channel", "other", "--redirect-uri", CALLBACK)
    done(shop, "create", "another", *others)

    code, out, _ = shop.run("clients", "list")
    assert code == 0
    header, *lines = out.splitlines()
    assert header.split() == [
        "CLIENT", "CHANNEL", "NAME", "AUTHENTICATION", "MANAGED", "BY", "STATE",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines] == ["another", "from-file", "my-0", "my-1", "my-2"]
    assert "a channels file" in lines[1]
    listed = done(shop, "list", "--channel", "shop", "--limit", 2)
    assert [it["client_id"] for it in listed["clients"]] == ["from-file", "my-0"]
    assert listed["after"] == "my-0"
    rest = done(shop, "list", "--channel", "shop", "--after", "my-0")
    assert [it["client_id"] for it in rest["clients"]] == ["my-1", "my-2"]
    assert rest["after"] is None
    assert "more: --after my-0" in shop.run("clients", "list", "--limit", "3")[1]


def test_a_client_that_is_none_is_told(shop: Installation) -> None:
    for command in ("show", "update", "rotate-secret"):
        said = refused(shop, command, "-nobody")
        assert said == "there is no client -nobody: see `idp clients list`"
    for command in ("disable", "enable", "delete"):
        said = refused(shop, command, "nobody", "--reason", "x")
        assert said == "there is no client nobody: see `idp clients list`"


# Changed


def test_what_is_not_named_stays_and_what_is_null_gets_its_default(shop: Installation) -> None:
    secret = done(shop, "create", "my-shop", *SHOP, "--name", "Old", "--scope", "openid phone")
    changes = written(shop, "changes.json", {"scope": None, "default_max_age": 60})

    updated = done(shop, "update", "my-shop", "--name", "New", "--metadata", changes)

    assert updated == {"client_id": "my-shop", "client_secret": None}
    registered = shown(shop, "my-shop")["metadata"]
    assert registered["client_name"] == "New"
    assert registered["default_max_age"] == 60
    assert registered["scope"] != "openid phone"
    assert registered["redirect_uris"] == [CALLBACK]
    (kept,) = document_of(shop, "my-shop").secrets
    assert kept.sha256 == sha256(secret["client_secret"])
    event = events(shop, "my-shop")[-1]
    assert event["event"] == "client_updated"
    assert set(event["detail"]["changed"]) == {"client_name", "scope", "default_max_age"}


def test_an_update_is_judged_as_a_whole(shop: Installation) -> None:
    done(shop, "create", "my-shop", *SHOP)
    said = refused(shop, "update", "my-shop", "--auth-method", "private_key_jwt")
    assert "jwks" in said
    assert shown(shop, "my-shop")["metadata"]["token_endpoint_auth_method"] == (
        "client_secret_basic"
    )


def test_secrets_follow_the_method(shop: Installation) -> None:
    done(shop, "create", "my-shop", *SHOP)

    def change(method: str, *more: object) -> tuple[str | None, list[str]]:
        answer = done(shop, "update", "my-shop", "--auth-method", method, *more)
        secrets = shown(shop, "my-shop")["secrets"]
        return answer["client_secret"], [it["form"] for it in secrets]

    # A hash is good for another way of sending the same secret, not for a MAC.
    assert change("client_secret_post") == (None, ["sha256"])
    sealed, forms = change("client_secret_jwt")
    assert forms == ["sealed"]
    assert sealed is not None
    # A secret that need not be known any more is hashed.
    assert change("client_secret_basic") == (None, ["sha256"])
    assert document_of(shop, "my-shop").secrets[0].sha256 == sha256(sealed)
    assert change("none") == (None, [])
    again, forms = change("client_secret_basic")
    assert forms == ["sha256"]
    assert again not in (None, sealed)


# Secrets


def test_the_old_secret_stays_good_for_a_while(shop: Installation) -> None:
    old = done(shop, "create", "my-shop", *SHOP)["client_secret"]

    new = done(shop, "rotate-secret", "my-shop", "--keep-old", "2h", "--reason", "yearly")

    first, second = document_of(shop, "my-shop").secrets
    assert (first.sha256, first.expires_at) == (sha256(new["client_secret"]), None)
    assert second.sha256 == sha256(old)
    event = events(shop, "my-shop")[-1]
    assert (event["event"], event["reason"]) == ("client_secret_rotated", "yearly")
    assert event["detail"] == {"old_until": second.expires_at}
    assert second.expires_at == event["at"] + 7200
    assert "secret 2: sha256, good until 20" in shop.run("clients", "show", "my-shop")[1]

    newest = done(shop, "rotate-secret", "my-shop")["client_secret"]
    hashes = [it.sha256 for it in document_of(shop, "my-shop").secrets]
    assert hashes == [sha256(newest), sha256(new["client_secret"])]
    last = done(shop, "rotate-secret", "my-shop", "--keep-old", "0s")["client_secret"]
    assert [it.sha256 for it in document_of(shop, "my-shop").secrets] == [sha256(last)]


def test_a_client_without_a_secret_has_none_to_rotate(shop: Installation) -> None:
    done(shop, "create", "my-app", *SHOP, "--auth-method", "none")
    said = refused(shop, "rotate-secret", "my-app")
    assert said == "my-app has no secret: it authenticates by none"


def test_how_long_the_old_one_is_kept_is_a_length_of_time(shop: Installation) -> None:
    code, _, err = shop.run("clients", "rotate-secret", "my-shop", "--keep-old", "tomorrow")
    assert code == 2
    assert "must be a length of time" in err


def test_sealed_secrets_change_their_key_encryption_key_too(shop: Installation) -> None:
    made = done(shop, "create", "my-shop", *SHOP, "--auth-method", "client_secret_jwt")
    done(shop, "rotate-secret", "my-shop")
    shop.new_key_encryption_key("b")
    shop.seal_with("b", "a")

    assert shop.keys("reseal", "--reason", "yearly")[0] == 0

    shop.seal_with("b")
    secrets = document_of(shop, "my-shop").secrets
    assert [it["sealed_with"] for it in shown(shop, "my-shop")["secrets"]] == ["b", "b"]
    assert secrets[1].expires_at is not None

    async def opened(life_cycle: LifeCycle) -> str:
        return ClientSecretSealer(life_cycle.sealer).open("my-shop", secrets[1].sealed or "")

    assert shop.do(opened) == made["client_secret"]
    assert shop.done("reseal").startswith("0 resealed")


# Disabled, enabled, deleted


def test_a_client_is_disabled_and_enabled(shop: Installation) -> None:
    done(shop, "create", "my-shop", *SHOP)
    assert done(shop, "disable", "my-shop", "--reason", "a leak")["done"] == "disabled"
    assert shown(shop, "my-shop")["disabled"]
    assert " disabled" in shop.run("clients", "list")[1]
    assert done(shop, "enable", "my-shop")["done"] == "enabled"
    assert not shown(shop, "my-shop")["disabled"]
    told = [(it["event"], it.get("reason")) for it in events(shop, "my-shop")]
    assert told[1:] == [("client_disabled", "a leak"), ("client_enabled", None)]


def test_a_reason_is_needed_to_take_something_away(shop: Installation) -> None:
    for command in ("disable", "delete"):
        assert shop.run("clients", command, "from-file")[0] == 2


def test_a_client_is_deleted_once_that_is_confirmed(shop: Installation) -> None:
    done(shop, "create", "my-shop", *SHOP)
    said = refused(shop, "delete", "my-shop", "--reason", "closed")
    assert said.endswith("Repeat the command with --yes if that is meant.")
    assert done(shop, "delete", "my-shop", "--reason", "closed", "--yes")["done"] == "deleted"
    assert "there is no client my-shop" in refused(shop, "show", "my-shop")
    assert [it["event"] for it in events(shop, "my-shop")] == ["client_created", "client_deleted"]


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("update", ("--name", "New")),
        ("rotate-secret", ()),
        ("delete", ("--reason", "x", "--yes")),
    ],
)
def test_what_a_channels_file_would_undo_is_refused(
    shop: Installation, command: str, arguments: tuple[str, ...]
) -> None:
    before = shown(shop, "from-file")
    said = refused(shop, command, "from-file", *arguments)
    assert said.startswith("from-file is managed by a channels file")
    assert shown(shop, "from-file") == before


def test_a_partners_client_is_stopped_here_but_updated_by_its_partner(shop: Installation) -> None:
    policy = {"scopes": ["openid"], "grant_types": ["authorization_code"]}
    partner = {"policy": policy, "registration_token": "", "verified": True}
    metadata = {"redirect_uris": [CALLBACK]}
    document = json.dumps({"metadata": metadata, "partner": partner})
    shop.lua(
        "box.space.client:insert({ 'partner', '', 'registration', ..., 1 })",
        document,
    )
    assert shown(shop, "partner")["partner"]["policy"] == policy | {
        "redirect_hosts": [],
        "service_scopes": [],
        "resources": [],
        "verified": False,
    }
    assert "partner: verified\nscopes: openid\n" in shop.run("clients", "show", "partner")[1]
    said = refused(shop, "update", "partner", "--name", "New")
    assert said == "partner is its partner's, who updates it (RFC 7592)"
    assert done(shop, "rotate-secret", "partner")["client_secret"]
    done(shop, "disable", "partner", "--reason", "a leak")
    done(shop, "delete", "partner", "--reason", "a leak", "--yes")


def test_a_client_of_a_channels_file_can_be_stopped_at_once(shop: Installation) -> None:
    done(shop, "disable", "from-file", "--reason", "a leak")
    assert shown(shop, "from-file")["disabled"]
