"""Sign-ins that have begun, each in a signed cookie of its own, so that every tab has one.

authlib keeps them in the session, where the latest forgets all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import Response

CALLBACK = "/callback"
_KEPT = ("state", "nonce", "code_verifier")
_SECONDS = 3600


class Attempts:
    """Keeps `state`, `nonce` and `code_verifier` in the browser until it comes back."""

    def __init__(self, secret: str) -> None:
        self._serializer = URLSafeTimedSerializer(secret, salt="attempt")

    def keep(self, response: Response, attempt: Mapping[str, Any]) -> None:
        """Let the browser carry an attempt."""
        value = self._serializer.dumps({name: attempt[name] for name in _KEPT})
        response.set_cookie(
            _name(attempt["state"]), str(value), _SECONDS, path=CALLBACK, httponly=True
        )

    def recall(self, request: Request, state: str) -> dict[str, Any] | None:
        """Find the attempt that this browser began with this state."""
        try:
            attempt: dict[str, Any] = self._serializer.loads(
                request.cookies.get(_name(state), ""), max_age=_SECONDS
            )
        except BadData:
            return None
        return attempt if attempt["state"] == state else None

    def forget(self, response: Response, state: str) -> None:
        """Take an attempt away: it was answered."""
        response.delete_cookie(_name(state), path=CALLBACK, httponly=True)


def _name(state: str) -> str:
    return f"demo_attempt_{state}"
