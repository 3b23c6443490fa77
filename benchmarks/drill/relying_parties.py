"""Relying parties on authlib, which keep the JWK Set in the two ways in which libraries do."""

import re
import ssl
import time
from collections.abc import Mapping
from typing import Any

import httpx2
from authlib.integrations.starlette_client import OAuth
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from benchmarks.prepare import DEMO_CALLBACK, VERIFIER
from benchmarks.users import SCOPE
from flows.issue import ACCESS_TOKEN_ALG

_MAX_AGE = re.compile(r"max-age=(\d+)")
# The provider speaks plain http: no certificates are loaded for each of its connections.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

Token = Mapping[str, Any]


class RelyingParty:
    """authlib's own client: it keeps the JWK Set, and asks again when it meets an unknown key."""

    name = "authlib"

    def __init__(self, issuer: str, client_id: str, secret: str, auth_method: str) -> None:
        self.client_id = client_id
        self._app: Any = OAuth().register(
            "idp",
            client_id=client_id,
            client_secret=secret,
            server_metadata_url=f"{issuer}/.well-known/openid-configuration",
            client_kwargs={
                "scope": SCOPE,
                "token_endpoint_auth_method": auth_method,
                "trust_env": False,
                "verify": _NO_TLS,
                "timeout": 20,
            },
        )

    async def exchange(self, code: str) -> Token:
        """The tokens for a code. Raises OAuthError and httpx2.HTTPError, as all requests do."""
        return await self._tokens(
            redirect_uri=DEMO_CALLBACK,
            grant_type="authorization_code",
            code=code,
            code_verifier=VERIFIER,
        )

    async def refresh(self, token: Token) -> Token:
        """The tokens for the refresh token of others."""
        return await self._tokens(grant_type="refresh_token", refresh_token=token["refresh_token"])

    async def grant(self, form: Mapping[str, str]) -> Token:
        """The tokens for a token request of some other grant."""
        return await self._tokens(**form)

    async def fault_of_id_token(self, token: Token, nonce: str | None) -> str | None:
        """Why the ID token does not verify; None if it does."""
        try:
            await self._app.parse_id_token(dict(token), nonce=nonce)
        except JoseError as error:
            return f"ID token, {self.client_id}, {self.name}: {error}"
        return None

    async def fault_of_access_token(self, token: Token) -> str | None:
        """The same for the access token, with the same JWK Set (RFC 9068 4)."""
        access_token, algorithms = token["access_token"], [ACCESS_TOKEN_ALG]
        try:
            try:
                jwt.decode(access_token, await self._keys(), algorithms=algorithms)
            except InvalidKeyIdError:
                jwt.decode(access_token, await self._keys(force=True), algorithms=algorithms)
        except JoseError as error:
            return f"access token, {self.client_id}, {self.name}: {error}"
        return None

    async def userinfo(self, token: Token) -> int:
        """The status of userinfo's answer."""
        metadata = await self._app.load_server_metadata()
        answer = await self._app.get(metadata["userinfo_endpoint"], token=dict(token))
        return int(answer.status_code)

    async def _tokens(self, **form: str) -> Token:
        token: Token = await self._app.fetch_access_token(**form)
        return token

    async def _keys(self, *, force: bool = False) -> KeySet:
        return KeySet.import_key_set(await self._app.fetch_jwk_set(force=force))


class StrictRelyingParty(RelyingParty):
    """Keeps the JWK Set for exactly as long as Cache-Control allows, whatever keys it meets.

    For its sake keys are published ahead: a token of a key that it cannot know fails.
    """

    name = "strict"

    def __init__(self, issuer: str, client_id: str, secret: str, auth_method: str) -> None:
        super().__init__(issuer, client_id, secret, auth_method)
        self._jwks: dict[str, Any] = {}
        self._fresh_until = 0.0
        # This is what authlib asks for keys, with `force` for an unknown one.
        self._app.fetch_jwk_set = self.fetch_jwk_set

    async def fetch_jwk_set(self, *, force: bool = False) -> dict[str, Any]:
        """The JWK Set, from the provider only if the copy is too old."""
        del force
        if time.monotonic() >= self._fresh_until:
            uri = (await self._app.load_server_metadata())["jwks_uri"]
            async with httpx2.AsyncClient(trust_env=False, verify=_NO_TLS, timeout=20) as client:
                answer = (await client.get(uri)).raise_for_status()
            max_age = _MAX_AGE.search(answer.headers["cache-control"])
            self._jwks = answer.json()
            self._fresh_until = time.monotonic() + (int(max_age[1]) if max_age else 0)
        return self._jwks
