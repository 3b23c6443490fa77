"""The message provider of development mode: a file that every worker writes, and the terminal."""

import asyncio
import os
import secrets
import sys
import time
from pathlib import Path

import msgspec

from flows.ports import Submission, Submitted

_SHOWN = 200
_CALLED_FROM = "+7495123"  # and four digits that nobody knows before


class Delivered(msgspec.Struct, frozen=True):
    """A message that the inbox holds; `at` is a time in ISO 8601."""

    phone: str
    text: str
    code: str
    at: str
    sender: str | None = None
    kind: str = "sms"


class Inbox:
    """Keeps messages instead of sending them, and notes the number that a flash call is from."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def submit(self, submission: Submission) -> Submitted:
        """Keep a message, and show it on the terminal."""
        kind, text, code = submission.kind, submission.text, submission.code
        if kind == "flash_call":
            code = f"{secrets.randbelow(10**4):04}"
            text = f"{_CALLED_FROM}{code}"
        at = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        delivered = Delivered(submission.phone, text, code, at, submission.sender, kind)
        await asyncio.to_thread(self._append, msgspec.json.encode(delivered) + b"\n")
        one_line = " ".join(text.split())
        what = "call" if kind == "flash_call" else "SMS"
        sys.stderr.write(f"  {what} to {submission.phone}: {one_line}\n")
        return Submitted(code=code if kind == "flash_call" else None)

    async def close(self) -> None:
        """Nothing is open."""

    async def messages(self) -> list[Delivered]:
        """The latest messages, newest first."""
        return await asyncio.to_thread(self._read)

    def _append(self, line: bytes) -> None:
        # One write with O_APPEND: lines of several workers do not mix.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def _read(self) -> list[Delivered]:
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        decoder = msgspec.json.Decoder(Delivered)
        return [decoder.decode(line) for line in reversed(lines[-_SHOWN:])]
