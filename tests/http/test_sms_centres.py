"""Codes by SMS centres that others made: Kannel's by HTTP, and one of npm's `smpp` by SMPP."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.http.gateways import Gateway, gateway
from tests.http.provider import PHONE_OTP, RelyingParty, Running, provider
from tests.outbound.kannel import Kannel, run_kannel
from tests.outbound.sms_centre import SmsCentre, sms_centre
from tests.process.processes import eventually

BY_KANNEL, BY_SMPP = "+7911", "+7912"
RECEIPT = "id:{} sub:001 dlvrd:001 submit date:2601010000 done date:2601010001 stat:{} err:000"
_DELIVERY = """
[[delivery.providers]]
id = "kannel"
kind = "sms"
url = "{sendsms}"
secrets = {{ password = "{password}" }}
[delivery.providers.query]
username = "{username}"
password = "{{password}}"
from = "shop"
to = "{{phone}}"
text = "{{text}}"
charset = "UTF-8"
coding = "2"
dlr-mask = "3"
dlr-url = "{receipts}/receipt?token=R3CEIPT&id={{submission_id}}&status=%d"
[delivery.providers.receipts]
parameter = "token"
secret = "R3CEIPT"
id = "/id"
status = "/status"
delivered = ["1"]
failed = ["2"]
[[delivery.providers]]
id = "centre"
kind = "sms"
adapter = "smpp"
smpp = {{ host = "127.0.0.1", port = {port}, tls = false, system_id = "x5", password = "S3CRET" }}
[[delivery.routes]]
prefix = "+7911"
steps = [{{ kind = "sms", providers = ["kannel"] }}]
[[delivery.routes]]
prefix = "+7912"
steps = [
  {{ kind = "sms", providers = ["centre"], receipt_seconds = 60 }},
  {{ kind = "sms", providers = ["kannel"] }}
]
"""
_numbers = itertools.count(1_000_000)


@pytest.fixture(scope="module")
def kannel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kannel]:
    with run_kannel(tmp_path_factory.mktemp("kannel")) as it:
        yield it


@pytest.fixture(scope="module")
def callbacks() -> Iterator[Gateway]:
    with gateway() as it:
        yield it


@pytest.fixture
async def centre() -> AsyncIterator[SmsCentre]:
    async with sms_centre() as it:
        yield it


@pytest.fixture
def running(kannel: Kannel, callbacks: Gateway, centre: SmsCentre) -> Iterator[Running]:
    toml = _DELIVERY.format(
        sendsms=kannel.sendsms,
        username=kannel.username,
        password=kannel.password,
        receipts=callbacks.origin,
        port=centre.port,
    )
    with provider(toml=toml) as it:
        yield it
        assert "Traceback" not in it.server.output
        assert "S3CRET" not in it.server.output


def number(route: str) -> str:
    return f"{route}{next(_numbers)}"


async def ask(running: Running, phone: str) -> str:
    """Ask for a code by the phone grant: the `otp_session`."""
    answer = await asyncio.to_thread(RelyingParty(running, "demo-bot").post, "/otp", phone=phone)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["otp_session"])


async def sign_in(running: Running, session: str, text: str) -> int:
    """Sign in with the code of a text: the status."""
    bot = RelyingParty(running, "demo-bot")
    fields = {"grant_type": PHONE_OTP, "otp_session": session, "otp": text[-6:]}
    return int((await asyncio.to_thread(bot.post, "/token", **fields)).status_code)


async def test_a_code_by_kannel_signs_in_and_its_receipt_is_noted(
    running: Running, kannel: Kannel, callbacks: Gateway
) -> None:
    phone = number(BY_KANNEL)
    session = await ask(running, phone)
    messages = await asyncio.to_thread(kannel.received, 1)
    (text,) = [it.text for it in messages if it.receiver == phone]
    assert await sign_in(running, session, text) == 200
    await asyncio.to_thread(eventually, lambda: bool(callbacks.asked), "a receipt", 20)
    said = callbacks.asked[-1].fields
    assert said["status"] == "1"
    with running.client() as client:
        assert client.get("/messages/kannel/receipt", params=said).status_code == 204
        metrics = client.get(running.metrics).text
    assert 'idp_messages_total{outcome="delivered",provider="kannel"} 1.0' in metrics


async def test_a_code_by_smpp_signs_in(running: Running, centre: SmsCentre) -> None:
    phone = number(BY_SMPP)
    session = await ask(running, phone)
    pdus = await centre.see("submit_sm")
    assert pdus[0]["destination_addr"] == phone.removeprefix("+")
    assert await sign_in(running, session, pdus[0]["text"]) == 200


@pytest.mark.parametrize("how", ["refused", "receipt"])
async def test_what_an_sms_centre_does_not_deliver_goes_on_to_the_next_step(
    running: Running, centre: SmsCentre, kannel: Kannel, how: str
) -> None:
    if how == "refused":
        await centre.do(behave={"status": 0x58})
    phone = number(BY_SMPP)
    session = await ask(running, phone)
    await centre.see("submit_sm")
    if how == "receipt":
        text = RECEIPT.format("m1", "UNDELIV")
        await centre.do(deliver={"esm_class": 4, "short_message": text})
    await asyncio.to_thread(
        eventually, lambda: any(it.receiver == phone for it in kannel.received(0)), "by Kannel", 20
    )
    (text,) = [it.text for it in kannel.received(0) if it.receiver == phone]
    assert await sign_in(running, session, text) == 200
