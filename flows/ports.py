"""What the protocol needs from outside, in its own words."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

Clock = Callable[[], int]
"""The time in whole Unix seconds."""


class MessengerError(Exception):
    """The message was not taken for delivery."""


@dataclass(frozen=True, slots=True)
class Message:
    """A one-time code on its way to a customer; `phone` is E.164."""

    phone: str
    text: str
    code: str


class Messenger(Protocol):
    """Hands messages to whoever delivers them."""

    async def send(self, message: Message, /) -> None:
        """Hand a message over for delivery. Raises MessengerError."""


class Log(Protocol):
    """The structured log, as far as the protocol writes to it."""

    def info(self, event: str, **fields: object) -> object:
        """Something that an operator may want to count."""

    def warning(self, event: str, **fields: object) -> object:
        """Something that an operator should look at."""
