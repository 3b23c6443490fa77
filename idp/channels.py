"""Channels files and the store of one installation, whether its server runs or not."""

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from conf.channels import ChannelEntry
from conf.settings import ConfigurationError, Settings
from flows import channel_plan, channels
from flows.channel_plan import Plan
from idp.commands.operating import with_store
from keys.client_secrets import ClientSecretSealer
from keys.sealing import load_sealer
from storage.records import By
from storage.store import Store

Make = Callable[[Store, Settings], Awaitable[Plan]]
Done = tuple[Plan, int | None]
"""What was planned, and the revision that it has become; None where there was nothing to do."""


def faults(entries: Sequence[ChannelEntry], settings: Settings | None) -> tuple[str, ...]:
    """All that keeps `entries` from being applied, to this installation or to a usual one."""
    try:
        channels.check(entries, _rules(settings))
    except channels.ChannelsFault as error:
        return error.faults
    return ()


def warnings(entries: Sequence[ChannelEntry], settings: Settings | None) -> tuple[str, ...]:
    """What may be meant, and costs, in this installation or in a usual one."""
    return tuple(channels.warnings(entries, _rules(settings)))


def of_files(entries: Sequence[ChannelEntry]) -> Make:
    """Makes the plan of channels files."""

    async def make(store: Store, settings: Settings) -> Plan:
        sealer = partial(_sealer, settings)
        return await channel_plan.compare(store, entries, _rules(settings), sealer)

    return make


def of_undoing(revision: int | None) -> Make:
    """Makes the plan that takes a revision back, the last one unless it is named."""

    async def make(store: Store, settings: Settings) -> Plan:
        return await channel_plan.compare_undone(store, revision, partial(_sealer, settings))

    return make


async def plan(store: Store, settings: Settings, make: Make) -> Plan:
    """What would change. Raises ConfigurationError for what cannot be, KeysError, StoreError."""
    try:
        return await make(store, settings)
    except channels.ChannelsFault as error:
        raise ConfigurationError(*error.faults) from None


async def carry_out(store: Store, settings: Settings, make: Make, *, force: bool, by: By) -> Done:
    """Change it. Raises what `plan` raises, Refused and Overtaken."""
    try:
        return await channel_plan.carry_out(
            store, partial(make, store, settings), force=force, by=by, now=int(time.time())
        )
    except channels.ChannelsFault as error:
        raise ConfigurationError(*error.faults) from None


async def apply(settings: Settings, entries: Sequence[ChannelEntry], by: str) -> None:
    """Make the channels in the running store as `entries` say, whatever that breaks.

    Raises what `carry_out` raises.
    """
    store = await Store.open(settings)
    try:
        await carry_out(store, settings, of_files(entries), force=True, by=By(by))
    finally:
        await store.close()


def apply_with_store(
    settings: Settings, entries: Sequence[ChannelEntry], by: str, *, force: bool = False
) -> Done:
    """Apply channels; if no server runs, its store is started for that long.

    Raises what `carry_out` raises, and StoreStartError.
    """
    make = of_files(entries)
    return with_store(
        settings, lambda store: carry_out(store, settings, make, force=force, by=By(by))
    )


def _rules(settings: Settings | None) -> channels.Rules:
    return channels.Rules() if settings is None else channels.Rules.of(settings)


def _sealer(settings: Settings) -> ClientSecretSealer:
    return ClientSecretSealer(load_sealer(settings.key_encryption_keys))
