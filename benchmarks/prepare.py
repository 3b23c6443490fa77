"""Customers who sign in, and codes that wait to be redeemed."""

import time

import msgspec

from benchmarks.connection import Connection
from benchmarks.processes import TEST_CODE
from benchmarks.users import SCOPE, Client
from conf.settings import Settings
from flows.grants.names import PHONE_OTP
from flows.requests import AuthorizationRequest
from flows.sending_limits import keyed
from keys.hashing import b64url, random_id, random_secret, sha256
from storage.store import Store

DEMO_CALLBACK = "http://localhost:8001/callback"
VERIFIER = random_secret()


def bot_of(settings: Settings) -> Client:
    """The client with the phone grant."""
    return Client("demo-bot", "", secret_of(settings, "demo-bot"))


def secret_of(settings: Settings, client_id: str) -> str:
    """The secret of a client of the demo channel."""
    return (settings.directory / "secrets" / client_id).read_text(encoding="ascii").strip()


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
