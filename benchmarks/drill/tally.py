"""What is counted, for each phase of the drill."""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_FAULTS_TOLD = 8


@dataclass(slots=True)
class Phase:
    """One phase: how long it took, and what happened in it how often.

    The counts: `tokens` were issued; `verified` and `failed` are verdicts of relying parties and of
    userinfo; `revoked` are the refusals of a revoked key's tokens; `errors` is everything else.
    """

    name: str
    seconds: float = 0
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Tally:
    """All phases; `revoked` is the key whose tokens are to be refused from now on."""

    phases: list[Phase] = field(default_factory=list)
    revoked: str = ""

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count as this phase's what happens from now on."""
        began = time.monotonic()
        phase = Phase(name)
        self.phases.append(phase)
        tell(f"{name} ...")
        try:
            yield
        finally:
            phase.seconds = time.monotonic() - began
        tell(f"{name}: {', '.join(f'{n} {what}' for what, n in sorted(phase.counts.items()))}")

    def add(self, what: str, number: int = 1) -> None:
        """Count something in this phase."""
        self.phases[-1].counts[what] += number

    def verdict(self, kid: str, fault: str | None) -> None:
        """Count a verification with the key `kid`; None is success."""
        if fault is None:
            self.add("verified")
        elif kid == self.revoked:
            self.add("revoked")
        else:
            self._fault("failed", fault)

    def error(self, what: str) -> None:
        """Count what should not happen and is no verification."""
        self._fault("errors", what)

    def total(self, what: str) -> int:
        """The count over all phases."""
        return sum(phase.counts[what] for phase in self.phases)

    def _fault(self, what: str, text: str) -> None:
        self.add(what)
        if self.phases[-1].counts[what] <= _FAULTS_TOLD:
            tell(f"  {what}: {text}")


def tell(line: str) -> None:
    """Progress, for whoever watches."""
    print(line, file=sys.stderr, flush=True)
