"""Who signs with what, and since when: the store's word, and each worker's by itself."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from benchmarks.connection import Connection, get, post
from benchmarks.drill.customers import kid_of
from benchmarks.processes import Server, worker_of
from storage.records import SigningKeyRow
from storage.store import Store

_LOOK_EVERY = 0.02
_ASK_EVERY = 0.02
_AT_ONCE = 8
_TRIES = 40
_OK = 200


@dataclass(frozen=True, slots=True)
class Turn:
    """An algorithm's active key was exchanged in the store: not yet at `after`."""

    alg: str
    old: str
    new: str
    after: float


@dataclass(slots=True)
class StoreWatch:
    """Looks at the store all the time; `keys` is what it saw last."""

    store: Store
    keys: Sequence[SigningKeyRow] = ()
    turns: list[Turn] = field(default_factory=list)
    _revision: int = -1
    _looked_at: float = 0

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_EVERY)

    async def look(self) -> None:
        """Take in what has changed since the last time."""
        # The last time that nothing had changed: what is measured from it is never too short.
        after, self._looked_at = self._looked_at, time.monotonic()
        revision = (await self.store.revisions_read())["keys"]
        if revision == self._revision:
            return
        before = {row.alg: row.kid for row in self.keys if row.state == "active"}
        self.keys, self._revision = await self.store.signing_keys(), revision
        for row in self.keys:
            old = before.get(row.alg)
            if row.state == "active" and old not in (None, row.kid):
                self.turns.append(Turn(row.alg, str(old), row.kid, after))

    def key(self, alg: str, state: str) -> SigningKeyRow:
        """The one key of an algorithm that is active, or that is next."""
        return next(row for row in self.keys if (row.alg, row.state) == (alg, state))


@dataclass(slots=True)
class WorkerWatch:
    """Has one worker refresh a grant all the time; `first` is when it first used each key.

    The client's ID tokens are RS256 and its access tokens ES256: both are seen at once.
    """

    connection: Connection
    port: int
    credentials: dict[str, str]
    refresh_token: str
    first: dict[str, float] = field(default_factory=dict)

    async def run(self) -> None:
        """Go on until cancelled. Raises ConnectionError and ValueError if it cannot."""
        while True:
            form = {"grant_type": "refresh_token", "refresh_token": self.refresh_token}
            request = post(self.port, "/token", form | self.credentials)
            status, body = await self.connection.ask(request)
            if status != _OK:
                raise ValueError(f"a refresh was answered {status}: {body.decode()}")
            answer = msgspec.json.decode(body)
            self.refresh_token = answer["refresh_token"]
            for name in ("access_token", "id_token"):
                self.first.setdefault(kid_of(answer[name]), time.monotonic())
            await asyncio.sleep(_ASK_EVERY)


async def one_for_each_worker(server: Server) -> dict[int, Connection]:
    """A kept connection to each worker. Raises RuntimeError if one never takes any."""
    found: dict[int, Connection] = {}
    for _ in range(_TRIES):
        opened = [await Connection.open(server.port) for _ in range(_AT_ONCE)]
        await asyncio.gather(*(it.ask(get(server.port, "/livez")) for it in opened))
        for connection in opened:
            worker = worker_of(server, connection.local_port)
            if worker is None or found.setdefault(worker, connection) is not connection:
                connection.close()
        if len(found) == len(server.workers):
            return found
    raise RuntimeError(f"only the workers {sorted(found)} of {server.workers} take connections")


def propagation(turn: Turn, workers: Iterable[WorkerWatch]) -> float:
    """Seconds until the last worker signed with a turn's new key, which all have done."""
    return max(worker.first[turn.new] for worker in workers) - turn.after
