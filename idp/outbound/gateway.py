"""A message provider that is reached over HTTP: one request for one message."""

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

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
_KEPT_SECONDS = 4.0  # many servers close what is idle for five
_LONGEST_ANSWER = 65_536  # bytes
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
        self._json = msgspec.json.decode(self._settings.json) if self._settings.json else None
        self._client = aiohttp.ClientSession(
            connector=_Connections(
                limit=_CONNECTIONS, ssl=tls.context(ca_file), keepalive_timeout=_KEPT_SECONDS
            ),
            # To look up its name is a part of `connect`, and not of `sock_connect`.
            timeout=aiohttp.ClientTimeout(total=settings.timeout, connect=settings.timeout / 2),
            headers=self._own_headers(),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    def _own_headers(self) -> Mapping[str, str]:
        own = {"User-Agent": _USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
        if self._json is not None:
            return own | {"Content-Type": "application/json"}
        if self._settings.form is not None:
            return own | {"Content-Type": "application/x-www-form-urlencoded"}
        return own

    async def submit(self, submission: Submission) -> Submitted:
        """Ask for a message. Raises SubmissionRefused and SubmissionUncertain."""
        try:
            async with self._request(submission) as response:
                body = bytearray()
                async for part in response.content.iter_any():
                    body += part
                    if len(body) > _LONGEST_ANSWER:
                        raise SubmissionUncertain("the answer is too long")
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise ProviderUnavailable(type(error).__name__) from error
        except aiohttp.ClientError as error:
            raise SubmissionUncertain(type(error).__name__) from error
        except TimeoutError as error:
            raise SubmissionUncertain("no answer in time") from error
        return self._read(response.status, Said(bytes(body)))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _request(
        self, submission: Submission
    ) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
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
        settings, content = self._settings, None
        if self._json is not None:
            content = msgspec.json.encode(_filled(self._json, values))
        elif settings.form is not None:
            content = urlencode(_filled(settings.form, values)).encode()
        return self._client.request(
            settings.method,
            settings.url,
            params=_filled(settings.query, values),
            headers=_filled(settings.headers, values),
            data=content,
            allow_redirects=False,
            middlewares=(_Once(),),
        )

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


class _Connections(aiohttp.TCPConnector):
    """Keeps what a server says while nobody asks from being taken for the next one's answer."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the base's
    ) -> Connection:
        """Take a kept connection that is silent, or make one."""
        while True:
            connection = await super().connect(req, traces, timeout)
            if connection.protocol is None or not connection.protocol.should_close:
                return connection
            connection.close()


class _Once:
    """Keeps a message from being asked for twice.

    Where a connection is lost aiohttp repeats what may be repeated (RFC 9110 9.2.2): a GET and a
    PUT, but not of a message.
    """

    _asked = False

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if self._asked:
            raise SubmissionUncertain("the connection was lost")
        self._asked = True
        return await handler(request)


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
