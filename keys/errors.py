"""What can go wrong in this room.

KeysError
├── SealError       a sealed value or the key-encryption key cannot be used: an operator's fault
└── InvalidToken    a token is not one of ours: an expected outcome of `KeyRing.verify`
"""


class KeysError(Exception):
    """The root of this room's errors."""


class SealError(KeysError):
    """A sealed value cannot be opened, or the key-encryption key's file cannot be used.

    The message is one clear sentence for an operator and contains no secret.
    """


class InvalidToken(KeysError):
    """The token was not signed by this provider, or not for the use that was asked.

    `reason` is one of a fixed set of short phrases for the log. It never quotes the token,
    which may be a credential of somebody else or text that an attacker chose.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
