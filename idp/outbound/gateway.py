"""A message provider that is reached over HTTP: one request for one message."""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
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
from idp.outbound.readings import Said

_CONNECTIONS = 64  # as many as a worker sends at once: no message waits for another one
_LONGEST_ANSWER = 65_536  # bytes
_LONGEST_ERROR = 60  # characters that reach the log
_DIGITS = re.compile(r"\d{4,}")
_NO_DIGIT = re.compile("[^0-9]")
# RFC 6585 4, RFC 9110 15.6.2 and 15.6.4: the server says that it has not done what it was asked.
_BUSY = frozenset({429, 501, 503})


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
        self._client = httpx2.AsyncClient(
            timeout=settings.timeout,
            limits=httpx2.Limits(max_connections=_CONNECTIONS),
            verify=tls.context(ca_file),
            trust_env=False,
            follow_redirects=False,
        )

    async def submit(self, submission: Submission) -> Submitted:
        """Ask for a message. Raises SubmissionRefused and SubmissionUncertain."""
        request = self._request(submission)
        try:
            async with asyncio.timeout(self._timeout):
                response, body = await self._exchange(request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise ProviderUnavailable(type(error).__name__) from error
        except httpx2.HTTPError as error:
            raise SubmissionUncertain(type(error).__name__) from error
        except TimeoutError as error:
            raise SubmissionUncertain("no answer in time") from error
        return self._read(response, Said(body))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _exchange(self, request: httpx2.Request) -> tuple[httpx2.Response, bytes]:
        response = await self._client.send(request, stream=True)
        body = bytearray()
        try:
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _LONGEST_ANSWER:
                    raise SubmissionUncertain("the answer is too long")
        finally:
            await response.aclose()
        return response, bytes(body)

    def _request(self, submission: Submission) -> httpx2.Request:
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
        settings = self._settings
        headers = _filled(settings.headers, values)
        content = None
        if settings.json is not None:
            headers = {"Content-Type": "application/json"} | headers
            content = msgspec.json.encode(_filled(msgspec.json.decode(settings.json), values))
        return self._client.build_request(
            settings.method,
            settings.url,
            params=_filled(settings.query, values) if settings.query else None,
            headers=headers,
            content=content,
            data=_filled(settings.form, values) if settings.form is not None else None,
        )

    def _read(self, response: httpx2.Response, said: Said) -> Submitted:
        rules, status = self._settings.answer, response.status_code
        if status in _BUSY:
            raise ProviderUnavailable(f"status {status}")
        if response.is_redirect or response.is_client_error:
            raise SubmissionRefused(f"status {status}{_shown(said.find(rules.error))}")
        taken = status in rules.statuses if rules.statuses else response.is_success
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
