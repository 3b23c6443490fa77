"""A store that others start and keep alive: nothing is done here but waiting for it."""

import socket
import time
from collections.abc import Sequence

from conf.model import Address, Settings
from storage.child import GREETING, PrivateTarantool

_POLL_SECONDS = 0.1


class StoreElsewhere:
    """In the place of a PrivateTarantool, whose methods of these names have work to do."""

    pid: int | None = None

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = tuple(addresses)

    def lock(self) -> None:
        """Do nothing: other servers use the same store."""

    def start(self) -> None:
        """Do nothing: it runs already, or a call will tell."""

    def launch(self) -> None:
        """Do nothing: a service manager does it."""

    def wait(self) -> None:
        """Return when a node answers; whether one leads, a call will tell."""
        while not self.answers():
            time.sleep(_POLL_SECONDS)

    def answers(self) -> bool:
        """Whether any node does."""
        return any(map(greets_at, self._addresses))

    def alive(self) -> bool:
        """Say yes: it is nobody's here to restart."""
        return True

    def restart_if_dead(self) -> bool:
        """Do nothing, and say so."""
        return False

    def stop(self) -> None:
        """Do nothing: it outlives us."""


def store_of(settings: Settings) -> PrivateTarantool | StoreElsewhere:
    """The store of these settings, as a process."""
    if settings.store.topology == "child":
        return PrivateTarantool(settings.directory / "store", settings.store.memory_bytes)
    return StoreElsewhere(settings.store.addresses)


def greets_at(at: Address) -> bool:
    """Whether a Tarantool listens at this address."""
    try:
        with socket.create_connection((at.host, at.port), 1) as client:
            client.settimeout(1)
            return client.recv(len(GREETING)) == GREETING
    except OSError:
        return False
