"""Clients of the demo channel as the benchmarks use them, and whose an ID token is."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from benchmarks.connection import post
from keys.hashing import b64url_decode

SCOPE = "openid profile phone"


@dataclass(frozen=True, slots=True)
class Client:
    """A client of the demo channel, and how it authenticates."""

    client_id: str
    redirect_uri: str
    secret: str | None = None

    @property
    def authorization(self) -> str:
        """The Authorization header's value; empty for a public client."""
        if self.secret is None:
            return ""
        pair = base64.b64encode(f"{self.client_id}:{self.secret}".encode())
        return f"Basic {pair.decode()}"

    def post(self, port: int, path: str, form: Mapping[str, str]) -> bytes:
        """A request of this client."""
        named = {"client_id": self.client_id} if self.secret is None else {}
        return post(port, path, named | dict(form), self.authorization)


class _IdClaims(msgspec.Struct, frozen=True):
    sub: str
    sid: str


_ID_CLAIMS = msgspec.json.Decoder(_IdClaims)


def claims_of(id_token: str) -> tuple[str, str]:
    """The `sub` and the `sid` of an ID token."""
    claims = _ID_CLAIMS.decode(b64url_decode(id_token.split(".")[1]))
    return claims.sub, claims.sid
