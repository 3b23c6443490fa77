"""The store contract: one method per protocol event, each one stored procedure and one transaction.

Every method decides and writes atomically, may be called again with the same arguments to the same
effect, and raises only `storage.errors`. Identifiers and hashes are made by the caller; `now` is in
Unix seconds; `attempt` names one request, so that its repetition is told from another request.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec

from conf.settings import Address, Lifetimes, Limit, Settings
from storage import outcomes as o
from storage.audit_store import AuditStore
from storage.auth_session_store import AuthSessionStore
from storage.channel_store import ChannelStore
from storage.client_store import ClientStore
from storage.connection import Connection, Observe
from storage.consent_store import ConsentStore
from storage.key_store import KeyStore
from storage.message_store import MessageStore
from storage.nodes import Nodes, Place
from storage.procedures import plain
from storage.records import (
    KeyedLimit,
    NewChallenge,
    SignIn,
    Wanted,
)
from storage.registration_store import RegistrationStore
from storage.security_store import SecurityStore
from storage.sending_store import SendingStore


def _limit(limit: Limit) -> dict[str, int]:
    return {"burst": limit.burst, "period": limit.period}


def _sign_in(sign_in: SignIn) -> dict[str, Any]:
    arguments: dict[str, Any] = msgspec.structs.asdict(sign_in)
    arguments["lifetimes"] = plain(sign_in.lifetimes)
    return arguments


class Store(
    AuditStore,
    AuthSessionStore,
    ChannelStore,
    ClientStore,
    ConsentStore,
    KeyStore,
    MessageStore,
    RegistrationStore,
    SecurityStore,
    SendingStore,
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

    # Interactions

    async def interaction_start(
        self,
        interaction_id: str,
        *,
        browser_hash: bytes,
        request: o.Request,
        expires_at: int,
        limit: KeyedLimit,
        now: int,
        sid: str | None = None,
    ) -> o.InteractionStart:
        """Begin a login in one browser, if `limit` and the store's memory have room for one.

        It begins at the phone; with `sid` at the consent of that session's customer.
        """
        return await self._call(
            "interaction_start",
            o.InteractionStart,
            interaction_id=interaction_id,
            browser_hash=browser_hash,
            request=request,
            expires_at=expires_at,
            limit=msgspec.to_builtins(limit),
            now=now,
            sid=sid,
        )

    async def interaction_read(
        self,
        interaction_id: str,
        *,
        browser_hash: bytes,
        now: int,
        bound_client_id: str | None = None,
    ) -> o.InteractionRead:
        """A login in progress, for the browser that began it.

        An app's own (`auth_session_start`) is for the client that it is bound to, at every step.
        """
        return await self._call(
            "interaction_read",
            o.InteractionRead,
            interaction_id=interaction_id,
            browser_hash=browser_hash,
            now=now,
            bound_client_id=bound_client_id,
        )

    async def interaction_cancel(
        self, interaction_id: str, *, browser_hash: bytes, now: int
    ) -> o.InteractionCancel:
        """The customer turns back."""
        return await self._call(
            "interaction_cancel",
            o.InteractionCancel,
            interaction_id=interaction_id,
            browser_hash=browser_hash,
            now=now,
        )

    async def interaction_otp_start(
        self,
        interaction_id: str,
        *,
        browser_hash: bytes,
        challenge: NewChallenge,
        now: int,
        bound_client_id: str | None = None,
    ) -> o.InteractionOtpStart:
        """Begin a challenge for an interaction, or repeat the running one: the same code."""
        return await self._call(
            "interaction_otp_start",
            o.InteractionOtpStart,
            interaction_id=interaction_id,
            browser_hash=browser_hash,
            now=now,
            bound_client_id=bound_client_id,
            **msgspec.to_builtins(challenge, builtin_types=(bytes,)),
        )

    async def interaction_otp_verify(
        self,
        interaction_id: str,
        *,
        browser_hash: bytes,
        otp_hashes: Sequence[bytes],
        attempt: str,
        wrong_tries: Limit,
        sign_in: SignIn,
        now: int,
        bound_client_id: str | None = None,
        call: bool = False,
    ) -> o.InteractionOtpVerify:
        """Check a one-time code and count the try; the right one of a known customer signs in.

        With `call` the code can only be a flash call's.
        """
        return await self._call(
            "interaction_otp_verify",
            o.InteractionOtpVerify,
            interaction_id=interaction_id,
            browser_hash=browser_hash,
            otp_hashes=otp_hashes,
            attempt=attempt,
            wrong_tries=_limit(wrong_tries),
            now=now,
            bound_client_id=bound_client_id,
            call=call,
            **_sign_in(sign_in),
        )

    async def customer_register(
        self,
        interaction_id: str,
        *,
        browser_hash: bytes,
        new_sub: str,
        given_name: str,
        family_name: str | None,
        sign_in: SignIn,
        now: int,
        bound_client_id: str | None = None,
    ) -> o.CustomerRegister:
        """First sign-in: make the profile, exactly once however many race, and sign in."""
        return await self._call(
            "customer_register",
            o.CustomerRegister,
            interaction_id=interaction_id,
            browser_hash=browser_hash,
            new_sub=new_sub,
            given_name=given_name,
            family_name=family_name,
            now=now,
            bound_client_id=bound_client_id,
            **_sign_in(sign_in),
        )

    async def customer_read(self, sub: str) -> o.CustomerRead:
        """A customer's profile."""
        return await self._call("customer_read", o.CustomerRead, sub=sub)

    # The phone grant

    async def otp_start(
        self,
        otp_session: str,
        *,
        client_id: str,
        locale: str,
        challenge: NewChallenge,
        resend: bool,
        now: int,
    ) -> o.OtpStart:
        """Begin a challenge for a client's own journey, or repeat the running one.

        Its message is in `locale`.
        """
        return await self._call(
            "otp_start",
            o.OtpStart,
            otp_session=otp_session,
            client_id=client_id,
            locale=locale,
            resend=resend,
            now=now,
            **msgspec.to_builtins(challenge, builtin_types=(bytes,)),
        )

    async def otp_redeem(
        self,
        otp_session: str,
        *,
        client_id: str,
        otp_hashes: Sequence[bytes],
        new_sub: str,
        wanted: Wanted,
        refresh_hash: bytes,
        attempt: str,
        wrong_tries: Limit,
        sign_in: SignIn,
        now: int,
        call: bool = False,
    ) -> o.OtpRedeem:
        """Check a one-time code; the right one finds or makes the customer and opens a grant.

        With `call` the code can only be a flash call's.
        """
        return await self._call(
            "otp_redeem",
            o.OtpRedeem,
            otp_session=otp_session,
            client_id=client_id,
            otp_hashes=otp_hashes,
            new_sub=new_sub,
            wanted=msgspec.to_builtins(wanted),
            refresh_hash=refresh_hash,
            attempt=attempt,
            wrong_tries=_limit(wrong_tries),
            now=now,
            call=call,
            **_sign_in(sign_in),
        )

    # Tokens

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
            lifetimes=plain(lifetimes),
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
