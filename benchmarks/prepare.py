"""Customers who are signed in, and codes that wait to be redeemed."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

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

VERIFIER = random_secret()
_AT_ONCE = 64


def _clients(secrets: Path) -> tuple[Client, ...]:
    """One client of each kind: every second connection is the one, the others the other."""
    return (
        Client("demo", "http://localhost:8001/callback", _secret(secrets, "demo")),
        Client("demo-native", "http://127.0.0.1/callback"),
    )


async def sign_in(
    settings: Settings, keys: KeyRing, connections: Sequence[Connection]
) -> list[Account]:
    """A customer for each connection, by the phone grant and over that connection.

    One after the other: argon2 verifies one secret at a time, and each worker its own.
    """
    secrets = settings.directory / "secrets"
    kinds = _clients(secrets)
    port = settings.listen.port
    bot = Client("demo-bot", "", _secret(secrets, "demo-bot"))
    accounts = []
    for index, connection in enumerate(connections):
        phone = f"+{FIRST_TEST_NUMBER + index}"
        _, body = await connection.ask(bot.post(port, "/otp", {"phone": phone}))
        form = {
            "grant_type": PHONE_OTP,
            "otp_session": msgspec.json.decode(body)["otp_session"],
            "otp": TEST_CODE,
        }
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
        made += await asyncio.gather(*(_code(settings, store, account) for _ in range(batch)))
    return made


async def _code(settings: Settings, store: Store, account: Account) -> tuple[str, str]:
    grant_id, nonce = random_id(), random_id()
    code = f"{grant_id}.{random_secret()}"
    request = AuthorizationRequest(
        client_id=account.client.client_id,
        redirect_uri=account.client.redirect_uri,
        response_mode="query",
        scope=SCOPE,
        offline=False,
        refresh=True,
        locale="en",
        nonce=nonce,
        code_challenge=b64url(sha256(VERIFIER)),
    )
    await store.code_issue(
        sid=account.sid,
        sub=account.sub,
        request=request.to_store(),
        grant_id=grant_id,
        code_hash=sha256(code),
        lifetimes=settings.lifetimes,
        limit=keyed("begin", account.sid, settings.interactions_per_address),
        now=int(time.time()),
    )
    return code, nonce


def _secret(secrets: Path, client_id: str) -> str:
    return (secrets / client_id).read_text(encoding="ascii").strip()
