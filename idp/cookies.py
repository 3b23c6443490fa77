"""The cookies: a browser's session, its proof that it began an interaction, and a known device.

On https their names bind them to this host (`__Host-`) and to TLS. `SameSite=Lax` keeps them from a
cross-site POST; a cross-site GET, as every authorization request is, carries them.
"""

from starlette.requests import Request
from starlette.responses import Response

_INTERACTION_KEPT = 3600  # seconds beyond its expiry, so that a late customer begins anew
_DEVICE_KEPT = 400 * 86_400  # RFC 6265bis 5.5: no browser keeps a cookie for longer
_MOST_INTERACTIONS = 10  # at once in one browser; a proxy may refuse more bytes of cookies


def _session_name(*, https: bool) -> str:
    return "__Host-session" if https else "session"


def _device_name(*, https: bool) -> str:
    return "__Host-device" if https else "device"


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


def device(request: Request, *, https: bool) -> str | None:
    """What shows that the browser has signed in with a phone before."""
    return request.cookies.get(_device_name(https=https))


def set_device(response: Response, device: str, *, https: bool) -> None:
    """Let the browser show that it has signed in with a phone, for as long as browsers allow."""
    response.set_cookie(
        _device_name(https=https),
        device,
        max_age=_DEVICE_KEPT,
        path="/",
        secure=https,
        httponly=True,
        samesite="lax",
    )


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
