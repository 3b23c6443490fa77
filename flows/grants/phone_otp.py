"""The phone grant, for chat bots and other confidential services: a one-time code for tokens.

`start` is its own endpoint (`POST /otp`); the grant then redeems `otp_session` and `otp`.
"""

from dataclasses import dataclass

from flows import one_time_code, proof_of_work, refresh_tokens, sending_limits
from flows.claims import OFFLINE_ACCESS, OPENID, SCOPES
from flows.client_auth import authenticate
from flows.clients import Client
from flows.errors import (
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    ProofOfWorkRequired,
    SlowDown,
    UnauthorizedClient,
)
from flows.grants.grant import Authorized, Grant
from flows.grants.names import PHONE_OTP, REFRESH_TOKEN
from flows.parameters import Parameters
from flows.phones import normalise
from flows.provider import Provider
from flows.sending_limits import Asker
from keys.hashing import random_id, sha256
from storage import outcomes as o
from storage.records import SignIn, Wanted


@dataclass(frozen=True, slots=True)
class Started:
    """A code is on its way; a repetition makes sense after `resend_after` seconds."""

    otp_session: str
    expires_in: int
    resend_after: int


async def start(provider: Provider, authorization: str | None, parameters: Parameters) -> Started:
    """Queue a one-time code for a phone; with an `otp_session`, the same code once more.

    Raises an OAuthError: InvalidRequest for what is no phone, SlowDown at a rate limit,
    ProofOfWorkRequired where the proof comes with the next request.
    """
    parameters.refuse_repeated()
    client = await authenticate(provider, authorization, parameters)
    if not client.allows_grant(PHONE_OTP):
        raise UnauthorizedClient("the client is not registered for the phone grant")
    phone = _phone(provider, parameters)
    presented = parameters.get("otp_session")
    otp_session = presented or random_id()
    now = provider.clock()
    proof = parameters.get("proof_of_work")
    # All of a bot's customers come from the bot's address: the client is what can be counted.
    asker = Asker(client_id=client.client_id, proof=proof)
    challenge = one_time_code.new_challenge(provider, otp_session, phone, asker)
    started = await provider.store.otp_start(
        otp_session,
        client_id=client.client_id,
        locale=client.channel.locale,
        challenge=challenge,
        # The first request of a session that was asked for a proof comes twice.
        resend=presented is not None and challenge.sending.proof is None,
        now=now,
    )
    match started:
        case o.Limited(retry_after=seconds):
            raise SlowDown("too many codes were asked for", retry_after=seconds)
        case o.ProofWanted():
            raise _proof_required(provider, otp_session, phone, once_more=proof is not None)
        case o.Refused():
            raise InvalidRequest("phone is not a phone number that may sign in")
        case o.Unknown():
            raise _no_session(provider, otp_session, phone, proof)
        case o.OtpStarted():
            sending_limits.tell(provider.log, *started.alarms)
    provider.outbox.wake()
    return Started(otp_session, started.expires_at - now, max(0, started.resend_at - now))


def _proof_required(
    provider: Provider, otp_session: str, phone: str, *, once_more: bool
) -> ProofOfWorkRequired:
    wanted = proof_of_work.wanted(provider, otp_session, phone)
    return ProofOfWorkRequired(otp_session, wanted.members(), once_more=once_more)


def _no_session(
    provider: Provider, otp_session: str, phone: str, proof: str | None
) -> ProofOfWorkRequired | InvalidRequest:
    """Why there is no session to go on with: most often its first proof was a wrong one."""
    if proof is None:
        return InvalidRequest("otp_session is not valid")
    if proof_of_work.is_answer(provider, proof, otp_session, phone):
        return _proof_required(provider, otp_session, phone, once_more=True)
    return InvalidRequest("proof_of_work is not of a challenge for this phone and otp_session")


def _phone(provider: Provider, parameters: Parameters) -> str:
    phone = normalise(parameters.require("phone"))
    if phone is None:
        raise InvalidRequest("phone is not a phone number")
    if not one_time_code.can_reach(provider, phone):
        raise InvalidRequest("phone is not a phone number that may sign in")
    return phone


async def _authorize(provider: Provider, client: Client, parameters: Parameters) -> Authorized:
    otp_session = parameters.require("otp_session")
    otp = parameters.require("otp")
    scope = _scope(client, parameters.get("scope"))
    if not one_time_code.is_well_formed(provider, otp):
        raise InvalidGrant("the code is malformed")
    grant_id = random_id()
    refresh_token = refresh_tokens.derived(provider.keys.secret("refresh"), grant_id, otp_session)
    offline = OFFLINE_ACCESS in scope.split()
    redeemed = await provider.store.otp_redeem(
        otp_session,
        client_id=client.client_id,
        otp_hashes=one_time_code.hashes_of(provider, otp_session, otp),
        new_sub=random_id(),
        wanted=Wanted(
            client_id=client.client_id,
            scope=scope,
            offline=offline,
            refresh=client.gets_refresh_token(offline=offline),
        ),
        refresh_hash=sha256(refresh_token),
        attempt=random_id(),
        wrong_tries=provider.settings.otp.wrong_tries_per_phone,
        sign_in=SignIn(
            new_sid=random_id(),
            grant_id=grant_id,
            acr=one_time_code.ACR,
            amr=one_time_code.AMR,
            lifetimes=client.lifetimes,
        ),
        now=provider.clock(),
        call=one_time_code.is_call(provider, otp),
    )
    match redeemed:
        case o.Redeemed():
            return Authorized(redeemed, scope, refresh_token if redeemed.refresh else None)
        case o.Malformed():
            raise InvalidGrant("the code is malformed")
        case o.Wrong(tries_left=left):
            raise InvalidGrant("the code is wrong", tries_left=left)
        case o.Exhausted():
            raise InvalidGrant("the code was mistaken too often", tries_left=0)
        case o.Limited(retry_after=seconds):
            raise SlowDown("too many wrong codes", retry_after=seconds)
        case o.CustomerBlocked():
            raise InvalidGrant("access is closed for this customer")
        case _:
            raise InvalidGrant("otp_session is not valid", detail=repr(redeemed))


def _scope(client: Client, requested: str | None) -> str:
    asked = requested.split() if requested else [OPENID]
    known = [name for name in dict.fromkeys(asked) if name in SCOPES]
    if not known or not client.scopes.issuperset(known):
        raise InvalidScope("the client may not ask for this scope")
    if not client.allows_grant(REFRESH_TOKEN):
        known = [name for name in known if name != OFFLINE_ACCESS]
    return " ".join(known)


PHONE_OTP_GRANT = Grant(PHONE_OTP, frozenset({"otp_session", "otp", "scope"}), _authorize)
