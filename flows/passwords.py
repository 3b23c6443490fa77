"""Argon2id, for client secrets that people chose or other systems brought.

It is slow on purpose, so it runs in one thread, one hash at a time, in the order of arrival; a
success is remembered under the secret's SHA-256 for as long as the process lives. Requests that
bring the same secret at the same time wait for one hash. At most two secrets wait for each hash
that they are compared with: whoever floods one client with wrong secrets delays the others by two
turns, however much is sent, and none whose secret this process has met.
"""

import asyncio

from argon2 import PasswordHasher as Argon2
from argon2.exceptions import InvalidHashError, VerificationError

from flows.errors import TemporarilyUnavailable
from keys.hashing import sha256

_QUEUE = 64
_QUEUE_OF_ONE = 2  # a client's own: its hosts may bring an old and a new secret at once
_REMEMBERED = 10_000


class PasswordHasher:
    """Hashes and verifies without blocking the event loop."""

    def __init__(self) -> None:
        self._argon2 = Argon2()
        self._turn = asyncio.Semaphore(1)
        self._running: dict[tuple[str, bytes], asyncio.Task[bool]] = {}
        self._verified: dict[tuple[str, bytes], None] = {}

    async def hash(self, secret: str) -> str:
        """The encoded argon2id hash of a secret."""
        async with self._turn:
            return await asyncio.to_thread(self._argon2.hash, secret)

    async def verify(self, encoded: str, secret: str) -> bool:
        """Whether `secret` is the one hashed as `encoded`.

        Raises TemporarilyUnavailable when too many wait for their turn, of all or for `encoded`.
        """
        question = (encoded, sha256(secret))
        if question in self._verified:
            return True
        if question not in self._running:
            of_one = sum(waiting == encoded for waiting, _ in self._running)
            if len(self._running) >= _QUEUE or of_one >= _QUEUE_OF_ONE:
                raise TemporarilyUnavailable(retry_after=1, detail="argon2 queue is full")
            self._running[question] = asyncio.create_task(self._answer(question, secret))
        # Shielded: others may wait for it when this request is gone.
        return await asyncio.shield(self._running[question])

    async def _answer(self, question: tuple[str, bytes], secret: str) -> bool:
        try:
            async with self._turn:
                verified = await asyncio.to_thread(self._verify, question[0], secret)
        finally:
            del self._running[question]
        if verified:
            if len(self._verified) >= _REMEMBERED:
                self._verified.clear()
            self._verified[question] = None
        return verified

    def _verify(self, encoded: str, secret: str) -> bool:
        try:
            return self._argon2.verify(encoded, secret)
        except (VerificationError, InvalidHashError):
            return False
