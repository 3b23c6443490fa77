"""The nodes of a replicated store as their operator sees them: how they stand, and who leads.

A promotion is a vote. A majority of the nodes promises a new term, and from then on follows
nobody of an earlier one; so the writer before can have nothing acknowledged any more, dead or not.
Among those who promised, the one that holds most has all that was ever acknowledged: it leads.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import asynctnt
import msgspec
from asynctnt.exceptions import TarantoolDatabaseError, TarantoolError

from conf.model import Address
from storage.errors import NodeError
from storage.nodes import Place, greets

_CONNECT_SECONDS = 1.0
_ANSWER_SECONDS = 2.0
_LEAD_SECONDS = 8.0  # a new writer waits to be followed; if it takes longer, it must answer
_NO_LIMIT = -1.0  # as asynctnt has it
_CATCH_UP_SECONDS = 2.0
_POLL_SECONDS = 0.02


class NodeState(msgspec.Struct, frozen=True):
    """How a node stands in its replica set; `history` is the term of the last row that it holds."""

    name: str
    leads: bool
    promised: int
    history: int
    rows: int  # how many it has taken, ever
    outdated: bool  # it holds what no other one knows, and must join anew
    begins: bool = False  # it is about to lead, and brings the store to its version before
    following: str | None = None

    @property
    def holds(self) -> tuple[int, int]:
        """Greater is more: the later history, or more of the same one."""
        return self.history, self.rows


class Upstream(msgspec.Struct, frozen=True):
    """The connection to the node that this one follows; `lag` and `idle` are seconds."""

    status: str
    lag: float = 0.0
    idle: float = 0.0


class Memory(msgspec.Struct, frozen=True):
    """Bytes for rows."""

    used: int
    quota: int


class NodeReport(msgspec.Struct, frozen=True):
    """What a node tells of itself; `oldest_expiry` is the least `expires_at` of all rows."""

    tarantool: str
    leads: bool
    schema_version: int
    knows_schema_version: int
    memory: Memory
    rows: dict[str, int]
    upstream: Upstream | None = None
    oldest_expiry: int | None = None


class ReplicaSet:
    """The nodes at some addresses, asked and told as the user `owner`."""

    def __init__(self, addresses: Sequence[Address], password: str) -> None:
        self.addresses = tuple(addresses)
        self._password = password

    @property
    def majority(self) -> int:
        """How many nodes decide for all: as many as no acknowledged row can have missed."""
        return len(self.addresses) - len(self.addresses) // 2

    async def states(self) -> dict[Address, NodeState]:
        """How the nodes stand that answer."""
        return await self._ask_all("state", NodeState)

    async def reports(self) -> dict[Address, NodeReport]:
        """What the nodes tell that answer."""
        return await self._ask_all("report", NodeReport)

    async def leader(self) -> Address:
        """Where the node is that leads. Raises NodeError if there is none."""
        leader = _leader(await self.states())
        if leader is None:
            raise NodeError("nobody leads: promote a node first")
        return leader

    async def is_led(self) -> bool:
        """Whether a node leads, by a majority's acknowledgement of this moment, or is about to."""
        first = _first(await self.states())
        return first is not None and await self._is_confirmed(first)

    async def promote(self, name: str | None = None, *, by: str, reason: str) -> NodeState:
        """Make a node lead, and return it: `name`, unless another one holds more.

        `by` and `reason` go to the audit trail with the first row that it writes. It takes as long
        as the migrations that the node brings.

        Raises NodeError, also when a node leads already and no other one was named. One that no
        majority acknowledges does not count: it votes only if the others are too few.
        """
        found = await self.states()
        self._insist_on_majority(found)
        if name is not None:
            self._named(found, name)
        leader = _first(found)
        cut_off: Address | None = None
        if leader is not None and not await self._is_confirmed(leader):
            leader, cut_off = None, leader
        if leader is not None and found[leader].begins:
            raise NodeError(f"{found[leader].name} is about to lead: wait until it does")
        if leader is not None and name in (None, found[leader].name):
            raise NodeError(f"{found[leader].name} leads already: name another node to have it")
        term = max(state.promised for state in found.values()) + 1
        voters: dict[Address, NodeState] = {}
        if leader is not None and name is not None:
            voters = await self._hand_over(leader, self._named(found, name), term)
        left = [at for at in found if at not in voters and at not in (leader, cut_off)]
        voters |= await self._fence(left, term, enough=self.majority - len(voters))
        if cut_off is not None and len(voters) < self.majority:
            voters |= await self._fence([cut_off], term, enough=1)
        self._insist_on_majority(voters)
        best = max(voters, key=lambda at: (voters[at].holds, voters[at].name == name))
        lead = await self._lead(best, term, by, reason)
        if not lead.leads:
            raise NodeError(f"{lead.name} was told to lead and has lost it again: try once more")
        return lead

    async def rejoin(self, name: str, *, by: str, reason: str) -> None:
        """Have a node set its files aside and end, to join anew when it is started again.

        Raises NodeError.
        """
        found = await self.states()
        at = self._named(found, name)
        leader = _leader(found)
        if leader is None:
            raise NodeError(f"nobody leads whom {name} could follow: promote a node first")
        if leader == at:
            raise NodeError(f"{name} is the one that leads")
        await self._ask(leader, "note_rejoin", NodeState, name, by, reason)
        await self._ask(at, "rejoin", NodeState)

    async def suspect(self, watcher: str) -> set[str]:
        """Tell the nodes that a watcher finds no leader; return all who said so just now."""
        found = await self._ask_all("suspect", list[str], watcher)
        return {name for names in found.values() for name in names}

    async def _hand_over(self, leader: Address, to: Address, term: int) -> dict[Address, NodeState]:
        """Stop the leader, and return it as a voter if its successor has all that it has."""
        fenced = await self._fence([leader], term, enough=1)
        deadline = time.monotonic() + _CATCH_UP_SECONDS
        while leader in fenced and time.monotonic() < deadline:
            state = await self._ask(to, "state", NodeState)
            if state.holds >= fenced[leader].holds:
                return fenced
            await asyncio.sleep(_POLL_SECONDS)
        return {}

    async def _lead(self, at: Address, term: int, by: str, reason: str) -> NodeState:
        leading = asyncio.create_task(self._tell(at, "lead", term, by, reason))
        try:
            while not (await asyncio.wait({leading}, timeout=_LEAD_SECONDS))[0]:
                await self._ask(at, "state", NodeState)
            return leading.result()
        finally:
            await _end({leading})

    async def _is_confirmed(self, leader: Address) -> bool:
        try:
            await self._ask(leader, "confirm", NodeState)
        except NodeError:
            return False
        return True

    async def _fence(
        self, nodes: Sequence[Address], term: int, *, enough: int
    ) -> dict[Address, NodeState]:
        """Return those that promised the term, `enough` of them if so many answer at all.

        A node promises when it has taken the index that it takes from the writer before.
        """
        fencing = {asyncio.create_task(self._tell(at, "fence", term)): at for at in nodes}
        promised: dict[Address, NodeState] = {}
        waiting = set(fencing)
        try:
            while waiting:
                done, waiting = await asyncio.wait(waiting, timeout=_ANSWER_SECONDS)
                promised |= {fencing[it]: it.result() for it in done if it.exception() is None}
                if not done:
                    if len(promised) >= enough:
                        break
                    answering = await self._ask_all("state", NodeState)
                    waiting = {it for it in waiting if fencing[it] in answering}
        finally:
            await _end(set(fencing))
        return {at: promised[at] for at in nodes if at in promised}

    async def _tell(self, at: Address, function: str, *arguments: Any) -> NodeState:
        """Ask what may take as long as a migration."""
        state: NodeState = await self._ask(at, function, NodeState, *arguments, seconds=_NO_LIMIT)
        return state

    async def _ask_all(self, function: str, kind: Any, *arguments: Any) -> dict[Address, Any]:
        answers = await asyncio.gather(
            *(self._ask(at, function, kind, *arguments) for at in self.addresses),
            return_exceptions=True,
        )
        return {
            at: answer
            for at, answer in zip(self.addresses, answers, strict=True)
            if not isinstance(answer, BaseException)
        }

    async def _ask(
        self,
        at: Address,
        function: str,
        kind: Any,
        *arguments: Any,
        seconds: float = _ANSWER_SECONDS,
    ) -> Any:
        if not await greets(Place.of(at)):
            raise NodeError(f"{at.host}:{at.port}: it does not answer")
        connection = asynctnt.Connection(
            host=at.host,
            port=at.port,
            username="owner",
            password=self._password,
            fetch_schema=False,
            auto_refetch_schema=False,
            ping_timeout=0,
            reconnect_timeout=0,
            connect_timeout=_CONNECT_SECONDS,
        )
        try:
            await connection.connect()
            answer = await connection.call(f"node.{function}", list(arguments), timeout=seconds)
        except TarantoolDatabaseError as error:
            raise NodeError(f"{at.host}:{at.port}: {error.message}") from error
        except (TimeoutError, TarantoolError, OSError) as error:
            reason = str(error) or "it does not answer"
            raise NodeError(f"{at.host}:{at.port}: {reason}") from error
        finally:
            await connection.disconnect()
        return msgspec.convert(answer.body[0], kind)

    def _insist_on_majority(self, found: dict[Address, NodeState]) -> None:
        if len(found) < self.majority:
            raise NodeError(
                f"only {len(found)} of {len(self.addresses)} nodes answer, {self.majority} must: "
                "the others may hold what was acknowledged"
            )

    def _named(self, found: dict[Address, NodeState], name: str) -> Address:
        for at, state in found.items():
            if state.name == name:
                return at
        names = ", ".join(sorted(state.name for state in found.values()))
        raise NodeError(f"no node that is named {name} answers: there are {names}")


async def _end(tasks: set[asyncio.Task[NodeState]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _leader(found: dict[Address, NodeState]) -> Address | None:
    leading = [at for at, state in found.items() if state.leads]
    return max(leading, key=lambda at: found[at].history, default=None)


def _first(found: dict[Address, NodeState]) -> Address | None:
    """Return the latest one that leads, or is about to."""
    candidates = [at for at, state in found.items() if state.leads or state.begins]
    return max(candidates, key=lambda at: found[at].promised, default=None)
