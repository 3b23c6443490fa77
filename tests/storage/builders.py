"""Arrangements and steps that the contract tests share: what a caller of the store would bring."""

import asyncio
import hashlib
import itertools
from collections import Counter
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, Self, TypeVar

import asynctnt
import msgspec

from conf.settings import Lifetimes, Limit
from storage import outcomes as o
from storage.records import KeyedLimit, NewChallenge, Sending, SignIn, Wanted
from storage.store import Store

NOW: Final = 1_800_000_000
LIFETIMES: Final = Lifetimes()
NO_LIMIT: Final = Limit(1_000_000, 1)
MANY: Final = 200

CLIENT: Final = "app"
REDIRECT_URI: Final = "https://app.example/callback"
CODE_CHALLENGE: Final = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
RIGHT: Final = "123456"
WRONG: Final = "000001"

_Answer = TypeVar("_Answer")
_numbers = itertools.count(1)


def new(kind: str) -> str:
    return f"{kind}-{next(_numbers)}"


def new_phone() -> str:
    return f"+79{next(_numbers):09}"


def digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


async def at_once(calls: Iterable[Coroutine[Any, Any, _Answer]]) -> list[_Answer]:
    return await asyncio.gather(*calls)


def kinds(answers: Iterable[object]) -> Counter[type]:
    return Counter(type(answer) for answer in answers)


class Owner:
    """The user who may look into the spaces."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @classmethod
    async def connect(cls, directory: Path) -> Self:
        connection = asynctnt.Connection(
            host="unix/",
            port=str(directory / "tarantool.sock"),
            username="owner",
            password=(directory / "owner.password").read_text(),
            fetch_schema=False,
            auto_refetch_schema=False,
            ping_timeout=0,
        )
        await connection.connect()
        return cls(connection)

    async def close(self) -> None:
        await self._connection.disconnect()

    async def eval(self, lua: str, *arguments: object) -> Any:
        return (await self._connection.eval(lua, list(arguments), timeout=10)).body[0]

    async def count(self, space: str) -> int:
        return int(await self.eval("return box.space[...]:count()", space))

    async def events(self, event: str, sub: str) -> int:
        """How often the audit trail tells of an event of one customer."""
        lua = """
            local event, sub, found = ...
            found = 0
            for _, row in box.space.audit:pairs() do
                if row.event == event and row.sub == sub then found = found + 1 end
            end
            return found
        """
        return int(await self.eval(lua, event, sub))


# One-time codes: on the pages, and by the phone grant


def new_challenge(phone: str, **changed: Any) -> NewChallenge:
    challenge = NewChallenge(
        challenge_id=new("challenge"),
        phone=phone,
        otp_hash=digest(RIGHT),
        tries=5,
        validity=180,
        resend_after=30,
        test=False,
        attempt=new("attempt"),
        send_limits=(),
        sending=new_sending(),
    )
    return msgspec.structs.replace(challenge, **changed)


def new_sending(**changed: Any) -> Sending:
    """From a network and for a prefix that nobody else asks from or for, and not watched."""
    sending = Sending(
        source=new("network"),
        prefix=new("prefix"),
        prefix_limit=KeyedLimit(new("limit"), 1_000_000, 1),
        wrong_tries=KeyedLimit(new("limit"), 1_000_000, 1),
        client_budget=1_000_000_000,
        lowest_conversion=0.0,
        hold=600,
    )
    return msgspec.structs.replace(sending, **changed)


def new_sign_in(**changed: Any) -> SignIn:
    sign_in = SignIn(
        new_sid=new("sid"),
        grant_id=new("grant"),
        acr="phone",
        amr="otp sms",
        lifetimes=LIFETIMES,
    )
    return msgspec.structs.replace(sign_in, **changed)


def room() -> KeyedLimit:
    """A limit that refuses nothing, and that nobody else counts against."""
    return KeyedLimit(new("begin"), 1, 1)


class Journey(Protocol):
    """A customer on the way to prove a phone; `name` is what the store knows it by."""

    @property
    def name(self) -> str: ...

    async def start(self, store: Store, challenge: NewChallenge, now: int = NOW) -> Any: ...

    async def enter(
        self,
        store: Store,
        code: str,
        now: int = NOW,
        wrong_tries: Limit = NO_LIMIT,
        attempt: str | None = None,
        *,
        call: bool = False,
    ) -> Any: ...


@dataclass(frozen=True, kw_only=True)
class PhoneGrant:
    """A client's own journey. The same object redeems by the same call again, not so a guess."""

    client_id: str = CLIENT
    otp_session: str = field(default_factory=lambda: new("otp-session"))
    attempt: str = field(default_factory=lambda: new("attempt"))
    new_sub: str = field(default_factory=lambda: new("sub"))
    token: str = field(default_factory=lambda: new("token"))
    scope: str = "openid profile"
    offline: bool = False
    refresh: bool = True
    resend: bool = False
    sign_in: SignIn = field(default_factory=new_sign_in)

    @property
    def name(self) -> str:
        return self.otp_session

    async def start(self, store: Store, challenge: NewChallenge, now: int = NOW) -> o.OtpStart:
        return await store.otp_start(
            self.otp_session,
            client_id=self.client_id,
            locale="ru",
            challenge=challenge,
            resend=self.resend,
            now=now,
        )

    async def enter(
        self,
        store: Store,
        code: str,
        now: int = NOW,
        wrong_tries: Limit = NO_LIMIT,
        attempt: str | None = None,
        *,
        call: bool = False,
    ) -> o.OtpRedeem:
        return await store.otp_redeem(
            self.otp_session,
            client_id=self.client_id,
            otp_hashes=[digest(code)],
            new_sub=self.new_sub,
            wanted=Wanted(self.client_id, self.scope, self.offline, self.refresh),
            refresh_hash=digest(self.token),
            attempt=attempt or (self.attempt if code == RIGHT else new("guess")),
            wrong_tries=wrong_tries,
            sign_in=self.sign_in,
            now=now,
            call=call,
        )


def new_request(**changed: Any) -> dict[str, Any]:
    return {
        "client_id": CLIENT,
        "redirect_uri": REDIRECT_URI,
        "scope": "openid profile",
        "code_challenge": CODE_CHALLENGE,
        "offline": False,
        "refresh": True,
        "locale": "ru",
    } | changed


@dataclass(frozen=True, kw_only=True)
class Login:
    """A login on the pages, or with `bound_client_id` in an app.

    The same object makes the same calls again.
    """

    request: dict[str, Any] = field(default_factory=new_request)
    interaction_id: str = field(default_factory=lambda: new("interaction"))
    browser: str = field(default_factory=lambda: new("browser"))
    new_sub: str = field(default_factory=lambda: new("sub"))
    code: str = field(default_factory=lambda: new("code"))
    sign_in: SignIn = field(default_factory=new_sign_in)
    bound_client_id: str | None = None

    @property
    def name(self) -> str:
        return self.interaction_id

    async def begin(self, store: Store, now: int = NOW) -> Self:
        await store.interaction_start(
            self.interaction_id,
            browser_hash=digest(self.browser),
            request=self.request,
            expires_at=now + LIFETIMES.interaction,
            limit=room(),
            now=now,
        )
        return self

    async def start(
        self, store: Store, challenge: NewChallenge, now: int = NOW
    ) -> o.InteractionOtpStart:
        return await store.interaction_otp_start(
            self.interaction_id,
            browser_hash=digest(self.browser),
            challenge=challenge,
            now=now,
            bound_client_id=self.bound_client_id,
        )

    async def enter(
        self,
        store: Store,
        code: str,
        now: int = NOW,
        wrong_tries: Limit = NO_LIMIT,
        attempt: str | None = None,
        *,
        call: bool = False,
    ) -> o.InteractionOtpVerify:
        return await store.interaction_otp_verify(
            self.interaction_id,
            browser_hash=digest(self.browser),
            otp_hashes=[digest(code)],
            attempt=attempt or new("attempt"),
            wrong_tries=wrong_tries,
            sign_in=self._sign_in,
            now=now,
            bound_client_id=self.bound_client_id,
            call=call,
        )

    async def register(self, store: Store, now: int = NOW) -> o.CustomerRegister:
        return await store.customer_register(
            self.interaction_id,
            browser_hash=digest(self.browser),
            new_sub=self.new_sub,
            given_name="Анна",
            family_name=None,
            sign_in=self._sign_in,
            now=now,
            bound_client_id=self.bound_client_id,
        )

    async def read(self, store: Store, now: int = NOW) -> o.InteractionRead:
        return await store.interaction_read(
            self.interaction_id,
            browser_hash=digest(self.browser),
            now=now,
            bound_client_id=self.bound_client_id,
        )

    async def cancel(self, store: Store, now: int = NOW) -> o.InteractionCancel:
        return await store.interaction_cancel(
            self.interaction_id, browser_hash=digest(self.browser), now=now
        )

    @property
    def _sign_in(self) -> SignIn:
        return msgspec.structs.replace(self.sign_in, code_hash=digest(self.code))

    async def prove(self, store: Store, phone: str, now: int = NOW) -> o.InteractionOtpVerify:
        """Begin, send a code and enter it."""
        await self.begin(store, now)
        await self.start(store, new_challenge(phone), now)
        return await self.enter(store, RIGHT, now)


def app_login(**changed: Any) -> Login:
    """A login that an app began without a browser."""
    return Login(request=new_request(redirect_uri=""), bound_client_id=CLIENT, **changed)


# Grants, their codes and their refresh tokens


@dataclass(frozen=True, kw_only=True)
class Grant:
    """A customer signed in: a session, and a grant on it with its first refresh token."""

    phone: str
    sub: str
    sid: str
    grant_id: str
    token: str

    async def alive(self, store: Store, now: int = NOW) -> bool:
        return await is_alive(store, self.grant_id, now)

    async def end_session(self, store: Store, now: int = NOW) -> None:
        await store.session_end(self.sid, client_id=CLIENT, now=now)

    async def rotate(
        self,
        store: Store,
        token: str,
        *,
        now: int = NOW,
        attempt: str | None = None,
        client_id: str = CLIENT,
        lifetimes: Lifetimes = LIFETIMES,
        scope: str | None = None,
    ) -> o.RefreshRotate:
        """Present a refresh token, in a request of its own unless `attempt` names one."""
        return await store.refresh_rotate(
            grant_id=self.grant_id,
            client_id=client_id,
            presented_hash=digest(token),
            successor_hash=digest(successor(token)),
            scope=scope,
            attempt=attempt or new("attempt"),
            lifetimes=lifetimes,
            now=now,
        )


def successor(token: str) -> str:
    return f"{token}+"


async def is_alive(store: Store, grant_id: str, now: int = NOW) -> bool:
    answer = await store.access_token_read(grant_id=grant_id, jti=new("jti"), now=now)
    return isinstance(answer, o.Active)


@dataclass(frozen=True, kw_only=True)
class Code:
    """An authorization code and what is presented with it."""

    grant_id: str = field(default_factory=lambda: new("grant"))
    code: str = field(default_factory=lambda: new("code"))
    token: str = field(default_factory=lambda: new("token"))
    client_id: str = CLIENT
    redirect_uri: str | None = REDIRECT_URI
    code_challenge: str | None = CODE_CHALLENGE

    async def redeem(
        self,
        store: Store,
        *,
        now: int = NOW,
        attempt: str | None = None,
        lifetimes: Lifetimes = LIFETIMES,
    ) -> o.CodeRedeem:
        """Present the code, in a request of its own unless `attempt` names one."""
        return await store.code_redeem(
            code_hash=digest(self.code),
            client_id=self.client_id,
            redirect_uri=self.redirect_uri,
            code_challenge=self.code_challenge,
            refresh_hash=digest(self.token),
            attempt=attempt or new("attempt"),
            lifetimes=lifetimes,
            now=now,
        )


async def open_grant(
    store: Store,
    *,
    phone: str | None = None,
    now: int = NOW,
    lifetimes: Lifetimes = LIFETIMES,
    offline: bool = False,
) -> Grant:
    """Sign in on the pages, by registering unless `phone` is known, and redeem the code."""
    phone = phone or new_phone()
    login = Login(request=new_request(offline=offline), sign_in=new_sign_in(lifetimes=lifetimes))
    answer: object = await login.prove(store, phone, now)
    if answer == o.Unregistered(phone):
        answer = await login.register(store, now)
    assert isinstance(answer, o.SignedIn)
    code = Code(grant_id=login.sign_in.grant_id, code=login.code)
    assert isinstance(await code.redeem(store, now=now, lifetimes=lifetimes), o.Redeemed)
    return Grant(
        phone=phone, sub=answer.sub, sid=answer.sid, grant_id=code.grant_id, token=code.token
    )


async def issue(
    store: Store,
    code: Code,
    session: Grant,
    *,
    now: int = NOW,
    lifetimes: Lifetimes = LIFETIMES,
    limit: KeyedLimit | None = None,
    **request: Any,
) -> o.CodeIssue:
    return await store.code_issue(
        sid=session.sid,
        sub=session.sub,
        request=new_request(code_challenge=code.code_challenge) | request,
        grant_id=code.grant_id,
        code_hash=digest(code.code),
        lifetimes=lifetimes,
        limit=limit or room(),
        now=now,
    )


async def issue_code(
    store: Store,
    session: Grant | None = None,
    *,
    code_challenge: str | None = CODE_CHALLENGE,
    **request: Any,
) -> Code:
    code = Code(code_challenge=code_challenge)
    answer = await issue(store, code, session or await open_grant(store), **request)
    assert answer == o.Issued()
    return code
