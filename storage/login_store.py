"""The store contract for logins: interactions on the pages, and the phone grant."""

from collections.abc import Sequence
from typing import Any

import msgspec

from conf.settings import Limit
from storage import outcomes as o
from storage.procedures import Procedures, plain
from storage.records import KeyedLimit, NewChallenge, SignIn, Wanted


def _limit(limit: Limit) -> dict[str, int]:
    return {"burst": limit.burst, "period": limit.period}


def _sign_in(sign_in: SignIn) -> dict[str, Any]:
    arguments: dict[str, Any] = msgspec.structs.asdict(sign_in)
    arguments["lifetimes"] = plain(sign_in.lifetimes)
    return arguments


class LoginStore(Procedures):
    """Each step of a login is one call; an app's own (AuthSessionStore) has the same steps."""

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
