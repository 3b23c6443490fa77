"""The store contract for logins that an app begins without a browser."""

import msgspec

from storage import outcomes as o
from storage.procedures import Procedures
from storage.records import KeyedLimit, NewChallenge


class AuthSessionStore(Procedures):
    """The beginning of an auth session; its other steps are those of an interaction."""

    async def auth_session_start(
        self,
        interaction_id: str,
        *,
        browser_hash: bytes,
        request: o.Request,
        expires_at: int,
        limit: KeyedLimit,
        challenge: NewChallenge | None,
        now: int,
    ) -> o.AuthSessionStart:
        """Begin a login for the client of `request`, and a challenge if the phone is known.

        `browser_hash` is that of the auth_session. Limited, it leaves nothing but the count.
        """
        return await self._call(
            "auth_session_start",
            o.AuthSessionStart,
            interaction_id=interaction_id,
            browser_hash=browser_hash,
            request=request,
            expires_at=expires_at,
            limit=msgspec.to_builtins(limit),
            now=now,
            **(msgspec.to_builtins(challenge, builtin_types=(bytes,)) if challenge else {}),
        )

    async def auth_session_read(
        self, interaction_id: str, *, browser_hash: bytes
    ) -> o.AuthSessionRead:
        """The client that an auth session is bound to."""
        return await self._call(
            "auth_session_read",
            o.AuthSessionRead,
            interaction_id=interaction_id,
            browser_hash=browser_hash,
        )
