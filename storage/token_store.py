"""The store contract for tokens: rotation, whether one is in use, and taking one back."""

from conf.settings import Lifetimes
from storage import outcomes as o
from storage.procedures import Procedures


class TokenStore(Procedures):
    """What the token, introspection, revocation and userinfo endpoints ask of the store."""

    async def refresh_rotate(
        self,
        *,
        grant_id: str,
        client_id: str,
        presented_hash: bytes,
        successor_hash: bytes,
        scope: str | None,
        attempt: str,
        lifetimes: Lifetimes,
        now: int,
    ) -> o.RefreshRotate:
        """Replace a refresh token by its successor (RFC 6749 6, RFC 9700 4.14.2).

        The previous token is answered with the same successor until that is used, at most for
        `lifetimes.refresh_grace` seconds; any older one ends the grant. A `scope` that the grant
        does not hold is a mismatch, and nothing is rotated.
        """
        return await self._call(
            "refresh_rotate",
            o.RefreshRotate,
            grant_id=grant_id,
            client_id=client_id,
            presented_hash=presented_hash,
            successor_hash=successor_hash,
            scope=scope,
            attempt=attempt,
            # What a rotation looks at: the others would be packed and unpacked in vain.
            lifetimes={
                "refresh_idle": lifetimes.refresh_idle,
                "refresh_grace": lifetimes.refresh_grace,
                "session_idle": lifetimes.session_idle,
                "session_absolute": lifetimes.session_absolute,
            },
            now=now,
        )

    async def revocation_epoch(self) -> int:
        """The epoch that a service's own token carries, so that a later revocation ends it."""
        return await self._call("revocation_epoch", int)

    async def service_token_read(
        self, *, jti: str, client_id: str, epoch: int, issued_at: int
    ) -> o.ServiceTokenRead:
        """Whether a service's own token is in use."""
        return await self._call(
            "service_token_read",
            o.ServiceTokenRead,
            jti=jti,
            client_id=client_id,
            epoch=epoch,
            issued_at=issued_at,
        )

    async def service_token_revoke(
        self, *, jti: str, client_id: str, expires_at: int, now: int
    ) -> None:
        """Take a service's own token back; the caller has proven whose it is."""
        await self._call(
            "service_token_revoke",
            o.Revoked,
            jti=jti,
            client_id=client_id,
            expires_at=expires_at,
            now=now,
        )

    async def refresh_token_read(
        self, *, grant_id: str, client_id: str, presented_hash: bytes, now: int
    ) -> o.RefreshTokenRead:
        """Whether a client's refresh token would be accepted, without using it."""
        return await self._call(
            "refresh_token_read",
            o.RefreshTokenRead,
            grant_id=grant_id,
            client_id=client_id,
            presented_hash=presented_hash,
            now=now,
        )

    async def access_token_read(self, *, grant_id: str, jti: str, now: int) -> o.AccessTokenRead:
        """Whether an access token is in use, and whose it is."""
        return await self._call(
            "access_token_read", o.AccessTokenRead, grant_id=grant_id, jti=jti, now=now
        )

    async def access_token_revoke(
        self, *, grant_id: str, jti: str, client_id: str, expires_at: int, now: int
    ) -> o.TokenRevoke:
        """Take one access token back (RFC 7009)."""
        return await self._call(
            "access_token_revoke",
            o.TokenRevoke,
            grant_id=grant_id,
            jti=jti,
            client_id=client_id,
            expires_at=expires_at,
            now=now,
        )

    async def refresh_token_revoke(
        self, *, grant_id: str, client_id: str, now: int
    ) -> o.TokenRevoke:
        """Take a refresh token back, and with it its grant (RFC 7009 2.1)."""
        return await self._call(
            "refresh_token_revoke",
            o.TokenRevoke,
            grant_id=grant_id,
            client_id=client_id,
            now=now,
        )

    async def customer_read(self, sub: str) -> o.CustomerRead:
        """A customer's profile."""
        return await self._call("customer_read", o.CustomerRead, sub=sub)
