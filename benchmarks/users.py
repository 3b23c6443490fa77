"""What each connection asks for, and what makes its answer right."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import msgspec

from benchmarks.connection import get, post
from flows.issue import ACCESS_TOKEN_ALG, ACCESS_TOKEN_TYP
from keys.errors import InvalidToken
from keys.hashing import b64url_decode, left_half_hash
from keys.ring import KeyRing

SCOPE = "openid profile phone"
_OK = 200
_VERIFY_EVERY = 100  # answers; to verify all would cost more than to serve them

_Decoded = TypeVar("_Decoded")


class WrongAnswer(Exception):
    """An answer that is not what it must be."""


class User(Protocol):
    """One connection's part of a measurement."""

    def request(self) -> bytes | None:
        """The next request, or None if there is none left."""

    def check(self, status: int, body: bytes) -> None:
        """Take the answer. Raises WrongAnswer."""


@dataclass(frozen=True, slots=True)
class Client:
    """A client of the demo channel, and how it authenticates."""

    client_id: str
    redirect_uri: str
    secret: str | None = None

    @property
    def authorization(self) -> str:
        """The Authorization header's value; empty for a public client."""
        if self.secret is None:
            return ""
        pair = base64.b64encode(f"{self.client_id}:{self.secret}".encode())
        return f"Basic {pair.decode()}"

    def post(self, port: int, path: str, form: Mapping[str, str]) -> bytes:
        """A request of this client."""
        named = {"client_id": self.client_id} if self.secret is None else {}
        return post(port, path, named | dict(form), self.authorization)


class Tokens(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token answer."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str
    id_token: str
    refresh_token: str


class _AccessClaims(msgspec.Struct, frozen=True):
    iss: str
    sub: str
    aud: str
    client_id: str
    scope: str
    jti: str


class _IdClaims(msgspec.Struct, frozen=True):
    iss: str
    sub: str
    aud: str
    sid: str
    at_hash: str
    nonce: str | None = None


class _Userinfo(msgspec.Struct, frozen=True):
    sub: str
    phone_number: str
    phone_number_verified: bool


class _TwoTokens(msgspec.Struct, frozen=True):
    access_token: str
    id_token: str


_TOKENS = msgspec.json.Decoder(Tokens)
_ACCESS_CLAIMS = msgspec.json.Decoder(_AccessClaims)
_ID_CLAIMS = msgspec.json.Decoder(_IdClaims)
_USERINFO = msgspec.json.Decoder(_Userinfo)
_TWO_TOKENS = msgspec.json.Decoder(_TwoTokens)


@dataclass(slots=True)
class Account:
    """A customer signed in to one client; all that the answers to this connection must say."""

    port: int
    issuer: str
    keys: KeyRing
    client: Client
    phone: str
    sub: str
    sid: str
    refresh_token: str = ""
    access_token: str = ""
    _answers: int = 0

    def take_tokens(self, status: int, body: bytes, nonce: str | None = None) -> Tokens:
        """Check a token answer, and keep its tokens. Raises WrongAnswer."""
        tokens = decoded(_TOKENS, status, body)
        access = decoded(_ACCESS_CLAIMS, _OK, _payload(tokens.access_token))
        identity = decoded(_ID_CLAIMS, _OK, _payload(tokens.id_token))
        client_id = self.client.client_id
        expect("token_type and scope", (tokens.token_type, tokens.scope), ("Bearer", SCOPE))
        expect(
            "the access token",
            (access.iss, access.sub, access.aud, access.client_id, access.scope),
            (self.issuer, self.sub, self.issuer, client_id, SCOPE),
        )
        expect(
            "the ID token",
            (identity.iss, identity.sub, identity.aud, identity.sid, identity.nonce),
            (self.issuer, self.sub, client_id, self.sid, nonce),
        )
        expect("at_hash", identity.at_hash, left_half_hash(tokens.access_token, ACCESS_TOKEN_ALG))
        if tokens.refresh_token == self.refresh_token or tokens.access_token == self.access_token:
            raise WrongAnswer("a token is not a new one")
        self.refresh_token, self.access_token = tokens.refresh_token, tokens.access_token
        self._answers += 1
        if self._answers % _VERIFY_EVERY == 1:
            verify(self.keys, tokens.access_token, tokens.id_token)
        return tokens


@dataclass(slots=True)
class Refresh:
    """Presents the refresh token that the previous answer gave."""

    account: Account

    def request(self) -> bytes:
        """One rotation."""
        form = {"grant_type": "refresh_token", "refresh_token": self.account.refresh_token}
        return self.account.client.post(self.account.port, "/token", form)

    def check(self, status: int, body: bytes) -> None:
        """The tokens, and a new refresh token of the same grant."""
        grant_id = self.account.refresh_token.partition(".")[0]
        tokens = self.account.take_tokens(status, body)
        expect("the grant", tokens.refresh_token.partition(".")[0], grant_id)


@dataclass(slots=True)
class Exchange:
    """Redeems codes that were prepared, each with the nonce of its request."""

    account: Account
    verifier: str
    codes: Iterator[tuple[str, str]]
    _nonce: str = ""

    def request(self) -> bytes | None:
        """One exchange."""
        code, self._nonce = next(self.codes, ("", ""))
        if not code:
            return None
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.account.client.redirect_uri,
            "code_verifier": self.verifier,
        }
        return self.account.client.post(self.account.port, "/token", form)

    def check(self, status: int, body: bytes) -> None:
        """The tokens, with this code's nonce."""
        self.account.take_tokens(status, body, self._nonce)


@dataclass(slots=True)
class Userinfo:
    """Asks who the customer is."""

    account: Account

    def request(self) -> bytes:
        """One question."""
        return get(self.account.port, "/userinfo", f"Bearer {self.account.access_token}")

    def check(self, status: int, body: bytes) -> None:
        """The customer, and the phone."""
        found = decoded(_USERINFO, status, body)
        expect("the customer", found, _Userinfo(self.account.sub, self.account.phone, True))  # noqa: FBT003


@dataclass(slots=True)
class Ceiling:
    """Asks the bare application."""

    port: int
    keys: KeyRing
    _answers: int = field(default=0)

    def request(self) -> bytes:
        """One pair of tokens."""
        return get(self.port, "/")

    def check(self, status: int, body: bytes) -> None:
        """Two tokens."""
        tokens = decoded(_TWO_TOKENS, status, body)
        self._answers += 1
        if self._answers % _VERIFY_EVERY == 1:
            verify(self.keys, tokens.access_token, tokens.id_token)


def claims_of(id_token: str) -> tuple[str, str]:
    """The `sub` and the `sid` of an ID token."""
    claims = _ID_CLAIMS.decode(_payload(id_token))
    return claims.sub, claims.sid


def verify(keys: KeyRing, access_token: str, id_token: str) -> None:
    """Verify the signatures. Raises WrongAnswer."""
    try:
        keys.verify(access_token, typ=ACCESS_TOKEN_TYP, algs=(ACCESS_TOKEN_ALG,))
        keys.verify(id_token, typ="JWT", algs=("ES256",))
    except InvalidToken as error:
        raise WrongAnswer(str(error)) from error


def _payload(token: str) -> bytes:
    try:
        return b64url_decode(token.split(".")[1])
    except (IndexError, ValueError) as error:
        raise WrongAnswer(f"not a JWT: {token}") from error


def decoded(decoder: "msgspec.json.Decoder[_Decoded]", status: int, body: bytes) -> _Decoded:
    """A body of status 200. Raises WrongAnswer."""
    if status != _OK:
        raise WrongAnswer(f"{status}: {body.decode(errors='replace')}")
    try:
        return decoder.decode(body)
    except msgspec.DecodeError as error:
        raise WrongAnswer(f"{error}: {body.decode(errors='replace')}") from error


def expect(what: str, found: object, expected: object) -> None:
    """Raise WrongAnswer unless the two are the same."""
    if found != expected:
        raise WrongAnswer(f"{what}: {found!r} instead of {expected!r}")
