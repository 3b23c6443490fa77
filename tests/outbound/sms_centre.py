"""An SMS centre that we did not write: npm's `smpp`, which node runs."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_PACKAGES = next((_HERE.parent.parent / ".venv" / "javascript").glob("smpp-*"))
_SECONDS = 20.0


class SmsCentre:
    """One running SMS centre, and all that it has told."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.port = 0
        self.events: list[dict[str, Any]] = []
        self._process = process
        self._news = asyncio.Condition()

    async def do(self, **commands: object) -> None:
        """Have it do something: behave, deliver, drop."""
        assert self._process.stdin is not None
        told = len(self.seen("told"))
        self._process.stdin.write(json.dumps(commands).encode() + b"\n")
        await self.see("told", told + 1)

    def seen(self, event: str) -> list[dict[str, Any]]:
        """What it has told of one kind so far."""
        return [it for it in self.events if it["event"] == event]

    async def see(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until it has told so many of one kind."""
        async with asyncio.timeout(_SECONDS), self._news:
            await self._news.wait_for(lambda: len(self.seen(event)) >= count)
        return self.seen(event)

    async def listen(self) -> None:
        """Take down what it tells, until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            async with self._news:
                self.events.append(json.loads(line))
                self._news.notify_all()


@contextlib.asynccontextmanager
async def sms_centre(*tls: Path) -> AsyncIterator[SmsCentre]:
    """Run an SMS centre on a port of its own, by TLS if it is given its certificate and key."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(_HERE / "sms_centre.js"),
        *map(str, tls),
        env={"NODE_PATH": str(_PACKAGES), "PATH": "/usr/local/bin:/usr/bin:/bin"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    centre = SmsCentre(process)
    listening = asyncio.ensure_future(centre.listen())
    try:
        (started,) = await centre.see("listening")
        centre.port = started["port"]
        yield centre
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await listening
