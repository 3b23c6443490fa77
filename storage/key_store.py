"""The store contract's part about keys and server secrets."""

from collections.abc import Sequence
from typing import Any

import msgspec

from storage import outcomes as o
from storage.procedures import Procedures
from storage.records import (
    By,
    KeyPolicy,
    ResealedClient,
    ResealedKey,
    ResealedSecret,
    ServerSecretRow,
    SigningKeyRow,
)


class KeyStore(Procedures):
    """Keys and secrets; every rule about their life is enforced by the procedures."""

    async def signing_keys(self) -> list[SigningKeyRow]:
        """Every key, of whatever state."""
        return await self._call("signing_keys", list[SigningKeyRow])

    async def signing_keys_begin(
        self, active: SigningKeyRow, waiting: SigningKeyRow, *, policy: KeyPolicy, now: int
    ) -> list[SigningKeyRow]:
        """Give an algorithm its first keys, where it has none; every key after that."""
        return await self._call(
            "signing_keys_begin",
            list[SigningKeyRow],
            active=msgspec.to_builtins(active),
            next=msgspec.to_builtins(waiting),
            now=now,
            **msgspec.structs.asdict(policy),
        )

    async def signing_key_replace(
        self, successor: SigningKeyRow, *, policy: KeyPolicy, by: By, now: int
    ) -> o.KeyChange:
        """Retire the next key of an algorithm, and let `successor` be the next one."""
        return await self._change_key("signing_key_replace", policy, by, now, successor=successor)

    async def signing_key_schedule(
        self,
        kid: str,
        *,
        activates_at: int | None,
        ordered: bool,
        force: bool,
        policy: KeyPolicy,
        by: By,
        now: int,
    ) -> o.KeyChange:
        """Say when the next key begins to sign; None: when a command says so."""
        return await self._change_key(
            "signing_key_schedule",
            policy,
            by,
            now,
            kid=kid,
            activates_at=activates_at,
            ordered=ordered,
            force=force,
        )

    async def signing_key_turn(
        self, kid: str, *, successor: SigningKeyRow, policy: KeyPolicy, by: By, now: int
    ) -> o.KeyChange:
        """The next key `kid` is due: it becomes active, and the active one retires.

        Of many nodes that do so at once one wins, and the others are told `WrongState`.
        """
        return await self._change_key(
            "signing_key_turn", policy, by, now, kid=kid, successor=successor
        )

    async def signing_key_retire(
        self,
        kid: str,
        *,
        successor: SigningKeyRow | None,
        withdrawn: bool,
        force: bool,
        policy: KeyPolicy,
        by: By,
        now: int,
    ) -> o.KeyChange:
        """Retire a retiring key early, a next one for its successor, or a withdrawn algorithm's."""
        return await self._change_key(
            "signing_key_retire",
            policy,
            by,
            now,
            kid=kid,
            successor=successor,
            withdrawn=withdrawn,
            force=force,
        )

    async def signing_key_revoke(
        self, kid: str, *, successor: SigningKeyRow | None, policy: KeyPolicy, by: By, now: int
    ) -> o.KeyChange:
        """End all trust in a key; the next key takes an active one's place at once."""
        return await self._change_key(
            "signing_key_revoke", policy, by, now, kid=kid, successor=successor
        )

    async def signing_keys_tend(self, *, token_lifetime: int, policy: KeyPolicy, now: int) -> int:
        """Retire what is due, and note how long tokens live; the number of changes."""
        return await self._call(
            "signing_keys_tend",
            int,
            token_lifetime=token_lifetime,
            now=now,
            **msgspec.structs.asdict(policy),
        )

    async def keys_abandon(self, *, by: By, now: int) -> int:
        """Revoke every key and remove every secret; how many there were."""
        return await self._call("keys_abandon", int, now=now, **msgspec.structs.asdict(by))

    async def signing_key_forgotten(self, kid: str, *, found: bool, now: int) -> None:
        """The hardware security module no longer holds a key that has left."""
        await self._call("signing_key_forgotten", o.KeyChange, kid=kid, found=found, now=now)

    async def _change_key(
        self,
        procedure: str,
        policy: KeyPolicy,
        by: By,
        now: int,
        *,
        successor: SigningKeyRow | None = None,
        **arguments: Any,
    ) -> o.KeyChange:
        return await self._call(
            procedure,
            o.KeyChange,
            successor=msgspec.to_builtins(successor),
            now=now,
            **msgspec.structs.asdict(policy),
            **msgspec.structs.asdict(by),
            **arguments,
        )

    async def server_secrets(self) -> list[ServerSecretRow]:
        """Every version of every server secret."""
        return await self._call("server_secrets", list[ServerSecretRow])

    async def server_secret_add(
        self, secret: ServerSecretRow, *, by: By, now: int
    ) -> list[ServerSecretRow]:
        """Add the next version of a server secret unless it is there; all of them after that."""
        return await self._call(
            "server_secret_add",
            list[ServerSecretRow],
            secret=msgspec.to_builtins(secret),
            now=now,
            **msgspec.structs.asdict(by),
        )

    async def server_secrets_tend(self, *, superseded_before: int, now: int) -> int:
        """Remove the versions that nothing needs any more; their number."""
        return await self._call(
            "server_secrets_tend", int, superseded_before=superseded_before, now=now
        )

    async def reseal(
        self,
        keys: Sequence[ResealedKey],
        secrets: Sequence[ResealedSecret],
        clients: Sequence[ResealedClient] = (),
        *,
        to: str,
        by: By,
        now: int,
    ) -> int:
        """Put sealed values in the place of what they replace, as far as that is still there."""
        return await self._call(
            "reseal",
            int,
            keys=msgspec.to_builtins(keys),
            secrets=msgspec.to_builtins(secrets),
            clients=msgspec.to_builtins(clients),
            to=to,
            now=now,
            **msgspec.structs.asdict(by),
        )
