"""Partners' clients, put into a running provider's store without their registration."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from conf.settings import load
from flows.client_validation import validate
from flows.clients import ClientDocument, ClientSecret, Partner, RegistrationPolicy
from idp.commands.operating import now, with_store
from keys.hashing import random_id, sha256
from storage import outcomes as o
from storage.records import By, ClientRow
from storage.store import Store
from tests.http.provider import DEMO_CALLBACK, RelyingParty, Running

PARTNER_SCOPE = "openid profile phone email offline_access"
NAME = {"ru": "Лавка у дома", "en": "Corner Shop"}


def partner(
    running: Running,
    redirect_uri: str = DEMO_CALLBACK,
    *,
    verified: bool = False,
    scope: str = PARTNER_SCOPE,
    **metadata: Any,
) -> RelyingParty:
    """A relying party that is a new partner's client, and asks for all of `scope`."""
    settings = load(running.directory / "idp.toml")
    given = {
        "client_name": NAME["en"],
        "client_name#ru": NAME["ru"],
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "scope": PARTNER_SCOPE,
        "policy_uri": "https://corner.example/privacy",
        "tos_uri": "https://terms.corner.example/",
        "id_token_signed_response_alg": "ES256",
    } | metadata
    checked = validate(given, algorithms=settings.keys.algorithms, development=True)
    client_id, secret = f"partner-{random_id()}", secrets.token_urlsafe(32)
    document = ClientDocument(
        checked,
        (ClientSecret(sha256=sha256(secret)),),
        Partner(RegistrationPolicy((), ()), b"", verified=verified),
    )

    async def create(store: Store) -> o.ClientCreate:
        row = ClientRow(client_id, "", document.as_json(), "registration")
        return await store.client_create(row, revocation_id=random_id(), by=By("tests"), now=now())

    # A thread of its own: where Playwright is used, an event loop runs in this one.
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(with_store, settings, create).result() == o.Created()
    (running.directory / "secrets" / client_id).write_text(secret, encoding="ascii")
    return RelyingParty(running, client_id, redirect_uri, scope)
