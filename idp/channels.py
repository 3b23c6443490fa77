"""Applying channels files to the store of one installation, whether its server runs or not."""

import time
from collections.abc import Collection, Sequence

from conf.channels_file import ChannelEntry
from conf.settings import ConfigurationError, Settings
from flows import channels
from idp.commands.operating import with_store
from storage.outcomes import ChannelsChange
from storage.store import Store


def faults(
    entries: Sequence[ChannelEntry], *, algorithms: Collection[str], development: bool
) -> tuple[str, ...]:
    """All that keeps `entries` from being applied."""
    try:
        channels.check(entries, algorithms=algorithms, development=development)
    except channels.ChannelsFault as error:
        return error.faults
    return ()


async def apply(settings: Settings, entries: Sequence[ChannelEntry], by: str) -> ChannelsChange:
    """Make the channels in the running store as `entries` say, on behalf of `by`.

    Raises ConfigurationError for clients that cannot be, and StoreError.
    """
    store = await Store.open(settings)
    try:
        return await _apply(store, settings, entries, by)
    finally:
        await store.close()


def apply_with_store(
    settings: Settings, entries: Sequence[ChannelEntry], by: str
) -> ChannelsChange:
    """Do the same; if no server runs, its store is started for that long.

    Raises what `apply` raises, and StoreStartError.
    """
    return with_store(settings, lambda store: _apply(store, settings, entries, by))


async def _apply(
    store: Store, settings: Settings, entries: Sequence[ChannelEntry], by: str
) -> ChannelsChange:
    try:
        return await channels.apply(
            store,
            entries,
            algorithms=settings.keys.algorithms,
            development=settings.development,
            by=by,
            now=int(time.time()),
        )
    except channels.ChannelsFault as error:
        raise ConfigurationError(*error.faults) from None
