"""The emergency: the key that signs is revoked, under load, and from then on nobody is to trust it.

Tokens of the key are presented to every worker without a pause, so that they are in its memory too.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from benchmarks.connection import Connection, get
from benchmarks.drill.customers import kid_of
from benchmarks.drill.relying_parties import Token
from benchmarks.drill.scene import Scene
from benchmarks.drill.tally import Tally, tell
from benchmarks.drill.watching import Turn, one_for_each_worker, propagation
from benchmarks.processes import FIRST_TEST_NUMBER

PROMISED = 5.0  # seconds until no worker accepts a token of a revoked key
_VICTIMS = 6
_FIRST_PHONE = FIRST_TEST_NUMBER + 5_000
_WATCHED_BEFORE, _WATCHED_AFTER = 2.0, 6.0
_MARGIN = 10.0
_OK, _REFUSED = 200, (401, b"invalid_token")


@dataclass(slots=True)
class Presenter:
    """Presents the tokens to one worker's userinfo; `answers` has when it asked, and was let in."""

    connection: Connection
    port: int
    tokens: Sequence[str]
    tally: Tally
    answers: list[tuple[float, bool]] = field(default_factory=list)

    async def run(self) -> None:
        """Go on until cancelled. Raises ConnectionError."""
        while True:
            for token in list(self.tokens):
                asked_at = time.monotonic()
                request = get(self.port, "/userinfo", f"Bearer {token}")
                status, body = await self.connection.ask(request)
                if status != _OK and not (status == _REFUSED[0] and _REFUSED[1] in body):
                    self.tally.error(f"userinfo: {status} {body.decode()}")
                self.answers.append((asked_at, status == _OK))
            await asyncio.sleep(0.01)


@dataclass(frozen=True, slots=True)
class Outcome:
    """In seconds from the revocation; `accepted_late` are the answers after the promised time."""

    first_refused_s: float | None
    last_accepted_s: float | None
    accepted_late: int
    asked_late: int
    propagation_s: float


async def past_id_token(scene: Scene) -> str:
    """An ID token of a key that a planned rotation is going to replace."""
    return (await scene.tokens_of_the_bot(f"+{_FIRST_PHONE + _VICTIMS}")).id_token


async def emergency(scene: Scene, past: str) -> Outcome:
    """Revoke the key that signs; `past` is an ID token of one that has left in a planned way."""
    with scene.tally.phase("revocation"):
        kid, successor = (scene.store.key("ES256", state).kid for state in ("active", "next"))
        victims = [
            await scene.tokens_of_the_bot(f"+{_FIRST_PHONE + number}") for number in range(_VICTIMS)
        ]
        hints = [it.id_token for it in victims[:2]]
        await _expect_hint(scene, "before it is revoked", hints[0], good=True)
        # The hint has signed the first one out.
        tokens = [it.access_token for it in victims[1:]]
        connections = await one_for_each_worker(scene.server)
        presenters = [
            Presenter(it, scene.server.port, tokens, scene.tally) for it in connections.values()
        ]
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(it.run()) for it in presenters]
            await asyncio.sleep(_WATCHED_BEFORE)
            turn = await _revoke(scene, kid, tokens)
            await asyncio.sleep(turn.after + PROMISED + _WATCHED_AFTER - time.monotonic())
            for task in running:
                task.cancel()
        if turn.new != successor:
            scene.tally.error(f"{turn.new} signs now, and not {successor}, which was published")
        await _expect_hint(scene, "after it was revoked", hints[1], good=False)
        await _expect_hint(scene, "of a key that has left", past, good=True)
        return _outcome(scene, turn, presenters)


async def _revoke(scene: Scene, kid: str, tokens: list[str]) -> Turn:
    scene.tally.revoked = kid

    turns_before = len(scene.store.turns)

    def present(signed_by: str, token: Token) -> None:
        # What a worker signs that has not heard of it yet must be good for nothing either.
        if signed_by == kid and len(scene.store.turns) > turns_before:
            tokens.append(token["access_token"])

    scene.on_token = present
    order = ("keys", "revoke", kid, "--yes", "--reason", "drill")
    turns, _ = await asyncio.gather(scene.turns(1, _MARGIN), scene.idp(*order))
    delay = propagation(turns[0], scene.workers)
    tell(f"  ES256: every worker signs with {turns[0].new} after {delay:.2f} s")
    return turns[0]


async def _expect_hint(scene: Scene, when: str, id_token: str, *, good: bool) -> None:
    connection = await Connection.open(scene.server.port)
    query = urlencode({"id_token_hint": id_token})
    status, _ = await connection.ask(get(scene.server.port, f"/logout?{query}"))
    connection.close()
    if (status == _OK) != good:
        scene.tally.error(f"an id_token_hint of {kid_of(id_token)}, {when}: {status}")


def _outcome(scene: Scene, turn: Turn, presenters: Sequence[Presenter]) -> Outcome:
    answers = [(round(at - turn.after, 3), good) for it in presenters for at, good in it.answers]
    accepted = [at for at, good in answers if good]
    if not any(at < 0 for at in accepted):
        scene.tally.error("no token of the key was good before it was revoked")
    late = [good for at, good in answers if at >= PROMISED]
    if not late:
        scene.tally.error(f"nothing was presented later than after {PROMISED:.0f} s")
    return Outcome(
        first_refused_s=min((at for at, good in answers if not good), default=None),
        last_accepted_s=max(accepted, default=None),
        accepted_late=sum(late),
        asked_late=len(late),
        propagation_s=round(propagation(turn, scene.workers), 3),
    )
