"""Network links between nodes, that a test can cut: what is on its way then arrives when it heals."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Self

_CHUNK = 65_536


class Links:
    """Each link is a port of its own that leads to another port; they are cut one by one."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._flowing: dict[int, asyncio.Event] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def to(self, port: int) -> int:
        """Make a link to a port of this machine; return the link's own port."""
        return int(self._run(self._listen(port)))

    def cut(self, *links: int) -> None:
        for link in links:
            self._loop.call_soon_threadsafe(self._flowing[link].clear)

    def heal(self) -> None:
        for flowing in self._flowing.values():
            self._loop.call_soon_threadsafe(flowing.set)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(5)

    async def _listen(self, port: int) -> int:
        flowing = asyncio.Event()
        flowing.set()

        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await flowing.wait()
                there, back = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                writer.close()
                return
            await asyncio.gather(_pump(reader, back, flowing), _pump(there, writer, flowing))

        server = await asyncio.start_server(carry, "127.0.0.1", 0)
        link = int(server.sockets[0].getsockname()[1])
        self._flowing[link] = flowing
        return link

    async def _stop(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flowing: asyncio.Event
) -> None:
    try:
        while data := await reader.read(_CHUNK):
            await flowing.wait()
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
