"""What we say and hear in SMPP 3.4: the parts of a message, and delivery receipts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import smpp34

from flows.ports import Receipt
from flows.segments import segmented

_DATA_CODING: Final = {"gsm-7": 0, "ucs-2": 8}  # 5.2.19: the SMS centre's default alphabet, UCS-2
_WITH_HEADER: Final = 0x40  # 5.2.12: the text begins with a user data header
_MESSAGE_TYPE, _RECEIPT_TYPE = 0x3C, 0x04  # 5.2.12
_ASKED_FOR: Final = 1  # 5.2.17: a receipt of success and of failure
_ALPHANUMERIC: Final = (5, 0)  # 5.2.5, 5.2.6: a sender with letters is in no numbering plan
_RECEIPTED_MESSAGE_ID, _MESSAGE_PAYLOAD, _MESSAGE_STATE = 0x001E, 0x0424, 0x0427  # 5.3.2

# 5.2.28 and appendix B: what is final. Whatever else a receipt says, it does not say what became
# of the message.
_DELIVERED: Final = frozenset({2, "DELIVRD"})
_FAILED: Final = frozenset({3, 4, 5, 8, "EXPIRED", "DELETED", "UNDELIV", "REJECTD"})
_ID: Final = re.compile(r"\bid:(\S+)", re.IGNORECASE)
_STAT: Final = re.compile(r"\bstat:(\S+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """One short message, of the several that a long text is."""

    short_message: bytes
    data_coding: int
    esm_class: int = 0
    registered_delivery: int = 0


def parts(text: str, reference: int) -> Iterator[Part]:
    """The short messages that take a text; `reference` (one octet) is what they have in common.

    A receipt is asked for the last one alone: its name is that of the whole.
    """
    sms = segmented(text)
    count = len(sms.segments)
    for number, segment in enumerate(sms.segments, start=1):
        # 3GPP TS 23.040 9.2.3.24.1: which text, how many parts, which of them.
        header = bytes((5, 0, 3, reference, count, number)) if count > 1 else b""
        yield Part(
            short_message=header + segment,
            data_coding=_DATA_CODING[sms.alphabet],
            esm_class=_WITH_HEADER if header else 0,
            registered_delivery=_ASKED_FOR if number == count else 0,
        )


def kind_of_sender(sender: str, *, digits: tuple[int, int]) -> tuple[int, int]:
    """The type of number and the numbering plan of a sender; `digits` are those of a number."""
    return digits if not sender or sender.isdigit() else _ALPHANUMERIC


def validity_period(seconds: int) -> str:
    """A duration of less than 100 days from now (7.1.1)."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"0000{days:02}{hours:02}{minutes:02}{seconds:02}000R"


def receipt_of(delivered: smpp34.DeliverSmEvent) -> Receipt | None:
    """What a delivery receipt says; None if this is none, or says nothing final."""
    if delivered.esm_class & _MESSAGE_TYPE != _RECEIPT_TYPE:
        return None
    parameters = {it.tag: it.value for it in delivered.tlvs}
    octets = delivered.short_message or parameters.get(_MESSAGE_PAYLOAD, b"")
    text = octets.decode("latin-1")
    name = parameters.get(_RECEIPTED_MESSAGE_ID, b"").rstrip(b"\0").decode("latin-1")
    provider_id = name or _said(_ID, text)
    state = parameters.get(_MESSAGE_STATE, b"")
    status: int | str = state[0] if state else _said(_STAT, text).upper()
    if not provider_id or status not in _DELIVERED | _FAILED:
        return None
    return Receipt(provider_id, delivered=status in _DELIVERED)


def _said(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""
