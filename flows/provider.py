"""The one thing that every flow receives."""

from dataclasses import dataclass

from conf.settings import Settings
from flows.clients import ClientDirectory
from flows.passwords import PasswordHasher
from flows.ports import Clock, Fetcher, Log, Outbox
from flows.remote_jwks import RemoteKeys
from keys.ring import KeyRing
from storage.store import Store


@dataclass(frozen=True, slots=True)
class Provider:
    """The parts of a running OpenID Provider; no flow knows any other way to reach them."""

    settings: Settings
    store: Store
    keys: KeyRing
    clients: ClientDirectory
    fetcher: Fetcher
    remote_keys: RemoteKeys
    passwords: PasswordHasher
    outbox: Outbox
    clock: Clock
    log: Log

    @property
    def issuer(self) -> str:
        """The issuer identifier, and the base of every URL of ours."""
        return self.settings.issuer
