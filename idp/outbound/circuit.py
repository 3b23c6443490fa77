"""A circuit breaker: a message provider that fails is left alone for a while.

Each worker has its own: it learns within a few messages what the others know, and nothing that is
shared can be wrong for all.
"""

import time
from collections.abc import Callable

_FAILURES = 5  # one after the other
_OPEN_SECONDS = 30.0


class Circuit:
    """Open after some failures in a row; then one message at a time is let through as a probe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether nothing may pass now."""
        return self._failures >= _FAILURES and self._clock() < self._open_until

    def passing(self) -> None:
        """One passes: while it is a probe, no other does."""
        if self._failures >= _FAILURES:
            self._open_until = self._clock() + _OPEN_SECONDS

    def failed(self) -> None:
        """The provider is at fault."""
        self._failures += 1
        self._open_until = self._clock() + _OPEN_SECONDS

    def succeeded(self) -> None:
        """The provider does what it is there for."""
        self._failures = 0
