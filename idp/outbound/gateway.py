"""A message provider that is reached over HTTP: one request for one message."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec

from conf.delivery import MessageProvider as ProviderSettings
from flows.one_time_code import CALL_DIGITS
from flows.ports import (
    ProviderUnavailable,
    Submission,
    SubmissionRefused,
    SubmissionUncertain,
    Submitted,
)
from idp.outbound import tls
from idp.outbound.http1 import NoAnswer, Origin
from idp.outbound.readings import Said

_USER_AGENT = "idp"
_LONGEST_ERROR = 60  # characters that reach the log
_DIGITS = re.compile(r"\d{4,}")
_NO_DIGIT = re.compile("[^0-9]")
# RFC 6585 4, RFC 9110 15.6.2 and 15.6.4: the server says that it has not done what it was asked.
_BUSY = frozenset({429, 501, 503})
_SUCCESS, _REFUSALS = 2, frozenset({3, 4})  # a status' first digit


class HttpGateway:
    """Asks as the settings say, and reads the answer by one rule.

    Not reached, redirected, a status 4xx, 501 or 503, or an `error` in the answer: refused. Taken
    is what has one of the statuses, and all that it must have: `success`, or a flash call's `code`.
    Everything else may have been taken: no whole answer in time, one that is too long, another
    status, rubbish.
    """

    def __init__(self, settings: ProviderSettings, ca_file: Path | None) -> None:
        assert settings.http is not None  # noqa: S101 - the caller picks the adapter by it
        self._settings = settings.http
        self._kind = settings.kind
        self._timeout = settings.timeout
        self._json = msgspec.json.decode(self._settings.json) if self._settings.json else None
        self._origin = Origin(self._settings.url, tls.context(ca_file))
        given = {name.lower() for name in self._settings.headers}
        self._headers = "".join(
            f"{name}: {value}\r\n"
            for name, value in self._own_headers()
            if name.lower() not in given
        )

    def _own_headers(self) -> Iterator[tuple[str, str]]:
        yield "Host", self._origin.authority
        yield "User-Agent", _USER_AGENT
        yield "Accept", "*/*"
        yield "Accept-Encoding", "identity"
        if self._json is not None:
            yield "Content-Type", "application/json"
        elif self._settings.form is not None:
            yield "Content-Type", "application/x-www-form-urlencoded"

    async def submit(self, submission: Submission) -> Submitted:
        """Ask for a message. Raises SubmissionRefused and SubmissionUncertain."""
        request = self._request(submission)
        try:
            answer = await self._origin.ask(request, self._timeout)
        except OSError as error:
            raise ProviderUnavailable(type(error).__name__) from error
        except NoAnswer as error:
            raise SubmissionUncertain(str(error)) from error
        return self._read(answer.status, Said(answer.body))

    async def close(self) -> None:
        """Close the connections."""
        self._origin.close()

    def _request(self, submission: Submission) -> bytes:
        values: dict[str, Any] = {
            "phone": submission.phone,
            "digits": submission.phone.removeprefix("+"),
            "text": submission.text,
            "code": submission.code,
            "sender": submission.sender,
            "submission_id": submission.submission_id,
            "valid_for": submission.valid_for,
            **self._settings.secrets,
        }
        settings, target, content = self._settings, self._origin.target, b""
        if settings.query:
            target += ("&" if "?" in target else "?") + urlencode(_filled(settings.query, values))
        headers = self._headers
        for name, value in _filled(settings.headers, values).items():
            headers += f"{name}: {value}\r\n"
        if self._json is not None:
            content = msgspec.json.encode(_filled(self._json, values))
        elif settings.form is not None:
            content = urlencode(_filled(settings.form, values)).encode()
        if settings.method != "GET":
            headers += f"Content-Length: {len(content)}\r\n"
        return f"{settings.method} {target} HTTP/1.1\r\n{headers}\r\n".encode() + content

    def _read(self, status: int, said: Said) -> Submitted:
        rules = self._settings.answer
        if status in _BUSY:
            raise ProviderUnavailable(f"status {status}")
        if status // 100 in _REFUSALS:
            raise SubmissionRefused(f"status {status}{_shown(said.find(rules.error))}")
        taken = status in rules.statuses if rules.statuses else status // 100 == _SUCCESS
        if not taken:
            raise SubmissionUncertain(f"status {status}")
        error = said.find(rules.error)
        if error is not None:
            raise SubmissionRefused(f"status {status}{_shown(error)}")
        if rules.success is not None and said.find(rules.success) is None:
            raise SubmissionUncertain("the answer says neither success nor error")
        if self._kind != "flash_call":
            return Submitted(said.find(rules.id))
        digits = _NO_DIGIT.sub("", said.find(rules.code) or "")
        if len(digits) < CALL_DIGITS:
            raise SubmissionUncertain("the answer has no code")
        return Submitted(said.find(rules.id), digits[-CALL_DIGITS:])


def _filled(template: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(template, Mapping):
        return {
            name: _filled(below, values)
            for name, below in template.items()
            if not _lacks_sender(below, values)
        }
    if isinstance(template, list):
        return [_filled(below, values) for below in template]
    if template == "{valid_for}":
        return values["valid_for"]
    return template.format_map(values) if isinstance(template, str) else template


def _lacks_sender(template: object, values: Mapping[str, Any]) -> bool:
    return values["sender"] is None and isinstance(template, str) and "{sender}" in template


def _shown(error: str | None) -> str:
    """What a provider complains of, for the log: without anything like a phone or a code."""
    if error is None:
        return ""
    plain = "".join(it for it in _DIGITS.sub("...", error) if it.isprintable())
    return f": {plain[:_LONGEST_ERROR]}"
