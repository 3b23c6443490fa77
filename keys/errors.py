"""What can go wrong in this room.

KeysError
├── SealError             a sealed value or a key-encryption key cannot be used: an operator's fault
├── SigningUnavailable    no key can sign at this moment
│   └── HsmError          a key in a PKCS#11 token cannot be used: an operator's fault
├── UnusableKey           a JWK is not a key for the use that was asked: its giver's fault
├── NoEncryptionKey       a JWK Set has no key for an encryption algorithm: its giver's fault
└── InvalidToken          a token is not one of ours, or not for us: an expected outcome
"""


class KeysError(Exception):
    """The root of this room's errors."""


class SealError(KeysError):
    """A sealed value cannot be opened, or a key-encryption key cannot be had from its source.

    `faults` holds one clear sentence for an operator, or several; none contains a secret.
    """

    def __init__(self, *faults: str) -> None:
        super().__init__(*faults)
        self.faults: tuple[str, ...] = faults

    def __str__(self) -> str:
        return "; ".join(self.faults)


class SigningUnavailable(KeysError):
    """No key can sign what was asked; trying again later may help."""


class HsmError(SigningUnavailable):
    """The PKCS#11 library, its token or a key in it cannot be used.

    The message is one clear sentence for an operator and contains no secret.
    """


class UnusableKey(KeysError):
    """A JWK is malformed, too weak, or not for the algorithm that it is to be used with.

    The message says what is wrong and contains nothing of the key.
    """


class NoEncryptionKey(KeysError):
    """No key of a JWK Set can be encrypted to with the algorithm that was asked."""


class InvalidToken(KeysError):
    """The token was not signed by this provider, or not for the use that was asked.

    `reason` is one of a fixed set of short phrases for the log. It never quotes the token,
    which may be a credential of somebody else or text that an attacker chose.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
