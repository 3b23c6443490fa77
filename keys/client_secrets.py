"""The secrets of clients that prove them by a MAC, which needs them in the clear: sealed."""

from keys.sealing import Sealer


class ClientSecretSealer:
    """Seals a client's secret so that it opens for that client alone."""

    __slots__ = ("_sealer",)

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def seal(self, client_id: str, secret: str) -> str:
        """Return the secret, sealed."""
        return self._sealer.seal(secret.encode(), label=_label(client_id))

    def open(self, client_id: str, sealed: str) -> str:
        """Return what was sealed for this client. Raises `SealError`."""
        return self._sealer.open(sealed, label=_label(client_id)).decode()

    def reseal(self, client_id: str, sealed: str) -> str | None:
        """Return the same secret under the key that seals; None if it is the one already.

        Raises `SealError`.
        """
        return self._sealer.reseal(sealed, label=_label(client_id))


def _label(client_id: str) -> str:
    return f"{client_id}|client_secret"
