"""node-oidc-provider: one process, which keeps everything in its memory."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2

from benchmarks.generator import Target, jwks_of
from benchmarks.peers.peer import CLIENT_ID, HERE, SECRET, Peer, client, installed
from benchmarks.processes import free_ports, running
from benchmarks.users import Client

# Its adapter holds a thousand entries, and each customer has five between two rotations.
_CUSTOMERS = 128


@contextlib.contextmanager
def node_provider(directory: Path) -> Iterator[Peer]:
    """The peer, with its log in `directory`."""
    place = installed("node-oidc-provider")
    (port,) = free_ports(1)
    issuer = f"http://127.0.0.1:{port}"
    modules = place / "node_modules"
    command = "node", str(HERE / "node_provider.mjs"), str(port), str(modules), SECRET
    with running(directory / "node-oidc-provider.log", port, *command) as pid:
        tokens = httpx2.get(
            f"{issuer}/benchmark/tokens", params={"number": _CUSTOMERS}, trust_env=False
        )
        asking = client(Client(CLIENT_ID, "", SECRET).authorization)
        yield Peer(
            Target(
                address=f"127.0.0.1:{port}",
                issuer=issuer,
                paths={"token": "/token"},
                processes={"workers": (pid,)},
                jwks=jwks_of(f"{issuer}/jwks"),
                clients=(asking,),
                service=asking,
            ),
            tokens.json(),
            f"{place.name}, Node.js {_node_version()}, one process, in memory, ES256",
        )


def _node_version() -> str:
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)  # noqa: S607
    return said.stdout.strip()
