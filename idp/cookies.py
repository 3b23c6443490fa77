"""The two cookies: a browser's session, and its proof that it began an interaction.

On https their names bind them to this host (`__Host-`) and to TLS. `SameSite=Lax` keeps them from a
cross-site POST; a cross-site GET, as every authorization request is, carries them.
"""

from starlette.requests import Request
from starlette.responses import Response

_INTERACTION_KEPT = 3600  # seconds beyond its expiry, so that a late customer begins anew


def _session_name(*, https: bool) -> str:
    return "__Host-session" if https else "session"


def _interaction_name(interaction_id: str, *, https: bool) -> str:
    return f"{'__Host-' if https else ''}interaction-{interaction_id}"


def session(request: Request, *, https: bool) -> str | None:
    """The session's secret."""
    return request.cookies.get(_session_name(https=https))


def interaction(request: Request, interaction_id: str, *, https: bool) -> str | None:
    """The secret of an interaction."""
    return request.cookies.get(_interaction_name(interaction_id, https=https))


def set_session(response: Response, secret: str, *, https: bool, max_age: int) -> None:
    """Give the browser a session, for `max_age` seconds at most."""
    response.set_cookie(
        _session_name(https=https),
        secret,
        max_age=max_age,
        path="/",
        secure=https,
        httponly=True,
        samesite="lax",
    )


def clear_session(response: Response, *, https: bool) -> None:
    """Take the browser's session away."""
    response.delete_cookie(
        _session_name(https=https), path="/", secure=https, httponly=True, samesite="lax"
    )


def set_interaction(
    response: Response, interaction_id: str, secret: str, *, https: bool, max_age: int
) -> None:
    """Let the browser prove that an interaction, and no other one, is its own."""
    response.set_cookie(
        _interaction_name(interaction_id, https=https),
        secret,
        max_age=max_age + _INTERACTION_KEPT,
        path="/",
        secure=https,
        httponly=True,
        samesite="lax",
    )
