"""Sign-ins from the phone to the tokens per second, beside the ceiling: start, code, tokens.

Customers sign in again and again, by the phone grant of a bot and by the authorization challenge
endpoint of an app; their messages go to the development inbox. Prints a table and, as the last
line, the same as a JSON object.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import uvloop

from benchmarks.connection import Connection
from benchmarks.machine import this_machine
from benchmarks.measure import Figures, GoOn, Sample, measure, measure_all
from benchmarks.prepare import VERIFIER, bot_of
from benchmarks.processes import Server, ceiling, provider
from benchmarks.report import CEILING, json, table
from benchmarks.users import SCOPE, Ceiling, Client, Tokens, WrongAnswer, decoded, expect, verify
from conf.settings import Settings
from flows.grants.names import AUTHORIZATION_CODE, PHONE_OTP
from keys.hashing import b64url, sha256
from keys.life_cycle import LifeCycle
from keys.ring import KeyRing
from keys.sealing import load_sealer
from storage.store import Store

# All customers come from one address and one bot, and sign in without a pause.
_NO_LIMITS = "".join(
    f"[{name}]\nburst = 1_000_000\nperiod_seconds = 1\n"
    for name in (
        "interactions_per_address",
        "otp.sends_per_phone",
        "otp.sends_per_address",
        "otp.sends_per_client",
    )
)
_FIRST_PHONE = 79160000000
_VERIFY_EVERY = 100  # journeys
_MESSAGE_SECONDS = 5.0
_OK, _INSUFFICIENT = 200, 403

_TOKENS = msgspec.json.Decoder(Tokens)


class _Started(msgspec.Struct, frozen=True):
    otp_session: str


class _Challenged(msgspec.Struct, frozen=True):
    auth_session: str
    otp_required: bool = False
    profile_required: bool = False


class _Issued(msgspec.Struct, frozen=True):
    authorization_code: str


class _Message(msgspec.Struct, frozen=True):
    phone: str
    code: str


class Inbox:
    """The file of the development inbox, read as it grows: what customers see on their phones."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._codes: dict[str, str] = {}

    async def code_for(self, phone: str) -> str:
        """The code of the message that has just been sent to a phone. Raises WrongAnswer."""
        until = time.perf_counter() + _MESSAGE_SECONDS
        while phone not in self._codes:
            if time.perf_counter() > until:
                raise WrongAnswer("no message came")
            if not self._look():
                await asyncio.sleep(0.001)
        return self._codes.pop(phone)

    def _look(self) -> bool:
        with self._path.open("rb") as file:
            file.seek(self._read)
            lines, _, _ = file.read().rpartition(b"\n")
        if not lines:
            return False
        self._read += len(lines) + 1
        for line in lines.split(b"\n"):
            message = msgspec.json.decode(line, type=_Message)
            self._codes[message.phone] = message.code
        return True


@dataclass(slots=True)
class _Customer:
    """Somebody with a phone at one connection. A journey takes as long as its answers together."""

    port: int
    client: Client
    keys: KeyRing
    inbox: Inbox
    phone: str
    _waited: float = 0.0
    _journeys: int = field(default=0)

    async def go_on(self, connection: Connection, until: float, sample: Sample) -> None:
        """Sign in until it is time."""
        while time.perf_counter() < until:
            self._waited = 0.0
            try:
                await self._sign_in(connection)
                sample.seconds.append(self._waited)
            except WrongAnswer as fault:
                sample.faults.append(str(fault))
            except ConnectionError as error:
                sample.faults.append(str(error))
                return

    async def _sign_in(self, connection: Connection) -> None:
        raise NotImplementedError

    async def _post(
        self, connection: Connection, path: str, form: Mapping[str, str]
    ) -> tuple[int, bytes]:
        request = self.client.post(self.port, path, form)
        began = time.perf_counter()
        answer = await connection.ask(request)
        self._waited += time.perf_counter() - began
        return answer

    async def _redeem(self, connection: Connection, form: Mapping[str, str]) -> None:
        tokens = decoded(_TOKENS, *await self._post(connection, "/token", form))
        expect("the scope", tokens.scope, SCOPE)
        self._journeys += 1
        if self._journeys % _VERIFY_EVERY == 1:
            verify(self.keys, tokens.access_token, tokens.id_token)


class _ByPhoneGrant(_Customer):
    """Two requests: `/otp` and `/token`."""

    async def _sign_in(self, connection: Connection) -> None:
        answer = await self._post(connection, "/otp", {"phone": self.phone})
        started = decoded(msgspec.json.Decoder(_Started), *answer)
        form = {
            "grant_type": PHONE_OTP,
            "otp_session": started.otp_session,
            "otp": await self.inbox.code_for(self.phone),
            "scope": SCOPE,
        }
        await self._redeem(connection, form)


class _ByChallenge(_Customer):
    """Three requests: the phone, the code, `/token`; the first time a name too."""

    async def _sign_in(self, connection: Connection) -> None:
        begun = await self._challenge(
            connection,
            {
                "response_type": "code",
                "scope": SCOPE,
                "code_challenge": b64url(sha256(VERIFIER)),
                "code_challenge_method": "S256",
                "phone": self.phone,
            },
        )
        if isinstance(begun, _Issued) or not begun.otp_required:
            raise WrongAnswer(f"no code is asked for: {begun}")
        session = {"auth_session": begun.auth_session}
        otp = await self.inbox.code_for(self.phone)
        proven = await self._challenge(connection, session | {"otp": otp})
        if isinstance(proven, _Challenged) and proven.profile_required:
            profile = {"given_name": "Anna", "terms_accepted": "true"}
            proven = await self._challenge(connection, session | profile)
        if isinstance(proven, _Challenged):
            raise WrongAnswer(f"no code is given: {proven}")
        form = {
            "grant_type": AUTHORIZATION_CODE,
            "code": proven.authorization_code,
            "code_verifier": VERIFIER,
        }
        await self._redeem(connection, form)

    async def _challenge(
        self, connection: Connection, form: Mapping[str, str]
    ) -> _Challenged | _Issued:
        status, body = await self._post(connection, "/authorize-challenge", form)
        if status == _INSUFFICIENT:
            return decoded(msgspec.json.Decoder(_Challenged), _OK, body)
        return decoded(msgspec.json.Decoder(_Issued), status, body)


def main() -> int:
    """Measure as the command line says; the exit code is 1 if any answer was wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.journeys", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="for each measurement")
    parser.add_argument("--connections", type=int, default=32, help="one customer at each")
    parser.add_argument("--workers", type=int, default=1, help="of the provider and of the ceiling")
    options = parser.parse_args()
    # As Ctrl-C does, so that nothing is left behind.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    machine = this_machine()
    with (
        tempfile.TemporaryDirectory(prefix="idp-bench-") as directory,
        provider(Path(directory), options.workers, toml=_NO_LIMITS) as (settings, server),
        ceiling(settings, server) as bare,
    ):
        figures = uvloop.run(
            _run(settings, server, bare, options.connections, seconds=options.seconds)
        )
    print(table(figures))
    print(json(figures, machine | vars(options)))
    return 1 if any(it.errors for it in figures.values()) else 0


async def _run(
    settings: Settings, server: Server, bare: Server, connections: int, *, seconds: float
) -> dict[str, Figures]:
    store = await Store.open(settings)
    sealer = load_sealer(settings.key_encryption_keys)
    keys = await KeyRing.open(LifeCycle.of(settings, store, sealer), int(time.time()))
    figures = {}
    for name, everybody in _everybody(settings, server, keys, connections).items():
        figures[name] = await measure_all(name, everybody, server, seconds)
    idle = [Ceiling(bare.port, keys) for _ in range(connections)]
    figures[CEILING] = await measure(CEILING, idle, bare, seconds)
    await store.close()
    return figures


def _everybody(
    settings: Settings, server: Server, keys: KeyRing, connections: int
) -> dict[str, Sequence[GoOn]]:
    inbox = Inbox(settings.directory / "inbox.jsonl")
    kinds: dict[str, tuple[type[_Customer], Client]] = {
        "phone grant": (_ByPhoneGrant, bot_of(settings)),
        "challenge": (_ByChallenge, Client("demo-native", "")),
    }
    return {
        name: [
            customer(server.port, client, keys, inbox, f"+{_FIRST_PHONE + number}").go_on
            for number in range(connections)
        ]
        for name, (customer, client) in kinds.items()
    }


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
