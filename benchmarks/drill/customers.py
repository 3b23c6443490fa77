"""The load: customers of relying parties who sign in, refresh and ask userinfo without a pause."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx2
import msgspec
from authlib.common.errors import AuthlibBaseError

from benchmarks.connection import Connection
from benchmarks.drill.relying_parties import RelyingParty, Token
from benchmarks.drill.tally import Tally
from benchmarks.prepare import code, phone_grant
from benchmarks.users import Client, claims_of
from conf.settings import Settings
from keys.hashing import b64url_decode
from storage.store import Store

_REFRESHES = 8  # after each sign-in
_OK, _UNAUTHORIZED = 200, 401
_PAUSE_AFTER_AN_ERROR = 0.5

OnToken = Callable[[str, Token], None]


@dataclass(slots=True)
class Customer:
    """One customer of one relying party, who signs in by `bot` and goes on to `client`."""

    settings: Settings
    store: Store
    party: RelyingParty
    client: Client
    bot: Client
    phone: str
    tally: Tally
    on_token: OnToken
    # The newest token of each key: it must be good for as long as it lives, whatever signs now.
    _kept: dict[str, tuple[Token, str | None]] = field(default_factory=dict)

    async def run(self, begin_after: float) -> None:
        """Go on until cancelled."""
        await asyncio.sleep(begin_after)
        while True:
            try:
                token, nonce = await self._sign_in()
                await self._use(token, nonce)
                for _ in range(_REFRESHES):
                    token = await self.party.refresh(token)
                    await self._use(token, None)
                for kept, its_nonce in list(self._kept.values()):
                    await self._verify(kept, its_nonce)
            except (AuthlibBaseError, httpx2.HTTPError, ConnectionError) as error:
                self.tally.error(f"{self.client.client_id}: {error!r}")
                await asyncio.sleep(_PAUSE_AFTER_AN_ERROR)

    async def _sign_in(self) -> tuple[Token, str | None]:
        # A session of its own each time: under one session the oldest of many grants are ended.
        port = self.settings.listen.port
        connection = await Connection.open(port)
        form = await phone_grant(connection, port, self.bot, self.phone)
        if self.client == self.bot:
            connection.close()
            return await self.party.grant(form), None
        _, body = await connection.ask(self.bot.post(port, "/token", form))
        connection.close()
        sub, sid = claims_of(msgspec.json.decode(body)["id_token"])
        made, nonce = await code(self.settings, self.store, self.client, sub=sub, sid=sid)
        return await self.party.exchange(made), nonce

    async def _use(self, token: Token, nonce: str | None) -> None:
        self.tally.add("tokens", 2)
        kid = kid_of(token["access_token"])
        self.on_token(kid, token)
        self._kept[f"{kid} {kid_of(token['id_token'])}"] = token, nonce
        await self._verify(token, nonce)

    async def _verify(self, token: Token, nonce: str | None) -> None:
        kid = kid_of(token["access_token"])
        id_kid = kid_of(token["id_token"])
        self.tally.verdict(id_kid, await self.party.fault_of_id_token(token, nonce))
        self.tally.verdict(kid, await self.party.fault_of_access_token(token))
        status = await self.party.userinfo(token)
        if status == _OK:
            self.tally.verdict(kid, None)
        elif status == _UNAUTHORIZED:
            self.tally.verdict(kid, f"userinfo refuses a token of {kid}")
        else:
            self.tally.error(f"userinfo: {status}")


def kid_of(token: str) -> str:
    """The key that a token says has signed it."""
    header = msgspec.json.decode(b64url_decode(token.partition(".")[0]))
    return str(header["kid"])
