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
from collections.abc import Iterable
from typing import Any, Literal

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

# E.164 with its plus, which may be url-encoded and the digits separated as people type them;
# or a bare run of as many digits as a number with its area has, decimals excepted.
_PHONE = re.compile(
    r"(?:\+|%2[Bb])[1-9](?:[ ()-]{0,2}\d){6,14}|(?<!\d)(?<!\d\.)\d{10,15}(?!\d)",
)
_SHORTEST = 8  # characters
_LEAST_BARE_NUMBER, _MORE_THAN_BARE_NUMBERS = 10**10, 10**15
_PLUS = ("+", "%2B", "%2b")
_KEPT = 2
# What these hold is made here, and never sent by anybody. Looking through them would take as long
# as looking through the rest of a request's line, and writing it.
_OURS = frozenset({"timestamp", "method", "route", "status", "ms", "reference"})
_GATHERED_SECONDS = 0.02

_log = structlog.get_logger("idp.logs")


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
        _timestamp,
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
    """Lines that wait 20 ms for others, to be rendered and written together.

    One by one that takes a tenth of a request's time. Only for an event loop's own thread, and for
    what a killed process may lose. No write is longer than the system keeps in one piece
    (PIPE_BUF): processes that share a standard output must not mix their lines.
    """

    def __init__(self) -> None:
        self._events: list[EventDict] = []

    def add(self, event: EventDict) -> None:
        """Take what is to be a line at the level INFO."""
        event["timestamp"] = dt.datetime.now(dt.UTC)
        if not self._events:
            asyncio.get_running_loop().call_later(_GATHERED_SECONDS, self.write)
        self._events.append(event)

    def write(self) -> None:
        """Write what waits."""
        events, self._events = self._events, []
        processors = structlog.get_config()["processors"]
        lines: list[str] = []
        size = 0
        for event in events:
            try:
                line = f"{_rendered(event, processors)}\n"
            except Exception:  # noqa: BLE001 - whatever it is, the other lines are written
                _log.exception("line_lost", reference=event.get("reference"))
                continue
            length = len(line.encode(errors="backslashreplace"))
            if size + length > select.PIPE_BUF:
                _write(lines)
                lines, size = [], 0
            lines.append(line)
            size += length
        _write(lines)


def _rendered(event: Any, processors: Iterable[Processor]) -> Any:
    for processor in processors:
        event = processor(None, "info", event)
    return event


def _write(lines: Iterable[str]) -> None:
    text = "".join(lines)
    if text:
        sys.stdout.write(text)
        sys.stdout.flush()


def mask_phones(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Leave of every phone number the first and last two digits; a structlog processor."""
    return {key: value if key in _OURS else _masked(value) for key, value in event.items()}


def _masked(value: object) -> object:
    match value:
        case str():
            return _PHONE.sub(_stars, value) if len(value) >= _SHORTEST else value
        # Not `in range`, which counts up to a number of a type of its own.
        case int() if _LEAST_BARE_NUMBER <= value < _MORE_THAN_BARE_NUMBERS:
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
    return [_readable_time, console]


def _timestamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event.setdefault("timestamp", dt.datetime.now(dt.UTC))
    return event


def _readable_time(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event["timestamp"] = event["timestamp"].strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return event


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    try:
        return msgspec.json.encode(event).decode()
    except (TypeError, ValueError):  # of half a character, or of a key that is no text
        return json.dumps(msgspec.to_builtins(event))
