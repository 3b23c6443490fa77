"""What the phases of the drill work with, and the real command line for them."""

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from benchmarks.connection import Connection
from benchmarks.drill.customers import OnToken
from benchmarks.drill.relying_parties import Token
from benchmarks.drill.tally import Tally
from benchmarks.drill.watching import StoreWatch, Turn, WorkerWatch
from benchmarks.prepare import bot_of, phone_grant
from benchmarks.processes import ROOT, SETTINGS_FILE, Server
from conf.settings import Settings

_LOOK_EVERY = 0.05


class DrillError(Exception):
    """The drill cannot go on."""


class BotTokens(msgspec.Struct, frozen=True):
    """A token answer to the bot."""

    access_token: str
    id_token: str


@dataclass(slots=True)
class Scene:
    """A provider under load.

    `on_token`, which a phase may exchange, hears of each answer: the key, and the tokens.
    """

    settings: Settings
    server: Server
    tally: Tally
    store: StoreWatch
    workers: Sequence[WorkerWatch]
    delays: list[float] = field(default_factory=list)
    on_token: OnToken = lambda _kid, _token: None

    def issued(self, kid: str, token: Token) -> None:
        """Tokens were issued, signed with the key `kid`."""
        self.on_token(kid, token)

    async def idp(self, *command: str) -> bool:
        """Run `idp`; whether it succeeded. What it says to operators is told if not."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "idp", *command),
            *("--config", str(self.settings.directory / SETTINGS_FILE), "--json"),
            cwd=ROOT,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
        if process.returncode != 0:
            self.tally.error(f"idp {' '.join(command)}: {said.decode().strip().splitlines()[-1]}")
        return process.returncode == 0

    async def tokens_of_the_bot(self, phone: str) -> BotTokens:
        """The tokens of a customer whom only the drill itself knows."""
        port, bot = self.settings.listen.port, bot_of(self.settings)
        connection = await Connection.open(port)
        form = await phone_grant(connection, port, bot, phone)
        _, body = await connection.ask(bot.post(port, "/token", form))
        connection.close()
        return msgspec.json.decode(body, type=BotTokens)

    async def turns(self, number: int, within: float) -> list[Turn]:
        """The next `number` turns, once the store has made them and every worker follows.

        Raises DrillError if that takes too long.
        """
        turns = self.store.turns
        already = len(turns)

        deadline = time.monotonic() + within
        while not (
            len(turns) >= already + number
            and all(it.new in worker.first for it in turns[already:] for worker in self.workers)
        ):
            if time.monotonic() > deadline:
                raise DrillError(f"in {within:.0f} s not every worker has turned to another key")
            await asyncio.sleep(_LOOK_EVERY)
        return turns[already:]
