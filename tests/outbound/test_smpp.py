import asyncio
import time
from collections.abc import Awaitable
from pathlib import Path

import pytest

from conf.smpp_settings import SmppSettings
from flows.ports import (
    ProviderUnavailable,
    SubmissionRefused,
    SubmissionUncertain,
    Submitted,
)
from idp.outbound.smpp import SmppProvider
from tests.http.provider import create_certificate
from tests.outbound.conftest import LATIN, Connect, Log, Receipts, settings, submission
from tests.outbound.sms_centre import SmsCentre, sms_centre

CYRILLIC = "Лавка: 012345. Никому не говорите\n\n@id.example.com #012345"
ROOM = 3.0  # seconds that a loaded machine may take for what takes none


async def seconds_of(call: Awaitable[Submitted], error: type[Exception]) -> tuple[float, str]:
    begun = time.monotonic()
    with pytest.raises(error) as caught:
        await call
    assert caught.type is error
    return time.monotonic() - begun, str(caught.value)


async def once_it_is_bound(provider: SmppProvider) -> Submitted:
    async with asyncio.timeout(20):
        while True:
            try:
                return await provider.submit(submission())
            except ProviderUnavailable:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("text", "data_coding"), [(LATIN, 0), (CYRILLIC, 8)], ids=["gsm-7", "ucs-2"]
)
async def test_what_arrives_is_what_was_sent(
    centre: SmsCentre, connect: Connect, text: str, data_coding: int
) -> None:
    async with connect(system_type="cp") as provider:
        assert await provider.submit(submission(text)) == Submitted("m1")
    (bind,) = centre.seen("bind_transceiver")
    assert (bind["system_id"], bind["password"], bind["system_type"]) == ("shop", "secret12", "cp")
    assert bind["interface_version"] == 0x34
    (pdu,) = centre.seen("submit_sm")
    assert pdu["text"] == text
    assert pdu["data_coding"] == data_coding
    assert pdu["destination_addr"] == "79991234567"
    assert (pdu["dest_addr_ton"], pdu["dest_addr_npi"]) == (1, 1)
    assert pdu["registered_delivery"] == 1
    assert pdu["esm_class"] == 0


@pytest.mark.parametrize(
    ("source", "sender", "expected"),
    [
        ("1234", None, ("1234", 3, 0)),
        ("1234", "Shop 24", ("Shop 24", 5, 0)),
        ("Shop", None, ("Shop", 5, 0)),
        ("Shop", "5678", ("5678", 3, 0)),
        ("", None, ("", 3, 0)),
    ],
)
async def test_a_sender_with_letters_is_alphanumeric(
    centre: SmsCentre,
    connect: Connect,
    source: str,
    sender: str | None,
    expected: tuple[str, int, int],
) -> None:
    async with connect(source=source, source_ton=3, source_npi=0) as provider:
        await provider.submit(submission(sender=sender))
    (pdu,) = centre.seen("submit_sm")
    assert (pdu["source_addr"], pdu["source_addr_ton"], pdu["source_addr_npi"]) == expected


@pytest.mark.parametrize("valid_for", [180, 3 * 86_400 + 3_661])
async def test_it_is_valid_for_as_long_as_the_code(
    centre: SmsCentre, connect: Connect, valid_for: int
) -> None:
    async with connect() as provider:
        await provider.submit(submission(valid_for=valid_for))
    (pdu,) = centre.seen("submit_sm")
    until = time.mktime(time.strptime(pdu["validity_period"][:19], "%Y-%m-%dT%H:%M:%S"))
    assert until - time.timezone - time.time() == pytest.approx(valid_for, abs=ROOM)


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("a" * 160, [160]),
        ("a" * 161, [153, 8]),
        ("a" * 152 + "€" * 10, [152, 10]),
        ("ж" * 71, [67, 4]),
        ("ж" * 66 + "\N{SLIGHTLY SMILING FACE}" * 3, [66, 6]),  # as UTF-16 code units
    ],
)
async def test_a_long_text_is_put_together_from_its_parts(
    centre: SmsCentre, connect: Connect, text: str, lengths: list[int]
) -> None:
    async with connect() as provider:
        assert await provider.submit(submission(text)) == Submitted(f"m{len(lengths)}")
    pdus = centre.seen("submit_sm")
    assert "".join(pdu["text"] for pdu in pdus) == text
    units = [len(pdu["text"].encode("utf-16-be")) // 2 for pdu in pdus]
    assert units == lengths
    asked = [pdu["registered_delivery"] for pdu in pdus]
    assert asked == [0] * (len(pdus) - 1) + [1]
    if len(pdus) > 1:
        reference = pdus[0]["udh"][0][4:6]
        headers = [pdu["udh"] for pdu in pdus]
        assert headers == [[f"0003{reference}{len(pdus):02}{n + 1:02}"] for n in range(len(pdus))]
        assert {pdu["esm_class"] for pdu in pdus} == {0x40}


async def test_two_long_texts_have_two_references(centre: SmsCentre, connect: Connect) -> None:
    async with connect() as provider:
        await provider.submit(submission("a" * 161))
        await provider.submit(submission("b" * 161))
    references = [pdu["udh"][0][4:6] for pdu in centre.seen("submit_sm")]
    assert references[0] == references[1] != references[2] == references[3]


@pytest.mark.parametrize(
    ("status", "error", "told"),
    [
        (0x58, ProviderUnavailable, "it refused: ESME_RTHROTTLED"),
        (0x14, ProviderUnavailable, "it refused: ESME_RMSGQFUL"),
        (0x0B, SubmissionRefused, "it refused: ESME_RINVDSTADR"),
        (0x45, SubmissionRefused, "it refused: 0x00000045"),
        (0x0401, SubmissionRefused, "it refused: 0x00000401"),  # a vendor's own
    ],
)
async def test_a_refusal_is_told_and_the_session_goes_on(
    centre: SmsCentre, connect: Connect, status: int, error: type[Exception], told: str
) -> None:
    await centre.do(behave={"status": status})
    async with connect() as provider:
        assert (await seconds_of(provider.submit(submission()), error))[1] == told
        await centre.do(behave={"status": 0})
        assert await provider.submit(submission()) == Submitted("m2")
    assert len(centre.seen("bind_transceiver")) == 1


async def test_a_part_that_is_refused_leaves_it_uncertain(
    centre: SmsCentre, connect: Connect
) -> None:
    await centre.do(behave={"status": 0x58, "from": 2})
    async with connect() as provider:
        _, told = await seconds_of(provider.submit(submission("a" * 161)), SubmissionUncertain)
    assert told == "it refused part 2: ESME_RTHROTTLED"


@pytest.mark.parametrize("how", ["drop", "rubbish", "nack"])
async def test_a_submission_whose_answer_is_lost_is_uncertain_and_the_next_one_succeeds(
    centre: SmsCentre, connect: Connect, how: str
) -> None:
    await centre.do(behave={"submit": how})
    async with connect() as provider:
        took, told = await seconds_of(provider.submit(submission()), SubmissionUncertain)
        assert took < ROOM
        assert told == "the session ended before an answer came"
        await centre.do(behave={"submit": ""})
        assert await provider.submit(submission()) == Submitted("m2")


async def test_one_that_is_not_answered_is_uncertain_after_the_time_out(
    centre: SmsCentre, connect: Connect
) -> None:
    await centre.do(behave={"submit": "hang"})
    async with connect(answer_timeout=2.0) as provider:
        await centre.see("bind_transceiver")
        took, told = await seconds_of(provider.submit(submission()), SubmissionUncertain)
    assert 1.0 <= took < 1.0 + ROOM
    assert told == "no answer came in time"
    assert len(centre.seen("submit_sm")) == 1


async def test_what_finds_no_place_in_the_window_is_refused_and_never_sent(
    centre: SmsCentre, connect: Connect
) -> None:
    await centre.do(behave={"submit": "hang"})
    async with connect(window=2, answer_timeout=2.0) as provider:
        await centre.see("bind_transceiver")
        outcomes = await asyncio.gather(
            *(provider.submit(submission()) for _ in range(5)), return_exceptions=True
        )
        kinds = [type(outcome) for outcome in outcomes]
        assert kinds.count(SubmissionUncertain) == 2
        assert kinds.count(ProviderUnavailable) == 3
        await centre.do(behave={"submit": ""})
        assert await provider.submit(submission("the next")) == Submitted("m3")
    assert [pdu["text"] for pdu in centre.seen("submit_sm")] == [LATIN, LATIN, "the next"]


async def test_many_submissions_share_the_window(centre: SmsCentre, connect: Connect) -> None:
    async with connect(window=3) as provider:
        taken = await asyncio.gather(*(provider.submit(submission()) for _ in range(50)))
    assert {it.provider_id for it in taken} == {f"m{n}" for n in range(1, 51)}


async def test_a_provider_that_names_nothing_has_taken_it(
    centre: SmsCentre, connect: Connect
) -> None:
    await centre.do(behave={"id": ""})
    async with connect() as provider:
        assert await provider.submit(submission()) == Submitted(None)


@pytest.mark.parametrize("behaviour", [{"bind_status": 0x0E}, {"bind": "drop"}, {"bind": "hang"}])
async def test_without_a_session_all_is_refused_and_it_is_bound_once_it_can_be(
    centre: SmsCentre, connect: Connect, behaviour: dict[str, object]
) -> None:
    await centre.do(behave=behaviour)
    async with connect(answer_timeout=0.5) as provider:
        await centre.see("bind_transceiver")
        await seconds_of(provider.submit(submission()), ProviderUnavailable)
        await centre.do(behave={"bind": "", "bind_status": 0})
        bound = len(centre.seen("bind_transceiver"))
        await centre.see("bind_transceiver", bound + 1)
        assert await once_it_is_bound(provider) == Submitted("m1")


async def test_a_centre_that_is_not_there_is_told_at_once(log: Log) -> None:
    nobody = SmppSettings("127.0.0.1", 1, "shop", "secret12", tls=False, answer_timeout=5.0)
    provider = SmppProvider(nobody, Receipts(), log)
    try:
        await seconds_of(provider.submit(submission()), ProviderUnavailable)
        took, told = await seconds_of(provider.submit(submission()), ProviderUnavailable)
    finally:
        await provider.close()
    assert took < ROOM
    reason = told.removeprefix("it cannot be bound to: ")
    assert reason.startswith("TCP connect to 127.0.0.1:1 failed")
    assert log.warnings == [{"event": "sms_centre_not_bound", "reason": reason}]


async def test_a_session_that_ends_is_begun_again(centre: SmsCentre, connect: Connect) -> None:
    async with connect() as provider:
        await provider.submit(submission())
        await centre.do(drop=True)
        await centre.see("bind_transceiver", 2)
        assert await provider.submit(submission()) == Submitted("m2")


async def test_tls_is_for_whom_the_system_trusts(
    receipts: Receipts, log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = create_certificate(tmp_path, "127.0.0.1")
    async with sms_centre(*certificate) as centre:
        for trusted in (False, True):
            if trusted:
                monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
            provider = SmppProvider(settings(centre, tls=True), receipts, log)
            try:
                if trusted:
                    assert await provider.submit(submission()) == Submitted("m1")
                else:
                    await seconds_of(provider.submit(submission()), ProviderUnavailable)
            finally:
                await provider.close()
    assert len(centre.seen("bind_transceiver")) == 1


async def test_closing_unbinds(centre: SmsCentre, connect: Connect) -> None:
    async with connect() as provider:
        await provider.submit(submission())
    await centre.see("unbind")
    await centre.see("closed")
    assert len(centre.seen("connected")) == 1


async def test_the_event_loop_goes_on_meanwhile(centre: SmsCentre, connect: Connect) -> None:
    await centre.do(behave={"submit": "hang"})
    async with connect(answer_timeout=1.0) as provider:
        await centre.see("bind_transceiver")
        waiting = asyncio.ensure_future(provider.submit(submission()))
        turns = 0
        while not waiting.done():
            await asyncio.sleep(0.01)
            turns += 1
        with pytest.raises(SubmissionUncertain):
            await waiting
    assert turns > 20
