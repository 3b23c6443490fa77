"""Customers without a pause, and the ledger of all that they were given."""

import asyncio
import itertools
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from benchmarks.connection import Connection, get
from benchmarks.prepare import phone_grant
from benchmarks.users import Client

PATIENCE = 5.0  # seconds that a client waits for an answer
_OK = 200
_FAULTS_TOLD = 8
_REFRESHES = 10  # after each sign-in


class _Tokens(msgspec.Struct):
    access_token: str
    refresh_token: str


@dataclass(slots=True)
class Ledger:
    """Every answer that was received, and what every customer holds by the last of them."""

    acknowledged: int = 0
    failed_requests: int = 0
    lost: int = 0
    gap: float = 0.0  # the longest time without any answer, in seconds
    held: dict[int, _Tokens] = field(default_factory=dict)
    _last: float = 0.0

    def answered(self) -> None:
        """Count an answer that was a success."""
        at = time.monotonic()
        if self._last:
            self.gap = max(self.gap, at - self._last)
        self._last = at
        self.acknowledged += 1

    def failed(self, what: str) -> None:
        """Count a request that a patient client gave up, or that was refused."""
        self.failed_requests += 1
        if self.failed_requests <= _FAULTS_TOLD:
            tell(f"  failed: {what}")

    def missing(self, what: str) -> None:
        """Count something acknowledged that is not there."""
        self.lost += 1
        if self.lost <= _FAULTS_TOLD:
            tell(f"  lost: {what}")


class _Failed(Exception):
    pass


@dataclass(slots=True)
class Customer:
    """Signs in, refreshes several times, and begins again as another customer; notes it all."""

    port: int
    bot: Client
    numbers: Iterator[int]
    ledger: Ledger
    ending: bool = False

    async def run(self) -> None:
        """Go on until `ending`."""
        connection = await Connection.open(self.port)
        while not self.ending:
            try:
                await self._visit(connection)
            except (_Failed, ConnectionError) as error:
                self.ledger.failed(str(error))
                connection.close()
                await asyncio.sleep(0.1)
                connection = await Connection.open(self.port)
        connection.close()

    async def _visit(self, connection: Connection) -> None:
        number = next(self.numbers)
        try:
            async with asyncio.timeout(PATIENCE):
                form = await phone_grant(connection, self.port, self.bot, f"+{number}")
        except (TimeoutError, KeyError, msgspec.DecodeError) as error:
            raise _Failed(f"/otp: {error!r}") from None
        self.ledger.answered()
        for _ in range(1 + _REFRESHES):
            if self.ending:
                return
            tokens = await self._tokens(connection, form)
            self.ledger.held[number] = tokens
            form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token}

    async def _tokens(self, connection: Connection, form: dict[str, str]) -> _Tokens:
        status, body = await _ask(connection, self.bot.post(self.port, "/token", form))
        if status != _OK:
            raise _Failed(f"/token ({form['grant_type']}): {status} {body.decode()[:200]}")
        self.ledger.answered()
        return msgspec.json.decode(body, type=_Tokens)


async def use_all(port: int, bot: Client, ledger: Ledger) -> None:
    """Use every token that a customer was left with: each must be good."""
    connection = await Connection.open(port)
    for number, tokens in ledger.held.items():
        form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token}
        requests = {
            "access token": get(port, "/userinfo", f"Bearer {tokens.access_token}"),
            "refresh token": bot.post(port, "/token", form),
        }
        for what, request in requests.items():
            status, body = await _ask(connection, request)
            if status != _OK:
                ledger.missing(f"the {what} of +{number}: {status} {body.decode()[:200]}")
    connection.close()


async def _ask(connection: Connection, request: bytes) -> tuple[int, bytes]:
    try:
        async with asyncio.timeout(PATIENCE):
            return await connection.ask(request)
    except TimeoutError:
        raise _Failed(f"no answer within {PATIENCE:.0f} s") from None


def numbers(first: int, count: int) -> Iterator[int]:
    """Phone numbers, each once; they suffice for the drill or it fails."""
    return itertools.islice(itertools.count(first), count)


def tell(line: str) -> None:
    """Progress, for whoever watches."""
    print(line, file=sys.stderr, flush=True)
