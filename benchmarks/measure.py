"""One scenario measured: as fast as it goes, and at a rate that leaves some air."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.generator import Generator, Result, Stage
from benchmarks.scenarios import requests_per_operation, shares

_WARM_UP_SECONDS = 0.7
_AIR = 0.7  # of the highest rate: what a server is loaded with that is to answer in time
_CODES_PER_SECOND = 1_000  # made beforehand: a code lives for a minute, so they cannot be many
CURVE = (0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1)


@dataclass(frozen=True, slots=True)
class Measured:
    """The closed loop, whose rate is the highest, and the open model at a part of that rate."""

    closed: Result
    opened: Result

    @property
    def errors(self) -> int:
        """All that was not answered as it should be."""
        return sum(it.errors + it.refused + it.unserved for it in (self.closed, self.opened))


@dataclass(frozen=True, slots=True)
class Measure:
    """How long each measurement takes, and over how many connections."""

    generator: Generator
    seconds: float
    connections: int

    def scenario(self, name: str) -> Measured:
        """Measure one scenario, after a warm-up."""
        if name == "exchange":
            return self._exchange()
        self._run(name, _WARM_UP_SECONDS)
        closed = self.closed(name)
        return Measured(closed, self._run(name, self.seconds, _AIR * closed.operation_rate))

    def closed(self, name: str) -> Result:
        """As fast as it goes."""
        return self._run(name, self.seconds)

    def at(self, name: str, requests: float) -> Result:
        """Measure one scenario at so many requests a second."""
        return self._run(name, self.seconds, requests / requests_per_operation(name))

    def latency_over_rate(self, name: str, highest: float) -> Sequence[tuple[float, Result]]:
        """What comes of growing rates, past the highest, in requests a second."""
        return [(part * highest, self.at(name, part * highest)) for part in CURVE]

    def _exchange(self) -> Measured:
        codes = int(_CODES_PER_SECOND * self.seconds)
        self.generator.make_codes(codes)
        closed = self._run("exchange", 60, operations=codes)
        rate = min(_AIR * closed.operation_rate, codes / self.seconds)
        self.generator.make_codes(codes)
        return Measured(closed, self._run("exchange", codes / closed.operation_rate, rate))

    def _run(self, name: str, seconds: float, rate: float = 0, operations: int = 0) -> Result:
        stage = Stage(shares(name), seconds, self.connections, rate, operations)
        return self.generator.run(stage)
