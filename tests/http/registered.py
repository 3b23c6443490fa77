"""Clients that a test adds to a running provider, as an operator would."""

from typing import Any

from conf.settings import load
from flows.client_registry import ClientRegistry
from flows.client_validation import validate
from idp.commands.operating import now, with_sealer
from keys.client_secrets import ClientSecretSealer
from keys.sealing import Sealer
from storage import outcomes as o
from storage.records import By
from storage.store import Store
from tests.http.provider import DEMO_CALLBACK, Running


def register(running: Running, client_id: str, **metadata: Any) -> str | None:
    """Make a client of the demo's channel; its secret, if it needs one."""
    settings = load(running.directory / "idp.toml")
    given = {
        "redirect_uris": [DEMO_CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
        "scope": "openid profile phone offline_access",
    }
    checked = validate(
        given | metadata, algorithms=settings.keys.algorithms, development=settings.development
    )

    async def create(store: Store, sealer: Sealer) -> str | None:
        created, secret = await ClientRegistry(store, by=By("tests"), now=now()).create(
            client_id, "demo", checked, sealer=ClientSecretSealer(sealer)
        )
        assert created == o.Created()
        return secret

    return with_sealer(settings, create)
