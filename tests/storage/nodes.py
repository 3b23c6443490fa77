"""Real nodes of an external or replicated store: processes that tests start, and harm."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import asynctnt

from conf.model import Address
from storage.replica_set import NodeState, ReplicaSet
from tests.process.server import free_ports
from tests.storage.links import Links

PROGRAM: Final = Path(__file__).parents[2] / "storage" / "lua" / "node.lua"
PASSWORD: Final = "the-servers-password"
OWNER_PASSWORD: Final = "the-owners-password"
MEMORY: Final = 128 * 1024 * 1024


class Node:
    """One Tarantool, started as a service manager would start it."""

    def __init__(
        self, name: str, port: int, directory: Path, seen: Mapping[str, int], memory: int = MEMORY
    ) -> None:
        self.name = name
        self.port = port
        self.directory = directory
        self.process: subprocess.Popen[bytes] | None = None
        self.program = PROGRAM
        self.environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "IDP_STORE_DIRECTORY": str(directory),
            "IDP_STORE_NAME": name,
            "IDP_STORE_NODES": ",".join(f"{peer}=127.0.0.1:{at}" for peer, at in seen.items()),
            "IDP_STORE_LISTEN": f"127.0.0.1:{port}",
            "IDP_STORE_PASSWORD": PASSWORD,
            "IDP_OWNER_PASSWORD": OWNER_PASSWORD,
            "IDP_STORE_MEMORY": str(memory),
        }
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.port)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def run(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.directory / "log").open("ab") as log:
            return subprocess.Popen(
                ["tarantool", str(self.program), *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def found(self) -> None:
        assert self.run("found").wait(20) == 0, self.log

    def start(self) -> None:
        self.process = self.run()

    def wait(self) -> None:
        eventually(self.greets, f"{self.name} answers", 20)

    def greets(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as client:
                return client.recv(9) == b"Tarantool"
        except OSError:
            return False

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def limit_files(self, size: int = resource.RLIM_INFINITY) -> None:
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.thaw()
            self.process.kill()
            self.process.wait()

    async def owner(self) -> Any:
        connection = asynctnt.Connection(
            host="127.0.0.1",
            port=self.port,
            username="owner",
            password=OWNER_PASSWORD,
            fetch_schema=False,
            auto_refetch_schema=False,
            ping_timeout=0,
            reconnect_timeout=0,
            connect_timeout=2,
        )
        await connection.connect()
        return connection

    async def eval(self, lua: str, *arguments: object) -> Any:
        connection = await self.owner()
        try:
            return (await connection.eval(lua, list(arguments), timeout=10)).body[0]
        finally:
            await connection.disconnect()


class Nodes:
    """As many nodes as a store has; with more than one, promote one of them first."""

    def __init__(self, count: int = 3, links: Links | None = None, memory: int = MEMORY) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="idp-"))
        self.links = links
        ports = dict(zip("abcdefg"[:count], free_ports(count), strict=True))
        # The way from one node to another, by the names of both.
        self._ways = {
            (viewer, peer): links.to(port) if links and viewer != peer else port
            for viewer in ports
            for peer, port in ports.items()
        }
        self.nodes = [
            Node(name, port, self.directory / name, self._seen_by(name), memory)
            for name, port in ports.items()
        ]

    def _seen_by(self, viewer: str) -> dict[str, int]:
        return {peer: port for (eye, peer), port in self._ways.items() if eye == viewer}

    def isolate(self, name: str) -> None:
        """Cut all that lies between a node and the others; clients still reach it."""
        assert self.links is not None
        self.links.cut(
            *(link for way, link in self._ways.items() if name in way and len(set(way)) > 1)
        )

    def start(self) -> None:
        if len(self.nodes) > 1:
            self.nodes[0].found()
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.wait()

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def addresses(self) -> list[Address]:
        return [node.address for node in self.nodes]

    @property
    def replica_set(self) -> ReplicaSet:
        return ReplicaSet(self.addresses, OWNER_PASSWORD)

    async def promote(self, name: str | None = None) -> NodeState:
        return await self.replica_set.promote(name, by="a test", reason="to see")

    async def rejoin(self, name: str) -> None:
        await self.replica_set.rejoin(name, by="a test", reason="to see")

    def __getitem__(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)

    def others(self, *left_out: Node) -> Iterable[Node]:
        return [node for node in self.nodes if node not in left_out]


def eventually(happens: Callable[[], bool], what: str, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)
