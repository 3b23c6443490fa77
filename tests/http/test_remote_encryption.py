"""Responses that are encrypted to what a client publishes by `jwks_uri`."""

import asyncio
import json

import httpx2
from joserfc import jwe, jwt
from joserfc.jwk import ECKey, KeySet

from keys.hashing import random_id
from tests.http.provider import Browser, RelyingParty, Running, claims_of, new_phone
from tests.http.registered import register
from tests.idp.stranger import said, stranger

KEY = ECKey.generate_key("P-256", {"kid": "agreement", "use": "enc"})
SIGNING_KEY = ECKey.generate_key("P-256", {"kid": "signature", "use": "sig"})
KEYS = json.dumps({"keys": [it.as_dict(private=False) for it in (SIGNING_KEY, KEY)]}).encode()
NO_KEY = json.dumps({"keys": [SIGNING_KEY.as_dict(private=False)]}).encode()


async def new_party(provider: Running, port: int) -> RelyingParty:
    """A relying party whose responses are encrypted to the keys that it publishes at a port."""
    client_id = f"encrypted-{random_id()}"
    secret = await asyncio.to_thread(
        register,
        provider,
        client_id,
        jwks_uri=f"http://127.0.0.1:{port}/jwks",
        id_token_encrypted_response_alg="ECDH-ES",
        userinfo_encrypted_response_alg="ECDH-ES",
    )
    assert secret is not None
    (provider.directory / "secrets" / client_id).write_text(secret, encoding="ascii")
    return RelyingParty(provider, client_id)


async def code_for(browser: Browser, party: RelyingParty) -> str:
    answer = await asyncio.to_thread(browser.sign_in, party, new_phone())
    return answer["code"]


async def redeem(party: RelyingParty, code: str) -> httpx2.Response:
    return await asyncio.to_thread(party.redeem, code)


async def test_id_token_and_userinfo_are_encrypted_to_the_key_that_is_published(
    provider: Running, browser: Browser
) -> None:
    async with stranger(said(KEYS)) as publisher:
        party = await new_party(provider, publisher.port)
        tokens = (await redeem(party, await code_for(browser, party))).json()
        userinfo = await asyncio.to_thread(provider.userinfo, tokens["access_token"])

    signed = jwe.decrypt_compact(tokens["id_token"], KEY).plaintext or b""
    with provider.client() as client:
        ours = KeySet.import_key_set(client.get("/jwks").json())
    id_token = jwt.decode(signed.decode(), ours, algorithms=["RS256"]).claims
    assert id_token["aud"] == party.client_id
    told = json.loads(jwe.decrypt_compact(userinfo.text, KEY).plaintext or b"")
    assert told["sub"] == id_token["sub"] == claims_of(tokens["access_token"])["sub"]


async def test_keys_that_cannot_be_fetched_just_now_cost_no_code(
    provider: Running, browser: Browser
) -> None:
    answers = iter([said(status="500 Oops")])

    async def once(writer: asyncio.StreamWriter) -> None:
        writer.write(next(answers, said(KEYS)))

    async with stranger(once) as publisher:
        party = await new_party(provider, publisher.port)
        code = await code_for(browser, party)
        refused = await redeem(party, code)
        # The worker that failed waits before it tries again; the other one answers, when it is
        # asked: one alone takes what comes one by one.
        statuses: set[int] = set()
        for _ in range(20):
            again = await asyncio.gather(*(redeem(party, code) for _ in range(20)))
            statuses |= {it.status_code for it in again}
            if statuses != {503}:
                break

    assert (refused.status_code, refused.json()["error"]) == (503, "temporarily_unavailable")
    assert int(refused.headers["retry-after"]) == 30
    assert 200 in statuses


async def test_a_client_that_publishes_no_key_for_it_is_told_so(
    provider: Running, browser: Browser
) -> None:
    async with stranger(said(NO_KEY)) as publisher:
        party = await new_party(provider, publisher.port)
        refused = await redeem(party, await code_for(browser, party))

    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    assert refused.json()["error_description"] == (
        "the jwks_uri of the client: no key is for ECDH-ES"
    )
