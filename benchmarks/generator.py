"""The load generator `build/loadgen` (its source is in loadgen/), with what it may ask of a server.

It is a program of its own, so that what it takes of the processor can be told from the server's.
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import httpx2
import msgspec

from benchmarks.processes import FIRST_TEST_NUMBER, ROOT, TEST_CODE, TEST_NUMBERS
from benchmarks.scenarios import CUSTOMERS

_PROGRAM = ROOT / "build" / "loadgen"

_Answer = TypeVar("_Answer")


def jwks_of(url: str) -> msgspec.Raw:
    """The keys with which a server signs, for the generator to verify one answer in a hundred."""
    return msgspec.Raw(httpx2.get(url, trust_env=False).raise_for_status().content)


class Client(msgspec.Struct, frozen=True):
    """An OAuth client; `authorization` is the header's value, empty for a public client."""

    client_id: str
    authorization: str = ""
    redirect_uri: str = ""
    scope: str = ""


class Messages(msgspec.Struct, frozen=True):
    """The generator as a message provider: where it listens, and the phones that it reaches."""

    address: str
    first_phone: int = 79160000000
    phones: int = CUSTOMERS


class Target(msgspec.Struct, frozen=True):
    """A server; `clients` take turns in having the next customer."""

    address: str
    issuer: str
    paths: Mapping[str, str]
    processes: Mapping[str, Sequence[int]]
    jwks: msgspec.Raw
    clients: Sequence[Client] = ()
    bot: Client | None = None
    app: Client | None = None
    service: Client | None = None
    first_phone: int = FIRST_TEST_NUMBER
    phones: int = TEST_NUMBERS
    code: str = TEST_CODE
    messages: Messages | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """One measurement: at `rate` operations a second, or without one as many as are answered.

    It ends after `seconds`, in the second case also after `operations` if that is not 0.
    """

    shares: Mapping[str, float]
    seconds: float
    connections: int
    rate: float = 0
    operations: int = 0


class Halves(msgspec.Struct, frozen=True):
    """What half and what all but a hundredth stay below."""

    p50_ms: float
    p99_ms: float


class Result(msgspec.Struct, frozen=True):
    """What came of a stage: of requests, and of operations, which may be several requests.

    An operation takes as long as its answers together. `message` is how long messages take from the
    answer that announced them.
    """

    seconds: float
    requests: int
    operations: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p99_9_ms: float
    longest_ms: float
    operation: Halves
    message: Halves
    errors: int
    refused: int
    unserved: int
    faults: list[str]
    cpu_seconds: dict[str, float]
    memory_bytes: dict[str, int]

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    @property
    def operation_rate(self) -> float:
        """Operations a second."""
        return self.operations / self.seconds

    def cpu_per_1000(self) -> dict[str, float]:
        """Processor seconds for 1000 requests, of each process."""
        thousands = max(1, self.requests) / 1000
        return {name: seconds / thousands for name, seconds in self.cpu_seconds.items()}


@dataclass(slots=True)
class Generator:
    """A running generator, which does one thing after the other."""

    _process: "subprocess.Popen[bytes]"

    def sign_in(self, number: int) -> None:
        """Let so many customers sign in by the pages; they take part in all that follows."""
        self._do({"sign_in": number}, str)

    def adopt(self, refresh_tokens: Sequence[str]) -> None:
        """Take over customers, each with a refresh token of the clients in turn."""
        self._do({"adopt": refresh_tokens}, str)

    def make_codes(self, number: int) -> None:
        """Make codes for the scenario `exchange`."""
        self._do({"codes": number}, str)

    def run(self, stage: Stage) -> Result:
        """Measure, and tell the first faults to whoever watches."""
        result = self._do({"stage": stage}, Result)
        for fault in result.faults:
            print(f"{'+'.join(stage.shares)}: {fault}", file=sys.stderr)
        return result

    def _do(self, command: Mapping[str, object], answer: type[_Answer]) -> _Answer:
        self.send(command)
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the generator ended; the reason stands above")
        return msgspec.json.decode(line, type=answer)

    def send(self, command: object) -> None:
        """Write one line."""
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._process.stdin.write(msgspec.json.encode(command) + b"\n")
        self._process.stdin.flush()


@contextlib.contextmanager
def generator(target: Target) -> Iterator[Generator]:
    """A generator for a server that answers already."""
    process = subprocess.Popen([_PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - ours
    with process:
        try:
            made = Generator(process)
            made.send(target)
            yield made
        finally:
            process.kill()
