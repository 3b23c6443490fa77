"""The named server secrets: the same on all nodes, sealed in the store, in numbered versions."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from keys.sealing import Sealer
from storage.key_store import KeyStore
from storage.records import By, ServerSecretRow

_BYTES = 32
# A superseded version is kept for the logins in progress that began under it; none takes a day.
_KEPT = 86_400


@dataclass(frozen=True, slots=True)
class ServerSecret:
    """A name, what the secret is for, and whether it may rotate; if not, `use` says why."""

    name: str
    use: str
    rotates: bool


SERVER_SECRETS: tuple[ServerSecret, ...] = (
    ServerSecret("otp", "one-time codes are derived from it", rotates=True),
    ServerSecret("csrf", "the tokens in forms are derived from it", rotates=True),
    ServerSecret(
        "interaction",
        "sessions, grants and codes of a login in progress are derived from it: "
        "a step that arrives again after a rotation would have another outcome",
        rotates=False,
    ),
    ServerSecret(
        "refresh",
        "refresh tokens are derived from it and prove their origin by it: "
        "every customer would have to sign in anew",
        rotates=False,
    ),
    ServerSecret(
        "pairwise",
        "the subjects under which partners know customers are derived from it: "
        "every customer would be a stranger to every partner, and lose what they have there",
        rotates=False,
    ),
    ServerSecret(
        "registration",
        "the registration access tokens and secrets that an update of a client gives are derived "
        "from it: a partner who lost such an answer could not ask for it again",
        rotates=False,
    ),
)


async def complete(
    store: KeyStore, rows: list[ServerSecretRow], sealer: Sealer, now: int
) -> list[ServerSecretRow]:
    """Every version of every secret, after making those that are missing from `rows`."""
    for secret in SERVER_SECRETS:
        if not any(row.name == secret.name for row in rows):
            first = new_version(secret.name, 1, sealer, now)
            rows = await store.server_secret_add(first, by=By(), now=now)
    return rows


async def tend(store: KeyStore, rows: Iterable[ServerSecretRow], now: int) -> bool:
    """Remove the versions that nothing needs any more; whether there were any."""
    before = now - _KEPT
    if not any(row.superseded_at is not None and row.superseded_at <= before for row in rows):
        return False
    return await store.server_secrets_tend(superseded_before=before, now=now) > 0


def new_version(name: str, version: int, sealer: Sealer, now: int) -> ServerSecretRow:
    """A random secret, sealed."""
    sealed = sealer.seal(secrets.token_bytes(_BYTES), label=label(name, version))
    return ServerSecretRow(name=name, version=version, sealed=sealed, created_at=now)


@dataclass(frozen=True, slots=True)
class Opened:
    """The secrets in the clear, by name and version; of each, the version to use comes first.

    A new version waits until every process knows it. `settled_at` is when the next one that waits
    will be used, in Unix seconds; None if none waits.
    """

    versions: Mapping[str, Mapping[int, bytes]]
    settled_at: int | None


def unsealed(
    rows: Iterable[ServerSecretRow], sealer: Sealer, *, propagation: int, now: int
) -> Opened:
    """Open every secret. Raises SealError.

    A name that this version of the server does not know is left out.
    """
    opened: dict[str, dict[int, bytes]] = {secret.name: {} for secret in SERVER_SECRETS}
    waiting: list[int] = []
    by_version = sorted(rows, key=lambda row: row.version, reverse=True)
    for row in by_version:
        if row.name in opened and not _waits(row, propagation, now):
            opened[row.name][row.version] = _open(row, sealer)
    for row in by_version:
        if row.name in opened and _waits(row, propagation, now):
            opened[row.name][row.version] = _open(row, sealer)
            waiting.append(row.created_at + 2 * propagation)
    return Opened(opened, min(waiting, default=None))


def _waits(row: ServerSecretRow, propagation: int, now: int) -> bool:
    return row.version > 1 and now < row.created_at + 2 * propagation


def _open(row: ServerSecretRow, sealer: Sealer) -> bytes:
    return sealer.open(row.sealed, label=label(row.name, row.version))


def label(name: str, version: int) -> str:
    """What a sealed secret says that it is."""
    return f"{name}|{version}"
