"""The messenger of production: a gateway that takes messages over HTTP."""

from pathlib import Path

import httpx2

from conf.settings import Messenger as MessengerSettings
from flows.ports import Message, MessengerError
from idp.outbound import tls

_TIMEOUT = 5.0  # seconds


class Gateway:
    """Posts each message as JSON (`phone`, `text`, `sender` if its channel has one).

    Any 2xx is taken as accepted.
    """

    def __init__(self, settings: MessengerSettings, ca_file: Path | None) -> None:
        self._url = settings.url
        self._client = httpx2.AsyncClient(
            headers=dict(settings.headers),
            timeout=_TIMEOUT,
            verify=tls.context(ca_file),
            trust_env=False,
        )

    async def send(self, message: Message) -> None:
        """Hand a message over. Raises MessengerError."""
        body = {"phone": message.phone, "text": message.text}
        if message.sender is not None:
            body["sender"] = message.sender
        try:
            response = await self._client.post(self._url, json=body)
        except httpx2.HTTPError as error:
            raise MessengerError(type(error).__name__) from error
        if not response.is_success:
            raise MessengerError(f"the gateway answered {response.status_code}")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class NoGateway:
    """Stands where no gateway is configured: only test numbers can sign in."""

    async def send(self, _message: Message, /) -> None:
        """Raise MessengerError."""
        raise MessengerError("no messenger is configured")
