"""Secrets of channels files, in the form in which the store keeps them."""

import hmac
from collections.abc import Callable, Sequence

import msgspec

from conf.channels import ClientEntry, Secret
from flows.client_metadata import ClientMetadata
from flows.clients import ClientSecret
from flows.passwords import PasswordHasher
from keys.client_secrets import ClientSecretSealer
from keys.hashing import sha256


class SecretKeeper:
    """Keeps secrets; one that has not changed stays in the form that it has.

    A fresh hash has a fresh salt: applying a file twice would look like a change. With `generated`
    the secrets are random bits of our own, which SHA-256 hides well enough.
    """

    def __init__(self, sealer: Callable[[], ClientSecretSealer], *, generated: bool) -> None:
        self._sealer = sealer
        self._generated = generated
        self._hasher = PasswordHasher()

    async def keep(
        self, client: ClientEntry, metadata: ClientMetadata, known: Sequence[ClientSecret]
    ) -> tuple[ClientSecret, ...]:
        """The secrets of a client's entry, and those of the `known` ones that run out.

        Raises SealError.
        """
        mac = metadata.token_endpoint_auth_method == "client_secret_jwt"
        kept = []
        for secret in client.secrets:
            found = [it for it in known if await self._is(client, secret, it, mac=mac)]
            if found:
                # The file says that it is in use, whatever a command has said before.
                kept.append(msgspec.structs.replace(found[0], expires_at=None))
            else:
                kept.append(await self._new(client, secret, mac=mac))
        forms = [forget_end(it) for it in kept]
        ending = (it for it in known if it.expires_at is not None and forget_end(it) not in forms)
        return (*kept, *(ending if kept else ()))

    async def _is(
        self, client: ClientEntry, secret: Secret, known: ClientSecret, *, mac: bool
    ) -> bool:
        if secret.clear is None:
            return known.argon2id is not None and known.argon2id == secret.argon2id
        if mac or known.sealed is not None:
            return (
                mac
                and known.sealed is not None
                and self._sealer().open(client.client_id, known.sealed) == secret.clear
            )
        if known.sha256 is not None:
            return hmac.compare_digest(known.sha256, sha256(secret.clear))
        return known.argon2id is not None and await self._hasher.verify(
            known.argon2id, secret.clear
        )

    async def _new(self, client: ClientEntry, secret: Secret, *, mac: bool) -> ClientSecret:
        if secret.clear is None:
            return ClientSecret(argon2id=secret.argon2id)
        if mac:
            return ClientSecret(sealed=self._sealer().seal(client.client_id, secret.clear))
        if self._generated:
            return ClientSecret(sha256=sha256(secret.clear))
        return ClientSecret(argon2id=await self._hasher.hash(secret.clear))


def forget_end(secret: ClientSecret) -> ClientSecret:
    """The same secret, whenever it runs out."""
    return msgspec.structs.replace(secret, expires_at=None)
