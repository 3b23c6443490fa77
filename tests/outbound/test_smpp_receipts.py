import pytest

from flows.ports import Receipt
from idp.outbound.smpp import SmppProvider
from tests.outbound.conftest import Connect, Log, Receipts, settings, submission
from tests.outbound.sms_centre import SmsCentre

RECEIPT = (
    "id:{} sub:001 dlvrd:001 submit date:2601010000 done date:2601010001 stat:{} err:000 text:id:x"
)


@pytest.mark.parametrize(
    ("stat", "state"),
    [("DELIVRD", 2), ("EXPIRED", 3), ("DELETED", 4), ("UNDELIV", 5), ("REJECTD", 8)],
)
async def test_a_receipt_says_what_became_of_it(
    centre: SmsCentre, connect: Connect, receipts: Receipts, stat: str, state: int
) -> None:
    text = RECEIPT.format("m1", stat)
    by_tlv = {"receipted_message_id": "m1", "message_state": state}
    async with connect() as provider:
        await provider.submit(submission())
        await centre.do(deliver={"esm_class": 4, "short_message": text})
        await centre.do(deliver={"esm_class": 4, "short_message": text.lower()})
        await centre.do(deliver={"esm_class": 4, **by_tlv})
        await centre.do(deliver={"esm_class": 4, "message_payload": text})
        told = await receipts.see(4)
        await centre.see("deliver_sm_resp", 4)
    assert told == [Receipt("m1", delivered=stat == "DELIVRD")] * 4


async def test_a_receipt_that_comes_twice_is_told_twice(
    centre: SmsCentre, connect: Connect, receipts: Receipts
) -> None:
    delivered = {"esm_class": 4, "short_message": RECEIPT.format("m1", "DELIVRD")}
    async with connect() as provider:
        await provider.submit(submission())
        await centre.do(deliver=delivered)
        await centre.do(deliver=delivered)
        assert await receipts.see(2) == [Receipt("m1", delivered=True)] * 2


@pytest.mark.parametrize(
    "fields",
    [
        {"esm_class": 4, "short_message": RECEIPT.format("m1", "ENROUTE")},
        {"esm_class": 4, "short_message": RECEIPT.format("m1", "ACCEPTD")},
        {"esm_class": 4, "short_message": RECEIPT.format("m1", "UNKNOWN")},
        {"esm_class": 4, "receipted_message_id": "m1", "message_state": 1},
        {"esm_class": 4, "short_message": "stat:DELIVRD"},
        {"esm_class": 4, "short_message": "\x00\x01 rubbish"},
        {"esm_class": 0, "short_message": RECEIPT.format("m1", "DELIVRD")},  # a customer wrote it
        {"esm_class": 0, "short_message": "привет", "data_coding": 8},
    ],
)
async def test_what_says_nothing_final_is_no_receipt(
    centre: SmsCentre, connect: Connect, receipts: Receipts, fields: dict[str, object]
) -> None:
    async with connect() as provider:
        await provider.submit(submission())
        await centre.do(deliver=fields)
        await centre.do(deliver={"esm_class": 4, "short_message": RECEIPT.format("m2", "DELIVRD")})
        assert await receipts.see(1) == [Receipt("m2", delivered=True)]


async def test_receipts_of_earlier_messages_come_without_a_submission(
    centre: SmsCentre, connect: Connect, receipts: Receipts
) -> None:
    async with connect():
        await centre.see("bind_transceiver")
        await centre.do(deliver={"esm_class": 4, "short_message": RECEIPT.format("m9", "DELIVRD")})
        assert await receipts.see(1) == [Receipt("m9", delivered=True)]


async def test_a_receipt_that_cannot_be_noted_harms_no_other(
    centre: SmsCentre, receipts: Receipts, log: Log
) -> None:
    async def note(receipt: Receipt) -> None:
        if receipt.provider_id == "m1":
            raise ConnectionError
        await receipts(receipt)

    provider = SmppProvider(settings(centre), note, log)
    try:
        await centre.see("bind_transceiver")
        for name in ("m1", "m2"):
            text = RECEIPT.format(name, "DELIVRD")
            await centre.do(deliver={"esm_class": 4, "short_message": text})
        assert await receipts.see(1) == [Receipt("m2", delivered=True)]
    finally:
        await provider.close()
    assert log.warnings == [{"event": "receipt_not_noted", "reason": "ConnectionError"}]
