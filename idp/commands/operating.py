"""Which installation a command works on, in whose name, and its store."""

import asyncio
import contextlib
import os
import pwd
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import typer

from conf import settings as configuration
from conf.settings import Settings
from idp.commands.terminal import CommandError
from keys import sealed_keys
from keys.life_cycle import LifeCycle
from keys.sealing import Sealer, load_sealer
from storage.child import PrivateTarantool, StoreInUseError
from storage.elsewhere import store_of
from storage.errors import Unavailable
from storage.owner import Owner
from storage.records import By
from storage.store import Store

T = TypeVar("T")


def settings_of(config: Path | None, directory: Path | None) -> Settings:
    """The settings of the installation that a command is for. Raises ConfigurationError."""
    if (config is None) == (directory is None):
        raise typer.BadParameter("give either --config or --directory")
    if config is not None:
        return configuration.load(config)
    return configuration.development(directory=(directory or Path("var")).absolute())


def with_store(
    settings: Settings, work: Callable[[Store], Awaitable[T]], *, alone: bool = False
) -> T:
    """Do `work` on the running server's store; if no server runs, on one started for that long.

    Raises StoreStartError and StoreError.
    """

    async def opened() -> T:
        store = await Store.open(settings)
        try:
            return await work(store)
        finally:
            await store.close()

    with _running_store(settings, alone=alone):
        return asyncio.run(opened())


def with_sealer(
    settings: Settings, work: Callable[[Store, Sealer], Awaitable[T]], *, lost: bool = False
) -> T:
    """Do the same with what seals secrets in that store.

    Raises SealError too: before `work` can seal anything that the servers could not open. Where
    what is there counts as `lost`, that is no matter, but no server may run.
    """
    sealer = load_sealer(settings.key_encryption_keys)

    async def opened(store: Store) -> T:
        for row in await store.signing_keys():
            if row.state != "revoked" and not lost:
                sealed_keys.open_public(row, sealer)
        return await work(store, sealer)

    return with_store(settings, opened, alone=lost)


def with_keys(
    settings: Settings, work: Callable[[LifeCycle], Awaitable[T]], *, lost: bool = False
) -> T:
    """Do the same with the keys in that store. Raises as `with_sealer` does."""

    async def opened(store: Store, sealer: Sealer) -> T:
        with contextlib.closing(LifeCycle.of(settings, store, sealer)) as life_cycle:
            return await work(life_cycle)

    return with_sealer(settings, opened, lost=lost)


def with_owner(settings: Settings, work: Callable[[Owner], T]) -> T:
    """Do `work` as the store's owner, on a running server's store or on one started for that long.

    Raises StoreStartError and StoreError.
    """
    with (
        _running_store(settings, alone=False),
        contextlib.closing(Owner.connect(settings.directory / "store")) as owner,
    ):
        return work(owner)


def running_owner(settings: Settings) -> Owner | None:
    """A connection as the owner of the store that a server runs; None if no server does."""
    with contextlib.suppress(Unavailable):
        return Owner.connect(settings.directory / "store")
    return None


@contextlib.contextmanager
def stopped_store(settings: Settings) -> Iterator[Path]:
    """The directory of a store that nobody serves, taken for as long. Raises StoreStartError."""
    store = PrivateTarantool(settings.directory / "store", settings.store.memory_bytes)
    store.lock()
    try:
        yield store.directory
    finally:
        store.stop()


@contextlib.contextmanager
def _running_store(settings: Settings, *, alone: bool) -> Iterator[None]:
    store = store_of(settings)
    try:
        store.start()
    except StoreInUseError as error:
        # A server runs, and its store with it.
        if alone:
            raise CommandError(f"stop the server first: {error}") from None
        yield
        return
    try:
        yield
    finally:
        store.stop()


def now() -> int:
    """Unix seconds."""
    return int(time.time())


def actor() -> str:
    """Who runs the command, for the audit trail: the system's user and host.

    Behind sudo the user who called it, as far as root's environment can be believed.
    """
    uid = os.getuid()
    caller = os.environ.get("SUDO_USER") if uid == 0 else None
    try:
        user = caller or pwd.getpwuid(uid).pw_name
    except KeyError:  # a container may run under a number that has no name
        user = str(uid)
    return f"{user}@{socket.gethostname()}"


def by(reason: str) -> By:
    """Who runs this command, and why."""
    return By(actor(), reason.strip() or None)
