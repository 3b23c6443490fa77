"""Initial access tokens (RFC 7591 3): with one a partner registers clients within a policy."""

import msgspec

from flows.clients import RegistrationPolicy
from keys.hashing import random_id, random_secret, sha256
from storage.records import By, InitialAccessToken
from storage.store import Store


async def create(
    store: Store,
    policy: RegistrationPolicy,
    *,
    most_clients: int,
    expires_at: int,
    by: By,
    now: int,
) -> tuple[str, str]:
    """Make a token; its identifier, and itself, which nobody can ask for again."""
    token_id, token = random_id(), random_secret()
    await store.initial_access_token_create(
        token_id,
        token_hash=sha256(token),
        policy=msgspec.json.encode(policy).decode(),
        most_clients=most_clients,
        expires_at=expires_at,
        by=by,
        now=now,
    )
    return token_id, token


def policy_of(token: InitialAccessToken) -> RegistrationPolicy:
    """What clients may be registered for with a token."""
    return msgspec.json.decode(token.policy, type=RegistrationPolicy)
