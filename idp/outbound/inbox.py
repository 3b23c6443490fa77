"""The messenger of development mode: a file that every worker writes, and the terminal."""

import asyncio
import os
import sys
import time
from pathlib import Path

import msgspec

from flows.ports import Message

_SHOWN = 200


class Delivered(msgspec.Struct, frozen=True):
    """A message that the inbox holds; `at` is a time in ISO 8601."""

    phone: str
    text: str
    code: str
    at: str
    sender: str | None = None


class Inbox:
    """Keeps messages instead of sending them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def send(self, message: Message) -> None:
        """Keep a message, and show it on the terminal."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        delivered = Delivered(message.phone, message.text, message.code, at, message.sender)
        await asyncio.to_thread(self._append, msgspec.json.encode(delivered) + b"\n")
        one_line = " ".join(message.text.split())
        sys.stderr.write(f"  SMS to {message.phone}: {one_line}\n")

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
