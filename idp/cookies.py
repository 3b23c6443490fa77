"""The two cookies: a browser's session, and its proof that it began an interaction.

On https their names bind them to this host (`__Host-`) and to TLS. `SameSite=Lax` keeps them from a
cross-site POST; a cross-site GET, as every authorization request is, carries them.
"""

from starlette.requests import Request
from starlette.responses import Response

_INTERACTION_KEPT = 3600  # seconds beyond its expiry, so that a late customer begins anew
_MOST_INTERACTIONS = 10  # at once in one browser; a proxy may refuse more bytes of cookies


def _session_name(*, https: bool) -> str:
    return "__Host-session" if https else "session"


def _interaction_name(interaction_id: str, *, https: bool) -> str:
    return f"{_interaction_prefix(https=https)}{interaction_id}"


def _interaction_prefix(*, https: bool) -> str:
    return f"{'__Host-' if https else ''}interaction-"


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
    request: Request,
    response: Response,
    interaction_id: str,
    secret: str,
    *,
    https: bool,
    max_age: int,
) -> None:
    """Let the browser prove that an interaction is its own, and forget its oldest ones."""
    prefix = _interaction_prefix(https=https)
    # RFC 6265 5.4: a browser sends its oldest cookie first.
    held = [name for name in request.cookies if name.startswith(prefix)]
    for name in held[: max(0, len(held) - _MOST_INTERACTIONS + 1)]:
        response.delete_cookie(name, path="/", secure=https, httponly=True, samesite="lax")
    response.set_cookie(
        _interaction_name(interaction_id, https=https),
        secret,
        max_age=max_age + _INTERACTION_KEPT,
        path="/",
        secure=https,
        httponly=True,
        samesite="lax",
    )
