"""Dynamic registration (RFC 7591, OpenID Connect Registration 1.0): partners' own clients."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flows import access_tokens, software_statements
from flows.client_metadata import ClientMetadata, InvalidClientMetadata
from flows.client_rules import FETCHED
from flows.client_secrets import new_secret
from flows.client_validation import validate
from flows.clients import ClientDocument, Partner, RegistrationPolicy
from flows.errors import (
    InvalidRedirectUri,
    InvalidToken,
    RegistrationError,
    RegistrationForbidden,
    SlowDown,
    UnacceptableMetadata,
)
from flows.initial_access_tokens import policy_of
from flows.parameters import Parameters
from flows.provider import Provider
from flows.registration_policy import completed, ours, policy_faults
from flows.remote_jwks import check_jwks_uri
from flows.sending_limits import keyed, network_of
from flows.subjects import check_sector
from keys.hashing import random_id, random_secret, sha256
from storage import outcomes as o

PATH = "/register"

_MOST_FAULTS = 5  # that an answer tells of


@dataclass(frozen=True, slots=True)
class Accepted:
    """Metadata that a partner may have, and what has been proven of them."""

    metadata: ClientMetadata
    verified: bool
    software_statement: str | None


async def register(
    provider: Provider, authorization: str | None, members: Mapping[str, Any], address: str
) -> dict[str, Any]:
    """Register a client, and answer with all that it is registered for (RFC 7591 3.2.1).

    `address` is the caller's. Raises InvalidToken, RegistrationError, SlowDown.
    """
    token_hash, policy = await _allowance(provider, authorization, address)
    fetches = (*FETCHED, "software_statement")  # which may name them too
    if token_hash is not None and any(members.get(name) for name in fetches):
        # A failed registration costs a token nothing, and each has us wait for somebody's server.
        await count_attempt(provider, address)
    accepted = await accept(provider, members, policy)
    client_id, token = random_id(), random_secret()
    secret, secrets = new_secret(provider.keys.client_secrets, client_id, accepted.metadata)
    document = ClientDocument(
        metadata=accepted.metadata,
        secrets=secrets,
        partner=Partner(
            policy=policy,
            registration_token=sha256(token),
            verified=accepted.verified,
            registered_at=provider.clock(),
            software_statement=accepted.software_statement,
        ),
    )
    opened = provider.settings.registration.open
    made = await provider.store.client_register(
        client_id,
        document.as_json(),
        token_hash=token_hash,
        most_open=opened.most_clients if opened is not None else 0,
        now=provider.clock(),
    )
    match made:
        case o.Unknown():
            raise _bad_token()
        case o.Full():
            raise RegistrationForbidden("there are as many clients as there may be")
        case o.Created():
            return information(provider, client_id, document, token=token, secret=secret)


async def _allowance(
    provider: Provider, authorization: str | None, address: str
) -> tuple[bytes | None, RegistrationPolicy]:
    """By which initial access token a client is registered, if by one; and within what."""
    opened = provider.settings.registration.open
    if authorization is None and opened is not None:
        await count_attempt(provider, address)
        return None, RegistrationPolicy(opened.scopes, opened.grant_types, opened.redirect_hosts)
    token_hash = sha256(access_tokens.presented(authorization, Parameters.of(())))
    found = await provider.store.initial_access_token_read(token_hash, now=provider.clock())
    if isinstance(found, o.Unknown):
        raise _bad_token()
    return token_hash, policy_of(found.token)


def _bad_token() -> InvalidToken:
    return InvalidToken("the initial access token is not valid, or used up")


async def count_attempt(provider: Provider, address: str) -> None:
    """Bound how often one network makes us look at what it names. Raises SlowDown."""
    limit = provider.settings.registration.attempts_per_address
    counted = await provider.store.registration_attempt(
        keyed("register", network_of(address), limit), now=provider.clock()
    )
    if isinstance(counted, o.Limited):
        raise SlowDown("too many attempts", retry_after=counted.retry_after)


async def accept(
    provider: Provider,
    members: Mapping[str, Any],
    policy: RegistrationPolicy,
    *,
    known_statement: str | None = None,
) -> Accepted:
    """What a partner's client is registered for, if all of it is valid and within its policy.

    `known_statement` is the software statement that it is registered with. Raises
    RegistrationError.
    """
    statement = members.get("software_statement")
    signed: dict[str, Any] = {}
    if isinstance(statement, str):
        signed = software_statements.read(provider, statement, known=known_statement)
        members = software_statements.merged(members, signed)
    elif statement is not None:
        raise UnacceptableMetadata("software_statement: must be a JWT")
    given = {name: value for name, value in members.items() if value is not None}
    try:
        metadata = validate(
            completed(given, policy),
            algorithms=provider.settings.keys.algorithms,
            development=provider.settings.development,
            unknown="ignored",
            ours=ours(given, policy),
        )
        faults = list(policy_faults(metadata, policy, provider.issuer))
        if faults:
            raise InvalidClientMetadata(faults)  # noqa: TRY301 - told as all the others are
        await check_sector(provider.fetcher, metadata)
        await check_jwks_uri(provider.fetcher, metadata)
    except InvalidClientMetadata as error:
        raise _refusal(error) from error
    return Accepted(metadata, policy.verified or software_statements.vouches(signed), statement)


def _refusal(error: InvalidClientMetadata) -> RegistrationError:
    code = error.faults[0][0]
    kind = InvalidRedirectUri if code == InvalidRedirectUri.error else UnacceptableMetadata
    return kind("; ".join(description for _, description in error.faults[:_MOST_FAULTS]))


def information(
    provider: Provider,
    client_id: str,
    document: ClientDocument,
    *,
    token: str,
    secret: str | None,
) -> dict[str, Any]:
    """The client information response (RFC 7591 3.2.1, RFC 7592 3).

    `secret` is there when it is handed out; of one that is not, only a hash is known.
    """
    partner = document.partner
    assert partner is not None  # noqa: S101 - only partners' clients are registered here
    answer = {
        "client_id": client_id,
        "client_id_issued_at": partner.registered_at,
        **document.metadata.registered(),
        "registration_access_token": token,
        "registration_client_uri": f"{provider.issuer}{PATH}/{client_id}",
    }
    if secret is not None:
        answer["client_secret"] = secret
    if document.secrets:
        answer["client_secret_expires_at"] = document.secrets[0].expires_at or 0
    if partner.software_statement is not None:
        answer["software_statement"] = partner.software_statement
    return answer
