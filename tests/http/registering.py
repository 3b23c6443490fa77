"""Partners who register clients with a running provider."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from conf.settings import load
from flows import initial_access_tokens
from flows.clients import RegistrationPolicy
from idp.commands.operating import now, with_store
from storage.records import By
from storage.store import Store
from tests.http.provider import RelyingParty, Running

CALLBACK = "https://partner.example/callback"
METADATA: Mapping[str, Any] = {"client_name": "Corner Shop", "redirect_uris": [CALLBACK]}
POLICY = RegistrationPolicy(
    scopes=("openid", "profile", "phone", "offline_access"),
    grant_types=("authorization_code", "refresh_token"),
    redirect_hosts=("partner.example", "localhost"),
)


def initial_access_token(
    running: Running,
    policy: RegistrationPolicy = POLICY,
    *,
    most_clients: int = 1_000,
    good_for: int = 600,
) -> str:
    """A token of an operator's."""

    async def create(store: Store) -> str:
        _, token = await initial_access_tokens.create(
            store,
            policy,
            most_clients=most_clients,
            expires_at=now() + good_for,
            by=By("tests"),
            now=now(),
        )
        return token

    return with_store(load(running.directory / "idp.toml"), create)


def bearer(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def post(
    running: Running, members: Mapping[str, Any] = METADATA, token: str | None = None
) -> httpx2.Response:
    """A registration request."""
    with running.client() as client:
        return client.post("/register", json=dict(members), headers=bearer(token))


def at_once(
    running: Running, count: int, members: Mapping[str, Any], token: str | None
) -> list[httpx2.Response]:
    """Many registration requests at once."""

    async def send() -> list[httpx2.Response]:
        async with running.async_client() as client:
            return await asyncio.gather(
                *(
                    client.post("/register", json=dict(members), headers=bearer(token))
                    for _ in range(count)
                )
            )

    return asyncio.run(send())


@dataclass
class Registration:
    """A registered client, and the token by which it manages itself."""

    running: Running
    information: dict[str, Any]
    token: str

    @classmethod
    def made(cls, running: Running, token: str | None = None, **members: Any) -> "Registration":
        """Register a client."""
        response = post(running, {**METADATA, **members}, token)
        assert response.status_code == 201, response.text
        information = response.json()
        return cls(running, information, information["registration_access_token"])

    @property
    def client_id(self) -> str:
        return str(self.information["client_id"])

    @property
    def path(self) -> str:
        uri = str(self.information["registration_client_uri"])
        assert uri.startswith(f"{self.running.issuer}/register/")
        return uri.removeprefix(self.running.issuer)

    def read(self, token: str | None = None) -> httpx2.Response:
        return self._send("GET", token)

    def delete(self, token: str | None = None) -> httpx2.Response:
        return self._send("DELETE", token)

    def update(self, token: str | None = None, **members: Any) -> httpx2.Response:
        """Put all metadata anew: the usual ones, and `members`."""
        given = {"client_id": self.client_id, **METADATA, **members}
        return self._send("PUT", token, json=given)

    def _send(self, method: str, token: str | None, **content: Any) -> httpx2.Response:
        with self.running.client() as client:
            headers = bearer(token or self.token)
            return client.request(method, self.path, headers=headers, **content)

    def party(self, scope: str = "openid profile phone offline_access") -> RelyingParty:
        """It as a relying party."""
        secret = self.information["client_secret"]
        (self.running.directory / "secrets" / self.client_id).write_text(secret, encoding="ascii")
        redirect_uri = next(iter(self.information["redirect_uris"]), "")
        return RelyingParty(self.running, self.client_id, redirect_uri, scope)
