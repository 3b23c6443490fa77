"""Channels files against a store in which others are at work: operators, commands, partners."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from conf.channels import ChannelEntry, Secret
from conf.channels_file import DEMO_CHANNELS, load_channels
from flows import channel_plan
from flows.channel_plan import Overtaken, Plan, Refused
from flows.channels import ChannelsFault, Rules, check
from flows.clients import ClientDocument
from keys.client_secrets import ClientSecretSealer
from keys.hashing import sha256
from keys.sealing import Sealer
from storage import outcomes as o
from storage.child import PrivateTarantool
from storage.records import By, ClientRow, ClientSource
from storage.store import Store
from tests.conftest import connect
from tests.storage.builders import MANY, NOW, at_once, new

RULES = Rules(development=True)
SEALER = ClientSecretSealer(Sealer({"tests": bytes(32)}))
CHANNELS = f"""
[[channels]]
id = "shop"
name = "Shop"
locale = "en"
[channels.brand]
name = {{ ru = "Лавка", en = "Shop" }}
color = "#1a7f37"
logo = "{DEMO_CHANNELS.parent}/logos/demo.svg"
terms_uri = "https://shop.example.com/terms"
privacy_uri = "https://shop.example.com/privacy"

[[channels.clients]]
client_id = "shop-site"
secret = {{ env = "SHOP" }}
redirect_uris = ["https://shop.example.com/a"]
"""

Entries = tuple[ChannelEntry, ...]
Read = Callable[[str], Entries]


@pytest.fixture
def read(directory: Path) -> Read:
    """Reads a channels file of this text."""

    def read(text: str) -> Entries:
        path = directory / "channels.toml"
        path.write_text(text, encoding="utf-8")
        return load_channels([path], secrets_directory=None, environ={"SHOP": "a secret"})

    return read


@pytest.fixture
def shop(read: Read) -> Entries:
    return read(CHANNELS)


async def compare(store: Store, entries: Entries) -> Plan:
    return await channel_plan.compare(store, entries, RULES, lambda: SEALER)


async def apply(store: Store, entries: Entries, *, force: bool = False) -> int | None:
    _, revision = await channel_plan.carry_out(
        store, lambda: compare(store, entries), force=force, by=By("tests"), now=NOW
    )
    return revision


async def document(store: Store, client_id: str = "shop-site") -> ClientDocument:
    found = await store.client_read(client_id)
    assert isinstance(found, o.FoundClient)
    return msgspec.json.decode(found.client.document, type=ClientDocument)


async def change(store: Store, client_id: str = "shop-site", **members: object) -> None:
    """Change a client as a command of `idp clients` does."""
    before = await document(store, client_id)
    changed = await store.client_update(
        client_id,
        old_document=before.as_json(),
        document=msgspec.structs.replace(before, **members).as_json(),
        change="updated",
        by=By("somebody else"),
        now=NOW,
    )
    assert changed == o.Changed()


async def test_of_two_operators_at_once_one_wins_and_the_other_is_told(
    fresh_tarantool: PrivateTarantool, shop: Entries
) -> None:
    stores = [await connect(fresh_tarantool) for _ in range(2)]
    await apply(stores[0], shop)
    for turn in range(20):
        texts = [f"Shop {turn} of {who}" for who in ("ann", "bob")]
        answers = await asyncio.gather(
            *(
                apply(store, (replace(shop[0], name=text),))
                for store, text in zip(stores, texts, strict=True)
            ),
            return_exceptions=True,
        )
        # One may also come so late that it has seen what the other did, and changes that.
        done = [answer for answer in answers if isinstance(answer, int)]
        told = [answer for answer in answers if isinstance(answer, Overtaken)]
        assert len(done) + len(told) == 2
        assert done
        latest = await stores[0].channel_revisions()
        assert latest[0].revision == max(done)
    for store in stores:
        await store.close()


async def test_who_compared_before_another_one_applied_is_told(
    fresh_store: Store, shop: Entries
) -> None:
    await apply(fresh_store, shop)

    async def compare_and_be_overtaken() -> Plan:
        plan = await compare(fresh_store, (replace(shop[0], name="Mine"),))
        await apply(fresh_store, (replace(shop[0], name=new("Theirs")),))
        return plan

    with pytest.raises(Overtaken):
        await channel_plan.carry_out(
            fresh_store, compare_and_be_overtaken, force=True, by=By("tests"), now=NOW
        )
    channel = await fresh_store.channel_read("shop")
    assert isinstance(channel, o.FoundChannel)
    assert "Mine" not in channel.document


async def test_many_apply_the_same_at_once_and_it_is_done_once(
    fresh_store: Store, shop: Entries
) -> None:
    revisions = await at_once(apply(fresh_store, shop) for _ in range(MANY))
    assert sorted(revisions, key=str) == [1] + [None] * (MANY - 1)
    assert len(await fresh_store.channel_revisions()) == 1


async def test_a_change_between_plan_and_application_is_not_written_over(
    fresh_store: Store, shop: Entries
) -> None:
    await apply(fresh_store, shop)
    renamed = (replace(shop[0], name="Renamed"),)

    async def compare_while_a_command_works() -> Plan:
        plan = await compare(fresh_store, renamed)
        if not (await document(fresh_store)).disabled:
            await change(fresh_store, disabled=True)
        return plan

    with pytest.raises(Overtaken):
        await channel_plan.carry_out(
            fresh_store, compare_while_a_command_works, force=False, by=By("tests"), now=NOW
        )
    assert await apply(fresh_store, renamed) == 2
    assert (await document(fresh_store)).disabled


async def test_a_disabled_client_stays_so_when_a_revision_is_undone(
    fresh_store: Store, shop: Entries, read: Read
) -> None:
    await apply(fresh_store, shop)
    await apply(
        fresh_store, read(CHANNELS.replace(".com/a", '.com/a", "https://shop.example.com/b'))
    )
    await change(fresh_store, disabled=True)

    await channel_plan.carry_out(
        fresh_store,
        lambda: channel_plan.compare_undone(fresh_store, 2, lambda: SEALER),
        force=True,
        by=By("tests"),
        now=NOW,
    )

    restored = await document(fresh_store)
    assert restored.disabled
    assert restored.metadata.redirect_uris == ("https://shop.example.com/a",)


@pytest.mark.parametrize("source", ["operator", "registration"])
async def test_a_client_of_somebody_else_is_not_taken_over_by_the_way(
    fresh_store: Store, shop: Entries, source: ClientSource
) -> None:
    await apply(fresh_store, (replace(shop[0], clients=()),))
    channel_id = "shop" if source == "operator" else ""
    made = ClientRow(
        "shop-site", channel_id, ClientDocument(check(shop, RULES)["shop-site"]).as_json(), source
    )
    await fresh_store.client_create(made, revocation_id=new("id"), by=By("tests"), now=NOW)
    if source == "registration":
        with pytest.raises(ChannelsFault, match="shop-site: is a partner's client"):
            await apply(fresh_store, shop, force=True)
    else:
        with pytest.raises(Refused, match="it is managed by operator so far"):
            await apply(fresh_store, shop)
        await apply(fresh_store, shop, force=True)
        found = await fresh_store.client_read("shop-site")
        assert isinstance(found, o.FoundClient)
        assert found.client.source == "channels"


async def test_a_client_that_a_command_made_stays_in_its_channel(
    fresh_store: Store, shop: Entries
) -> None:
    await apply(fresh_store, shop)
    made = ClientRow("by-hand", "shop", (await document(fresh_store)).as_json(), "operator")
    await fresh_store.client_create(made, revocation_id=new("id"), by=By("tests"), now=NOW)
    assert (await compare(fresh_store, shop)).changes == ()


async def test_a_secret_that_a_command_gave_is_not_taken_away_by_an_old_file(
    fresh_store: Store, shop: Entries, read: Read
) -> None:
    await apply(fresh_store, shop)
    (old,) = (await document(fresh_store)).secrets
    given = msgspec.structs.replace(old, sha256=sha256("given"))
    running_out = msgspec.structs.replace(old, expires_at=NOW + 60)
    await change(fresh_store, secrets=(given, running_out))

    with pytest.raises(Refused, match="its secret is taken away at once"):
        await apply(fresh_store, shop)

    client = replace(shop[0].clients[0], secrets=(Secret(clear="given"),))
    assert await apply(fresh_store, (replace(shop[0], clients=(client,)),)) is None
    assert (await document(fresh_store)).secrets == (given, running_out)


async def test_a_secret_that_computes_macs_is_sealed_and_stays_as_it_is(
    fresh_store: Store, read: Read
) -> None:
    text = CHANNELS + 'token_endpoint_auth_method = "client_secret_jwt"\n'
    await apply(fresh_store, read(text))
    (kept,) = (await document(fresh_store)).secrets
    assert (kept.sha256, kept.argon2id) == (None, None)
    assert kept.sealed is not None
    assert SEALER.open("shop-site", kept.sealed) == "a secret"
    assert await apply(fresh_store, read(text)) is None


async def test_in_production_a_secret_is_hashed_slowly_and_once(
    fresh_store: Store, shop: Entries
) -> None:
    async def make() -> Plan:
        return await channel_plan.compare(fresh_store, shop, Rules(), lambda: SEALER)

    await channel_plan.carry_out(fresh_store, make, force=False, by=By("tests"), now=NOW)
    (kept,) = (await document(fresh_store)).secrets
    assert kept.argon2id is not None
    assert kept.sha256 is None
    assert (await make()).changes == ()
