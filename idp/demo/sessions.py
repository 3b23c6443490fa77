"""Who is signed in, kept on the server: tokens do not belong into a cookie."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What the demo holds for one signed-in browser. Times are Unix seconds."""

    access_token: str
    expires_at: int
    lifetime: int
    scope: str
    refresh_token: str | None
    id_token: str
    claims: Mapping[str, Any]
    userinfo: Mapping[str, Any]
    userinfo_at: int
    rotated_from: str | None = None  # the last characters of the refresh token before this one


class Sessions:
    """Signed-in browsers by a random id. Lost at restart; the oldest gives way when it is full."""

    def __init__(self, capacity: int = 1000) -> None:
        self._capacity = capacity
        self._entries: dict[str, SignedIn] = {}

    def of(self, request: Request) -> SignedIn | None:
        """Find who is signed in with this browser."""
        return self._entries.get(request.session.get("id", ""))

    def start(self, request: Request, signed_in: SignedIn) -> None:
        """Sign a person in, in place of whoever was signed in before."""
        self.end(request)
        while len(self._entries) >= self._capacity:
            del self._entries[next(iter(self._entries))]
        # Always a new id: one that was planted in the browser before is worth nothing.
        request.session["id"] = secrets.token_urlsafe(24)
        self._entries[request.session["id"]] = signed_in

    def update(self, request: Request, signed_in: SignedIn) -> None:
        """Replace what is held, unless the person signed out in another tab meanwhile."""
        if request.session["id"] in self._entries:
            self._entries[request.session["id"]] = signed_in

    def end(self, request: Request) -> None:
        """Forget who is signed in with this browser."""
        self._entries.pop(request.session.pop("id", ""), None)
