"""`idp keys reseal` and `abandon`: another key-encryption key, with and without the old one."""

import json
import re

import pytest

from idp.commands import key_sealing
from idp.commands.operating import actor
from keys import sealed_keys, server_secrets
from keys.errors import SealError
from keys.life_cycle import LifeCycle
from keys.ring import KeyRing
from storage.records import By, ResealedKey
from tests.idp.installation import Installation


@pytest.fixture
def both(here: Installation) -> Installation:
    """An installation that is to change from `a` to `b`."""
    here.new_key_encryption_key("b")
    here.seal_with("b", "a")
    return here


def sealed_with(here: Installation) -> set[str | None]:
    secrets = json.loads(here.run("secrets", "list", "--json")[1])
    return {it["sealed_with"] for it in [*here.rows(), *secrets]}


def as_a_server_has_it(here: Installation) -> tuple[object, ...]:
    async def opened(life_cycle: LifeCycle) -> tuple[object, ...]:
        ring = await KeyRing.open(life_cycle, 0)
        secrets = [ring.secret(secret.name) for secret in server_secrets.SERVER_SECRETS]
        return (ring.jwks(), *secrets)

    return here.do(opened)


def test_everything_is_sealed_anew_and_the_old_key_is_needed_no_more(both: Installation) -> None:
    retired = both.kid("next")
    both.done("generate", "ES256")
    before = as_a_server_has_it(both)

    code, out, _ = both.keys("reseal", "--reason", "yearly")

    assert code == 0
    assert out.endswith(" resealed; all is sealed with b\n")
    assert sealed_with(both) == {"b"}
    both.seal_with("b")
    (both.directory / "a").unlink()
    assert as_a_server_has_it(both) == before
    assert both.row(retired)["sealed_with"] == "b"
    (told,) = both.audit("resealed")
    assert (told["reason"], told["detail"]["to"]) == ("yearly", "b")
    assert told["by"]


def test_every_batch_is_told(both: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_sealing, "_BATCH", 3)
    _, out, err = both.keys("reseal", "--json", "--reason", "yearly")
    told = json.loads(out)
    total = told.pop("resealed")
    assert told == {"sealed_with": "b", "others": []}
    steps = [line.split(" of ") for line in err.splitlines()]
    assert len(steps) > 2
    assert {of for _, of in steps} == {str(total)}
    assert [int(done) for done, _ in steps] == sorted({int(done) for done, _ in steps})
    assert steps[-1][0] == str(total)
    assert sum(row["detail"]["count"] for row in both.audit("resealed")) == total


def test_what_was_interrupted_goes_on_when_repeated(both: Installation) -> None:
    async def begin(life_cycle: LifeCycle) -> int:
        row = (await life_cycle.store.signing_keys())[0]
        label = sealed_keys.private_label(row)
        new = life_cycle.sealer.reseal(row.sealed_private or "", label=label)
        change = ResealedKey(row.kid, "sealed_private", row.sealed_private or "", new or "")
        return await life_cycle.store.reseal([change], [], to="b", by=By("ann"), now=0)

    assert both.do(begin) == 1
    assert sealed_with(both) == {"a", "b"}
    assert both.keys("reseal")[0] == 0
    assert sealed_with(both) == {"b"}
    assert both.done("reseal") == "0 resealed; all is sealed with b\n"
    assert len(both.audit("resealed")) == 2


def test_nothing_is_resealed_that_cannot_be_opened(both: Installation) -> None:
    (both.directory / "a").unlink()
    both.new_key_encryption_key("a")
    said = both.refused("reseal")
    assert said.endswith("is sealed under another key than the one that is now called 'a'")
    both.seal_with("b")
    said = both.refused("reseal")
    assert said.endswith(
        "is sealed under the key-encryption key 'a', which the settings do not name"
    )


def test_without_another_key_there_is_nothing_to_do(here: Installation) -> None:
    assert here.done("reseal") == "0 resealed; all is sealed with a\n"
    assert here.audit("resealed") == []


# Without the old one

ABANDON = ("abandon", "--reason", "lost")


@pytest.mark.parametrize("name", ["a", "b"])
def test_what_a_lost_key_sealed_is_abandoned_for_new_keys(here: Installation, name: str) -> None:
    before = {row["kid"] for row in here.rows()}
    (here.directory / "a").unlink()
    here.new_key_encryption_key(name)
    here.seal_with(name)
    with pytest.raises(SealError):
        as_a_server_has_it(here)

    here.stop()
    told = here.done(*ABANDON, "--yes")
    here.resume()

    assert re.fullmatch(r"\d+ keys and secrets are abandoned; new ones are in their place\n", told)
    assert {row["kid"] for row in here.rows() if row["state"] == "revoked"} == before
    assert sealed_with(here) == {name, None}
    as_a_server_has_it(here)
    (row,) = here.audit("keys_abandoned")
    assert (row["by"], row["reason"]) == (actor(), "lost")


def test_nothing_is_abandoned_while_a_server_has_the_store(here: Installation) -> None:
    assert here.refused(*ABANDON, "--yes").startswith("stop the server first: ")
    as_a_server_has_it(here)


def test_nothing_is_abandoned_by_mistake(here: Installation) -> None:
    assert here.keys("abandon", "--reason", "", "--yes")[0] == 2
    assert "will be refused. Repeat the command with --yes" in here.refused(*ABANDON)
    here.seal_with("b")
    said = here.refused(*ABANDON, "--yes")
    assert said.startswith("key_encryption_keys[b].file: ")
    here.seal_with("a")
    as_a_server_has_it(here)
