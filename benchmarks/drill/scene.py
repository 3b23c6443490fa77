"""What the phases of the drill work with, and the real command line for them."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec

from benchmarks.connection import Connection
from benchmarks.drill.relying_parties import Token
from benchmarks.drill.tally import Tally
from benchmarks.drill.watching import StoreWatch, Turn, WorkerWatch, propagation
from benchmarks.prepare import bot_of, phone_grant
from benchmarks.processes import SETTINGS_FILE, Server
from conf.settings import Settings

_LOOK_EVERY = 0.05


@dataclass(slots=True)
class Scene:
    """A provider under load; `latest` is called with the key and the tokens of each answer."""

    settings: Settings
    server: Server
    tally: Tally
    store: StoreWatch
    workers: Sequence[WorkerWatch]
    latest: Callable[[str, Token], None] = lambda _kid, _token: None

    async def idp(self, *command: str) -> bool:
        """Run `idp`; whether it succeeded. What it says to operators is told if not."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "idp", *command),
            *("--config", str(self.settings.directory / SETTINGS_FILE), "--json"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
        if process.returncode != 0:
            self.tally.error(f"idp {' '.join(command)}: {said.decode().strip()}")
        return process.returncode == 0

    async def tokens_of_the_bot(self, phone: str) -> dict[str, str]:
        """The tokens of a customer whom only the drill itself knows."""
        port, bot = self.settings.listen.port, bot_of(self.settings)
        connection = await Connection.open(port)
        form = await phone_grant(connection, port, bot, phone)
        _, body = await connection.ask(bot.post(port, "/token", form))
        connection.close()
        return msgspec.json.decode(body, type=dict[str, str | int])  # type: ignore[return-value]

    async def turns(self, number: int, within: float) -> list[Turn]:
        """The last `number` turns, once the store has made them and every worker follows."""
        turns = self.store.turns
        already = len(turns)

        async def followed() -> bool:
            new = turns[already:]
            return len(new) >= number and all(
                propagation(it, self.workers) is not None for it in new
            )

        if not await self.wait(followed, within):
            self.tally.error(f"in {within} s not every worker followed {number} turns")
        return turns[already:]

    async def wait(self, what: Callable[[], Awaitable[bool]], within: float) -> bool:
        """Wait until something is so; whether it became so in time."""
        deadline = time.monotonic() + within
        while not await what():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_LOOK_EVERY)
        return True
