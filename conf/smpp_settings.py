"""Reading what the settings say about an SMS centre that speaks SMPP 3.4."""

import re
from dataclasses import dataclass, field
from typing import Final

from conf.decoding import Form, Table

_HOST: Final = Form(re.compile(r"[A-Za-z0-9.:-]{1,253}"), "must be a host name or an IP address")
_SOURCE: Final = Form(
    re.compile(r"[0-9]{1,20}|[A-Za-z0-9 ._-]{1,11}"),
    "must be at most 11 Latin letters, digits, spaces and . _ -, or at most 20 digits",
)
# SMPP 3.4 4.1.5: the sizes of C-Octet Strings, less the one that ends them.
_SYSTEM_ID: Final = Form(re.compile(r"[!-~]{1,15}"), "must be 1 to 15 characters of ASCII")
_SYSTEM_TYPE: Final = Form(re.compile(r"[!-~]{1,12}"), "must be 1 to 12 characters of ASCII")
_LONGEST_PASSWORD: Final = 8


@dataclass(frozen=True, slots=True)
class SmppSettings:
    """An SMS centre, and who we are to it. Durations are seconds.

    `source` is the sender where a channel has none; a sender of digits is of `source_ton` and
    `source_npi`, one with letters is alphanumeric. At most `window` submissions are without an
    answer at a time. Each has a third of `answer_timeout` for a place there, and the rest for its
    answer.
    """

    host: str
    port: int
    system_id: str
    password: str = field(repr=False)
    tls: bool = True
    system_type: str = ""
    source: str = ""
    source_ton: int = 0
    source_npi: int = 1
    window: int = 10
    answer_timeout: float = 5.0


def read_smpp(table: Table) -> SmppSettings:
    """Read the table of an SMS centre."""
    standard = SmppSettings("", 0, "", "")
    tls = table.boolean("tls", default=True)
    password = table.text_or_secret("password")
    if len(password) > _LONGEST_PASSWORD:
        table.fault("password", f"must have at most {_LONGEST_PASSWORD} characters (SMPP 3.4)")
    return SmppSettings(
        host=table.text("host", form=_HOST),
        port=table.integer("port", 3550 if tls else 2775, 1, 65_535),
        tls=tls,
        system_id=table.text("system_id", form=_SYSTEM_ID),
        password=password,
        system_type=table.text("system_type", form=_SYSTEM_TYPE) if "system_type" in table else "",
        source=table.text("source", form=_SOURCE) if "source" in table else "",
        source_ton=table.integer("source_ton", standard.source_ton, 0, 6),
        source_npi=table.integer("source_npi", standard.source_npi, 0, 18),
        window=table.integer("window", standard.window, 1, 1000),
        answer_timeout=table.number("answer_timeout_seconds", standard.answer_timeout, 0.5, 30),
    )
