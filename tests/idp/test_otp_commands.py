"""`idp otp`: what is held back, and how operators stop and let go."""

import json
from typing import Any

import pytest

from conf.settings import load
from idp.commands.operating import now, with_store
from storage.records import By
from storage.store import Store
from tests.idp.installation import Installation


@pytest.fixture
def here(here: Installation) -> Installation:
    """An installation with a client."""
    here.lua("box.space.client:insert({ 'demo', 'demo', 'channels', '{}', 1 })")
    return here


def done(here: Installation, *arguments: str) -> str:
    code, out, err = here.run("otp", *arguments)
    assert (code, err) == (0, "")
    return out


def status(here: Installation) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(done(here, "status", "--json"))
    return answer


@pytest.mark.parametrize(
    ("option", "value", "key"),
    [
        ("--prefix", "+7916", "prefix:+7916"),
        ("--network", "203.0.113.0/24", "network:203.0.113.0/24"),
        ("--network", "2001:db8:1::/48", "network:2001:db8:1::/48"),
        ("--client", "demo", "client:demo"),
    ],
)
def test_what_is_blocked_is_shown_until_it_is_let_go(
    here: Installation, option: str, value: str, key: str
) -> None:
    done(here, "block", option, value, "--for", "2h", "--reason", "pumping")
    (held,) = status(here)["held"]
    assert held["key"] == key
    assert "operator" in done(here, "status")
    assert done(here, "unblock", option, value, "--reason", "over").strip() == f"{key} is free"
    assert status(here)["held"] == []

    code, _, err = here.run("otp", "unblock", option, value, "--reason", "over")
    assert (code, err.strip()) == (1, f"idp: {key} is neither blocked nor held back")


@pytest.mark.parametrize("key", ["strangers:unproven", "network:client demo-bot", "pair:+7916 x"])
def test_whatever_is_shown_as_held_can_be_let_go(here: Installation, key: str) -> None:
    async def hold(store: Store) -> None:
        at = now()
        await store.sending_block(key, blocked_until=at + 60, by=By("ann", "a test"), now=at)

    with_store(load(here.config), hold)
    (held,) = status(here)["held"]
    done(here, "unblock", "--key", held["key"], "--reason", "over")
    assert status(here)["held"] == []


def test_a_client_that_is_none_is_an_error(here: Installation) -> None:
    told = "there is no client dmeo: see `idp clients list`"
    for command in (("block", "--for", "1h"), ("unblock",)):
        code, out, err = here.run("otp", *command, "--client", "dmeo", "--reason", "x")
        assert (code, out, err.strip()) == (1, "", f"idp: {told}")
    assert status(here)["held"] == []


def test_a_key_that_is_none_is_an_error(here: Installation) -> None:
    code, out, err = here.run("otp", "unblock", "--key", "strangers:unprovn", "--reason", "x")
    told = "idp: nothing is held under strangers:unprovn"
    assert (code, out, err.strip()) == (1, "", told)


@pytest.mark.parametrize(
    "arguments",
    [
        ("block", "--reason", "x"),
        ("block", "--prefix", "+7916", "--client", "demo", "--reason", "x"),
        ("block", "--prefix", "7916", "--reason", "x"),
        ("block", "--prefix", "+791", "--reason", "x"),
        ("block", "--prefix", "+79161", "--reason", "x"),
        ("block", "--prefix", "+07916", "--reason", "x"),
        ("unblock", "--key", "strangers", "--reason", "x"),
        ("unblock", "--key", "strangers:unproven", "--client", "demo", "--reason", "x"),
        ("block", "--network", "203.0.113.0/16", "--reason", "x"),
        ("block", "--network", "home", "--reason", "x"),
        ("block", "--client", "demo"),
        ("unblock", "--client", "demo"),
    ],
)
def test_what_is_said_wrongly_changes_nothing(
    here: Installation, arguments: tuple[str, ...]
) -> None:
    code, out, _ = here.run("otp", *arguments)
    assert code != 0
    assert out == ""


def test_the_limits_in_force_are_shown(here: Installation) -> None:
    assert "sends_per_phone" in done(here, "limits")
    assert json.loads(done(here, "limits", "--json"))["otp"]["length"] == 6
