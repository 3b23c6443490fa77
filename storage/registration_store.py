"""The store contract's part about dynamic registration (RFC 7591)."""

import msgspec

from storage import outcomes as o
from storage.procedures import Procedures
from storage.records import By, InitialAccessToken, KeyedLimit


class RegistrationStore(Procedures):
    """Initial access tokens, and the clients that are made with one or without any."""

    async def initial_access_token_create(
        self,
        token_id: str,
        *,
        token_hash: bytes,
        policy: str,
        most_clients: int,
        expires_at: int,
        by: By,
        now: int,
    ) -> None:
        """Keep a token, with which so many clients may be registered."""
        await self._call(
            "initial_access_token_create",
            o.Created,
            token_id=token_id,
            token_hash=token_hash,
            policy=policy,
            most_clients=most_clients,
            expires_at=expires_at,
            now=now,
            **msgspec.structs.asdict(by),
        )

    async def initial_access_token_read(
        self, token_hash: bytes, *, now: int
    ) -> o.InitialAccessTokenRead:
        """A token; Unknown too if it is revoked, expired or used up."""
        return await self._call(
            "initial_access_token_read", o.InitialAccessTokenRead, token_hash=token_hash, now=now
        )

    async def initial_access_tokens_list(self) -> list[InitialAccessToken]:
        """Every token, until some time after it has expired."""
        return await self._call("initial_access_tokens_list", list[InitialAccessToken])

    async def initial_access_token_revoke(
        self, token_id: str, *, by: By, now: int
    ) -> o.InitialAccessTokenRevoke:
        """Let no more clients be registered with a token; those that were stay."""
        return await self._call(
            "initial_access_token_revoke",
            o.InitialAccessTokenRevoke,
            token_id=token_id,
            now=now,
            **msgspec.structs.asdict(by),
        )

    async def registration_attempt(self, limit: KeyedLimit, *, now: int) -> o.RegistrationAttempt:
        """Count an attempt to register or update a client that anybody could make."""
        return await self._call(
            "registration_attempt",
            o.RegistrationAttempt,
            limit=msgspec.to_builtins(limit),
            now=now,
        )

    async def client_register(
        self,
        client_id: str,
        document: str,
        *,
        token_hash: bytes | None,
        most_open: int,
        now: int,
    ) -> o.ClientRegister:
        """Make a client, and take one use of its initial access token.

        Unknown: the token is revoked, expired or used up. Without a token, Full: there are
        `most_open` clients that were made without one.
        """
        return await self._call(
            "client_register",
            o.ClientRegister,
            client_id=client_id,
            document=document,
            token_hash=token_hash,
            most_open=most_open,
            now=now,
        )
