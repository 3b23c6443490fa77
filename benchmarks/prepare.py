"""Customers who are signed in, and codes that wait to be redeemed."""

import asyncio
import time
from collections.abc import Sequence

import msgspec

from benchmarks.connection import Connection
from benchmarks.processes import FIRST_TEST_NUMBER, TEST_CODE
from benchmarks.users import SCOPE, Account, Client, claims_of
from conf.settings import Settings
from flows.grants.names import PHONE_OTP
from flows.one_time_code import keyed
from flows.requests import AuthorizationRequest
from keys.hashing import b64url, random_id, random_secret, sha256
from keys.ring import KeyRing
from storage.store import Store

DEMO_CALLBACK = "http://localhost:8001/callback"
VERIFIER = random_secret()
_AT_ONCE = 64


def bot_of(settings: Settings) -> Client:
    """The client with the phone grant."""
    return Client("demo-bot", "", secret_of(settings, "demo-bot"))


def secret_of(settings: Settings, client_id: str) -> str:
    """The secret of a client of the demo channel."""
    return (settings.directory / "secrets" / client_id).read_text(encoding="ascii").strip()


def _clients(settings: Settings) -> tuple[Client, ...]:
    """One client of each kind: every second connection is the one, the others the other."""
    return (
        Client("demo", DEMO_CALLBACK, secret_of(settings, "demo")),
        Client("demo-native", "http://127.0.0.1/callback"),
    )


async def sign_in(
    settings: Settings, keys: KeyRing, connections: Sequence[Connection]
) -> list[Account]:
    """A customer for each connection, by the phone grant and over that connection.

    One after the other: argon2 verifies one secret at a time, and each worker its own.
    """
    kinds = _clients(settings)
    port = settings.listen.port
    bot = bot_of(settings)
    accounts = []
    for index, connection in enumerate(connections):
        phone = f"+{FIRST_TEST_NUMBER + index}"
        form = await phone_grant(connection, port, bot, phone)
        _, body = await connection.ask(bot.post(port, "/token", form))
        sub, sid = claims_of(msgspec.json.decode(body)["id_token"])
        client = kinds[index % len(kinds)]
        accounts.append(Account(port, settings.issuer, keys, client, phone, sub, sid))
    return accounts


async def codes(
    settings: Settings, store: Store, account: Account, number: int
) -> list[tuple[str, str]]:
    """Codes for an account, with their nonces.

    As single sign-on at the authorization endpoint issues them, but without its requests.
    """
    made: list[tuple[str, str]] = []
    while len(made) < number:
        batch = min(_AT_ONCE, number - len(made))
        client, sub, sid = account.client, account.sub, account.sid
        made += await asyncio.gather(
            *(code(settings, store, client, sub=sub, sid=sid) for _ in range(batch))
        )
    return made


async def phone_grant(connection: Connection, port: int, bot: Client, phone: str) -> dict[str, str]:
    """The form of the token request of a customer who has given the bot the code."""
    _, body = await connection.ask(bot.post(port, "/otp", {"phone": phone}))
    return {
        "grant_type": PHONE_OTP,
        "otp_session": msgspec.json.decode(body)["otp_session"],
        "otp": TEST_CODE,
    }


async def code(
    settings: Settings, store: Store, client: Client, *, sub: str, sid: str
) -> tuple[str, str]:
    """One code for a client, in the session `sid` of the customer `sub`, with its nonce."""
    grant_id, nonce = random_id(), random_id()
    secret = f"{grant_id}.{random_secret()}"
    request = AuthorizationRequest(
        client_id=client.client_id,
        redirect_uri=client.redirect_uri,
        response_mode="query",
        scope=SCOPE,
        offline=False,
        refresh=True,
        locale="en",
        nonce=nonce,
        code_challenge=b64url(sha256(VERIFIER)),
    )
    await store.code_issue(
        sid=sid,
        sub=sub,
        request=request.to_store(),
        grant_id=grant_id,
        code_hash=sha256(secret),
        lifetimes=settings.lifetimes,
        limit=keyed("begin", sid, settings.interactions_per_address),
        now=int(time.time()),
    )
    return secret, nonce
