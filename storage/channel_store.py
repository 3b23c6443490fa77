"""The store contract's part about channels as configuration, with the clients that files manage."""

from collections.abc import Sequence

import msgspec

from storage import outcomes as o
from storage.procedures import Procedures
from storage.records import (
    By,
    ChannelRevision,
    ChannelRow,
    ChannelsChange,
    ChannelsState,
)


class ChannelStore(Procedures):
    """Channels are compared and then changed as a whole; the last hundred changes are kept."""

    async def channel_read(self, channel_id: str) -> o.ChannelRead:
        """A channel's document."""
        return await self._call("channel_read", o.ChannelRead, channel_id=channel_id)

    async def channels_list(self) -> tuple[ChannelRow, ...]:
        """Every channel."""
        return await self._call("channels_list", tuple[ChannelRow, ...])

    async def channels_read(
        self, channel_ids: Sequence[str], client_ids: Sequence[str]
    ) -> ChannelsState:
        """What there is of these: channels with their clients, and clients wherever they are."""
        return await self._call(
            "channels_read", ChannelsState, channel_ids=channel_ids, client_ids=client_ids
        )

    async def channels_apply(
        self,
        changes: Sequence[ChannelsChange],
        *,
        channel_ids: Sequence[str],
        client_ids: Sequence[str],
        version: str,
        forced: bool = False,
        undoes: int | None = None,
        attempt: str,
        by: By,
        now: int,
    ) -> o.ChannelsApply:
        """Make all the changes, and a revision of them, if `channels_read` would say `version`.

        Stale: somebody has changed what the caller compared with. InUse: a channel that would go,
        or is not there, has a client. Then nothing is changed.
        """
        return await self._call(
            "channels_apply",
            o.ChannelsApply,
            changes=msgspec.to_builtins(changes),
            channel_ids=channel_ids,
            client_ids=client_ids,
            version=version,
            forced=forced,
            undoes=undoes,
            attempt=attempt,
            now=now,
            **msgspec.structs.asdict(by),
        )

    async def channel_revisions(self) -> tuple[ChannelRevision, ...]:
        """The revisions that are kept, the newest first."""
        return await self._call("channel_revisions", tuple[ChannelRevision, ...])

    async def channel_revision_read(self, revision: int | None = None) -> o.ChannelRevisionRead:
        """A revision, the last one unless it is named, with the rows before and after it."""
        return await self._call("channel_revision_read", o.ChannelRevisionRead, revision=revision)
