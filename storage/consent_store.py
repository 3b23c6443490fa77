"""The store contract's part for consent: what customers allow partners, and take back."""

from storage import outcomes as o
from storage.procedures import Procedures, plain
from storage.records import SignIn


class ConsentStore(Procedures):
    """A grant hangs on the consent that it was opened under, and is over with it."""

    async def consent_decide(
        self,
        interaction_id: str,
        *,
        browser_hash: bytes,
        allowed: str,
        sign_in: SignIn,
        now: int,
    ) -> o.ConsentDecide:
        """Allow of an interaction's request the names that are in `allowed` too; issue a code.

        The other names are declined. What the request does not ask for stays as it was; if it
        takes back something that was allowed before, the earlier grants end.
        """
        return await self._call(
            "consent_decide",
            o.ConsentDecide,
            interaction_id=interaction_id,
            browser_hash=browser_hash,
            allowed=allowed,
            grant_id=sign_in.grant_id,
            code_hash=sign_in.code_hash,
            lifetimes=plain(sign_in.lifetimes),
            now=now,
        )

    async def consents_list(self, sid: str, *, now: int) -> o.ConsentsList:
        """What the customer of a session allows."""
        return await self._call("consents_list", o.ConsentsList, sid=sid, now=now)

    async def consent_withdraw(
        self, sid: str, *, client_id: str, consent_id: str, now: int
    ) -> o.ConsentWithdraw:
        """Forget a consent of a session's customer, and end every grant under it."""
        return await self._call(
            "consent_withdraw",
            o.ConsentWithdraw,
            sid=sid,
            client_id=client_id,
            consent_id=consent_id,
            now=now,
        )
