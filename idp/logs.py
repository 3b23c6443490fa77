"""The log: JSON lines on standard output, or a readable console in development."""

import asyncio
import datetime as dt
import io
import json
import logging
import logging.config
import re
import select
import sys
from typing import Literal

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

# E.164 with its plus, which may be url-encoded and the digits separated as people type them;
# or a bare run of as many digits as a number with its area has, decimals excepted.
_PHONE = re.compile(
    r"(?:\+|%2[Bb])[1-9](?:[ ()-]{0,2}\d){6,14}|(?<!\d)(?<!\d\.)\d{10,15}(?!\d)",
)
_SHORTEST = 8  # characters
_BARE_NUMBERS = range(10**10, 10**15)
_PLUS = ("+", "%2B", "%2b")
_KEPT = 2
# What these hold is made here, and never sent by anybody. Looking through them would take as long
# as looking through the rest of a request's line, and writing it.
_OURS = frozenset({"method", "route", "status", "ms", "reference"})
_GATHERED_SECONDS = 0.02


def configure(log_format: Literal["json", "console"]) -> None:
    """Send structlog and the standard library's loggers to standard output in one format."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A log line must never fail on what a request contained.
        sys.stdout.reconfigure(errors="backslashreplace")
    # What is added afterwards is ours, and need not be looked through for phones.
    processors: list[Processor] = [
        structlog.processors.format_exc_info,
        mask_phones,
        structlog.processors.add_log_level,
        *_rendering(log_format),
    ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        # One write for each line: processes that share a standard output must not mix theirs.
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *processors],
        )
    )
    # At INFO, libraries tell each request and each connection that they make.
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.INFO)
    # It warns twenty times a second while the store is away, of which we tell once.
    logging.getLogger("asynctnt").setLevel(logging.ERROR)


class GatheredLines:
    """A logger whose lines wait 20 ms for others, to be written together.

    A write takes a tenth of a request's time. Only for an event loop's own thread, and for what a
    killed process may lose. No write is longer than the system keeps in one piece (PIPE_BUF):
    processes that share a standard output must not mix their lines.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._bytes = 0

    def info(self, line: str) -> None:
        """Take one line."""
        length = len(line.encode(errors="backslashreplace")) + 1
        if self._bytes + length > select.PIPE_BUF:
            self.write()
        if not self._lines:
            asyncio.get_running_loop().call_later(_GATHERED_SECONDS, self.write)
        self._lines.append(line)
        self._bytes += length

    def write(self) -> None:
        """Write what waits."""
        lines, self._lines, self._bytes = self._lines, [], 0
        if lines:
            sys.stdout.write("\n".join([*lines, ""]))
            sys.stdout.flush()


def mask_phones(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Leave of every phone number the first and last two digits; a structlog processor."""
    return {key: value if key in _OURS else _masked(value) for key, value in event.items()}


def _masked(value: object) -> object:
    match value:
        case str():
            return _PHONE.sub(_stars, value) if len(value) >= _SHORTEST else value
        case int() if value in _BARE_NUMBERS:
            return _masked(str(value))
        case None | int() | float():
            return value
        case dict():
            return {_masked(key): _masked(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_masked(item) for item in value]
        case _:
            return _masked(repr(value))


def _stars(phone: re.Match[str]) -> str:
    text = phone[0]
    plus = "+" if text.startswith(_PLUS) else ""
    digits = re.sub(r"\D", "", text.removeprefix("%2B").removeprefix("%2b"))
    return f"{plus}{digits[:_KEPT]}{'*' * (len(digits) - 2 * _KEPT)}{digits[-_KEPT:]}"


def _rendering(log_format: Literal["json", "console"]) -> list[Processor]:
    if log_format == "json":
        return [_json]
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stdout.isatty(),
        # The default shows local variables, and these hold secrets.
        exception_formatter=structlog.dev.plain_traceback,
    )
    return [structlog.processors.TimeStamper(fmt="iso", utc=True), console]


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    event["timestamp"] = dt.datetime.now(dt.UTC)
    try:
        return msgspec.json.encode(event).decode()
    except (TypeError, ValueError):  # of half a character, or of a key that is no text
        return json.dumps(msgspec.to_builtins(event))
