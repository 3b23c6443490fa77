"""What a peer is, and how one is found on this machine."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.generator import Client, Target
from benchmarks.processes import ROOT

CLIENT_ID = "benchmark"
SECRET = "benchmark-secret"  # nobody else reaches a peer of ours
HERE = Path(__file__).parent


class NotInstalled(Exception):
    """A peer that this machine cannot have; its installation has said why."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A running peer: what to ask it, the refresh tokens of its customers, and what it is."""

    target: Target
    refresh_tokens: Sequence[str]
    description: str


def installed(name: str) -> Path:
    """The directory of a peer, which is installed unless it is there. Raises NotInstalled."""
    command = str(HERE / "install.sh"), name
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 - ours
    if done.returncode != 0:
        raise NotInstalled(name)
    return Path(ROOT / done.stdout.strip())


def client(authorization: str, scope: str = "") -> Client:
    """The one client that a peer has."""
    return Client(CLIENT_ID, authorization, scope=scope)
