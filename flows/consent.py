"""Consent: what a customer allows a partner's client, decided in a login and withdrawn later.

Nobody but partners is asked about. Every scope but `openid` is the customer's choice: what a
partner cannot do without, it can ask for once more.
"""

from dataclasses import dataclass

from flows import journeys
from flows.claims import OPENID, SCOPES
from flows.clients import Client
from flows.journeys import Begun, Browser, Finished, sid_of
from flows.provider import Provider
from storage import outcomes as o
from storage.records import Consent


@dataclass(frozen=True, slots=True)
class Allowed:
    """A consent of the customer's; no client where it is registered no more."""

    consent: Consent
    client: Client | None

    @property
    def scopes(self) -> tuple[str, ...]:
        """What was allowed beyond being recognised, in our order."""
        return optional(self.consent.scope)


def optional(scope: str) -> tuple[str, ...]:
    """The names of a scope that are the customer's choice, in our order."""
    names = scope.split()
    return tuple(name for name in SCOPES if name in names and name != OPENID)


async def decide(
    provider: Provider, interaction_id: str, ticked: frozenset[str], browser: Browser
) -> Begun | Finished:
    """The customer allows what is ticked, and declines the rest of what was asked for."""
    decided = await provider.store.consent_decide(
        interaction_id,
        browser_hash=browser.hash,
        allowed=" ".join((OPENID, *ticked)),
        sign_in=journeys.sign_in(provider, interaction_id, browser),
        now=provider.clock(),
    )
    if isinstance(decided, o.SignedIn):
        return await journeys.signed_in(provider, interaction_id, decided)
    return await journeys.elsewhere(provider, decided, browser)


async def allowed(provider: Provider, session_secret: str | None) -> list[Allowed] | None:
    """What the customer of a session allows, the newest first; None without a session."""
    if session_secret is None:
        return None
    found = await provider.store.consents_list(sid_of(session_secret), now=provider.clock())
    if isinstance(found, o.Unknown):
        return None
    newest_first = sorted(found.consents, key=lambda it: it.granted_at, reverse=True)
    return [Allowed(it, await provider.clients.get(it.client_id)) for it in newest_first]


async def withdraw(
    provider: Provider, session_secret: str | None, client_id: str, consent_id: str
) -> None:
    """End a consent, and everything that the client has by it; without a session, nothing."""
    if session_secret is not None:
        await provider.store.consent_withdraw(
            sid_of(session_secret),
            client_id=client_id,
            consent_id=consent_id,
            now=provider.clock(),
        )
