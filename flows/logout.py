"""RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0)."""

from dataclasses import dataclass
from urllib.parse import urlencode

from flows import id_token_hint, subjects
from flows.clients import Client
from flows.errors import PageError
from flows.id_token_hint import Hint
from flows.journeys import sid_of
from flows.parameters import Parameters
from flows.provider import Provider

PARAMETERS = ("id_token_hint", "client_id", "post_logout_redirect_uri", "state", "ui_locales")


@dataclass(frozen=True, slots=True)
class Confirm:
    """Nothing proves who asks: the customer is asked."""

    client: Client | None


@dataclass(frozen=True, slots=True)
class SignedOut:
    """The session has ended; on to `location`, or to a page of ours."""

    client: Client | None
    location: str | None


async def logout(
    provider: Provider, parameters: Parameters, session_secret: str | None, *, confirmed: bool
) -> Confirm | SignedOut:
    """End the browser's session; without one, what the ID token's client has under its session.

    Without a hint the customer is asked first, since nothing proves who asks. Raises InvalidRequest
    or PageError: nobody is redirected to an address that is not registered.
    """
    token = parameters.get("id_token_hint")
    hint = id_token_hint.read(provider, token) if token is not None else None
    client = await _client(provider, parameters, hint)
    location = _location(parameters, client)
    browser_sid = sid_of(session_secret) if session_secret else None
    hinted_sid = (
        subjects.from_client(provider, client, "sid", hint.sid) if hint and client else None
    )
    if not confirmed and (hint is None or browser_sid not in (None, hinted_sid)):
        return Confirm(client)
    now = provider.clock()
    if browser_sid is not None:
        client_id = client.client_id if client else None
        await provider.store.session_end(browser_sid, client_id=client_id, now=now)
    elif hint is not None and hinted_sid is not None:
        # An ID token is no proof of the customer's presence: its client leaves, the others stay.
        await provider.store.session_leave(hinted_sid, client_id=hint.client_id, now=now)
    return SignedOut(client, location)


async def _client(provider: Provider, parameters: Parameters, hint: Hint | None) -> Client | None:
    client_id = parameters.get("client_id")
    if hint is not None and client_id not in (None, hint.client_id):
        raise PageError("invalid_request", "client_id does not match id_token_hint")
    named = hint.client_id if hint is not None else client_id
    if named is None:
        return None
    client = await provider.clients.get(named)
    if client is None:
        raise PageError("unknown_client", "client_id is not registered")
    return client


def _location(parameters: Parameters, client: Client | None) -> str | None:
    uri = parameters.get("post_logout_redirect_uri")
    if uri is None:
        return None
    if client is None or uri not in client.metadata.post_logout_redirect_uris:
        raise PageError("redirect_uri", "post_logout_redirect_uri is not registered for the client")
    state = parameters.get("state")
    if state is None:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode({'state': state})}"
