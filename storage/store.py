"""The store contract: one method per protocol event, each one stored procedure and one transaction.

Every method decides and writes atomically, may be called again with the same arguments to the same
effect, and raises only `storage.errors`. Identifiers and hashes are made by the caller; `now` is in
Unix seconds; `attempt` names one request, so that its repetition is told from another request.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import msgspec

from conf.settings import Address, Lifetimes, Settings
from storage import outcomes as o
from storage.audit_store import AuditStore
from storage.auth_session_store import AuthSessionStore
from storage.channel_store import ChannelStore
from storage.client_store import ClientStore
from storage.connection import Connection, Observe
from storage.consent_store import ConsentStore
from storage.key_store import KeyStore
from storage.login_store import LoginStore
from storage.message_store import MessageStore
from storage.nodes import Nodes, Place
from storage.procedures import plain
from storage.records import (
    KeyedLimit,
)
from storage.registration_store import RegistrationStore
from storage.security_store import SecurityStore
from storage.sending_store import SendingStore
from storage.token_store import TokenStore


class Store(
    AuditStore,
    AuthSessionStore,
    ChannelStore,
    ClientStore,
    ConsentStore,
    KeyStore,
    LoginStore,
    MessageStore,
    RegistrationStore,
    SecurityStore,
    SendingStore,
    TokenStore,
):
    """All that the server may ask of Tarantool."""

    @classmethod
    async def open(cls, settings: Settings, observe: Observe | None = None) -> Self:
        """Connect to the store of these settings, and tell `observe` of each call.

        Raises Unavailable.
        """
        store = settings.store
        if store.topology == "child":
            password = (settings.socket_path.parent / "password").read_text().strip()
            return await cls.connect(settings.socket_path, password, store.call_timeout, observe)
        return await cls.connect(
            store.addresses, store.password or "", store.call_timeout, observe, user=store.user
        )

    @classmethod
    async def connect(
        cls,
        at: Path | Sequence[Address],
        password: str,
        call_timeout: float,
        observe: Observe | None = None,
        *,
        user: str = "idp",
    ) -> Self:
        """Connect to a socket, or to the nodes at these addresses. Raises Unavailable."""
        places = [Place.of(at)] if isinstance(at, Path) else [Place.of(one) for one in at]
        connection = Connection(Nodes(places, user, password), call_timeout, observe)
        await connection.open()
        return cls(connection)

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    # Clients and channels

    async def client_read(self, client_id: str) -> o.ClientRead:
        """A client with its channel's document."""
        return await self._call("client_read", o.ClientRead, client_id=client_id)

    async def revisions_read(self) -> dict[str, int]:
        """How often `clients` and `keys` have changed, for whoever keeps copies of them."""
        return await self._call("revisions_read", dict[str, int])

    # Authorization

    async def authorization_request_store(
        self,
        request_id: str,
        parameters: Mapping[str, str],
        *,
        expires_at: int,
        limit: KeyedLimit,
        now: int,
    ) -> o.AuthorizationRequestStore:
        """Keep an authorization request that arrived by POST until the browser comes by GET."""
        return await self._call(
            "authorization_request_store",
            o.AuthorizationRequestStore,
            request_id=request_id,
            parameters=dict(parameters),
            expires_at=expires_at,
            limit=msgspec.to_builtins(limit),
            now=now,
        )

    async def authorization_request_read(
        self, request_id: str, *, now: int
    ) -> o.AuthorizationRequestRead:
        """The parameters of a stored authorization request."""
        return await self._call(
            "authorization_request_read",
            o.AuthorizationRequestRead,
            request_id=request_id,
            now=now,
        )

    async def session_read(self, sid: str, *, now: int) -> o.SessionRead:
        """A live session."""
        return await self._call("session_read", o.SessionRead, sid=sid, now=now)

    async def session_end(self, sid: str, *, client_id: str | None, now: int) -> None:
        """End a session, and every grant that hangs on it without `offline_access`."""
        await self._call("session_end", o.Ended | o.Unknown, sid=sid, client_id=client_id, now=now)

    async def session_leave(self, sid: str, *, client_id: str, now: int) -> None:
        """End one client's grants under a session, and the session if nobody else hangs on it."""
        await self._call(
            "session_leave", o.Ended | o.Unknown, sid=sid, client_id=client_id, now=now
        )

    async def code_issue(
        self,
        *,
        sid: str,
        sub: str,
        request: o.Request,
        grant_id: str,
        code_hash: bytes,
        lifetimes: Lifetimes,
        limit: KeyedLimit,
        now: int,
    ) -> o.CodeIssue:
        """Single sign-on: a grant and a code for a session, if it is still `sub`'s.

        A partner's `request` is granted as far as its customer allows it, if they were asked.
        Like everything that can be begun over and over, within `limit` and the store's memory.
        """
        return await self._call(
            "code_issue",
            o.CodeIssue,
            sid=sid,
            sub=sub,
            request=request,
            grant_id=grant_id,
            code_hash=code_hash,
            lifetimes=plain(lifetimes),
            limit=msgspec.to_builtins(limit),
            now=now,
        )

    async def code_redeem(
        self,
        *,
        code_hash: bytes,
        client_id: str,
        redirect_uri: str | None,
        code_challenge: str | None,
        refresh_hash: bytes,
        attempt: str,
        lifetimes: Lifetimes,
        now: int,
    ) -> o.CodeRedeem:
        """Spend a code and store the refresh token, if its grant has one (RFC 6749 4.1.3).

        A replayed code ends what the first use gave; a mismatch spends nothing.
        """
        return await self._call(
            "code_redeem",
            o.CodeRedeem,
            code_hash=code_hash,
            client_id=client_id,
            redirect_uri=redirect_uri,
            code_challenge=code_challenge,
            refresh_hash=refresh_hash,
            attempt=attempt,
            lifetimes=plain(lifetimes),
            now=now,
        )

    # Operation

    async def ready(self, *, now: int) -> int:
        """Make a write, and return the schema version."""
        answer = await self._call("ready", dict[str, int], now=now)
        return int(answer["schema_version"])

    async def sweep(self, *, limit: int, now: int) -> int:
        """Remove expired rows until `limit` are gone, and return how many went.

        The last one may take rows along that hang on it, as a session does with its grants.
        """
        return await self._call("sweep", int, limit=limit, now=now)
