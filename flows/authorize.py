"""The authorization endpoint (RFC 6749 4.1.1, OpenID Connect Core 3.1.2).

Everything before a proven `redirect_uri` ends on a page; everything after it goes back to the
client.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import msgspec

from flows import id_token_hint, subjects
from flows.claims import CLAIMS, OFFLINE_ACCESS, OPENID, SCOPE_SYNTAX, SCOPES
from flows.clients import Client
from flows.errors import (
    InvalidRequest,
    InvalidScope,
    LoginRequired,
    OAuthError,
    PageError,
    RequestNotSupported,
    RequestUriNotSupported,
    UnauthorizedClient,
    UnmetAuthenticationRequirements,
    UnsupportedResponseType,
)
from flows.grants.names import AUTHORIZATION_CODE, REFRESH_TOKEN
from flows.one_time_code import ACR
from flows.parameters import Parameters
from flows.provider import Provider
from flows.requests import (
    RESPONSE_MODES,
    AuthorizationRequest,
    AuthorizationResponse,
    ConsentAsked,
    ResponseMode,
    respond_error,
)

ACR_VALUES = (ACR,)
PARAMETERS = frozenset(
    {
        "acr_values",
        "claims",
        "client_id",
        "code_challenge",
        "code_challenge_method",
        "display",
        "id_token_hint",
        "login_hint",
        "max_age",
        "nonce",
        "prompt",
        "redirect_uri",
        "response_mode",
        "response_type",
        "scope",
        "state",
        "ui_locales",
    }
)
PROMPTS = ("none", "login", "consent", "create", "select_account")
DISPLAYS = ("page", "popup", "touch", "wap")
_S256 = re.compile(r"[A-Za-z0-9_-]{43}")
_MAX_STATE = 2048
_MOST_DIGITS = 10
_MAX_CLAIMS = 4096
_CLAIMS_ASKED = frozenset({claim.name for claim in CLAIMS} | {"sub", "acr", "auth_time"})

# A claim's value as far as one can be asked for. The store takes neither larger integers nor any
# depth of nesting.
_Value = str | bool | Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)] | float | None


class _Asked(TypedDict, total=False):
    """What the `claims` parameter says about one claim; more than this is ignored (5.5.1)."""

    essential: bool
    value: _Value
    values: list[_Value]


@dataclass(frozen=True, slots=True)
class Checked:
    """A request that may go on: what to remember, and how the customer must be asked."""

    client: Client
    request: AuthorizationRequest
    prompt: frozenset[str]
    max_age: int | None


@dataclass(slots=True)
class _Draft:
    """A request on its way through the checks."""

    provider: Provider
    client: Client
    parameters: Parameters
    locale: str
    scopes: tuple[str, ...] = ()
    prompt: frozenset[str] = frozenset()
    max_age: int | None = None
    claims: dict[str, Any] | None = None
    required_sub: str | None = None

    def asked_of_id_token(self, name: str) -> dict[str, Any]:
        """What the `claims` parameter says about one claim of the ID token."""
        return (self.claims or {}).get("id_token", {}).get(name) or {}


def _repeated(draft: _Draft) -> None:
    draft.parameters.refuse_repeated()


def _request_objects(draft: _Draft) -> None:
    if draft.parameters.get("request") is not None:
        raise RequestNotSupported
    if draft.parameters.get("request_uri") is not None:
        raise RequestUriNotSupported


def _response_type(draft: _Draft) -> None:
    if draft.parameters.require("response_type") != "code":
        raise UnsupportedResponseType("only response_type=code is supported")
    if not draft.client.allows_grant(AUTHORIZATION_CODE):
        raise UnauthorizedClient("the client is not registered for authorization_code")


def _response_mode(draft: _Draft) -> None:
    mode = draft.parameters.get("response_mode")
    if mode is not None and mode not in RESPONSE_MODES:
        raise InvalidRequest("response_mode is not supported")


def _scope(draft: _Draft) -> None:
    scope = draft.parameters.require("scope")
    if not SCOPE_SYNTAX.fullmatch(scope):
        raise InvalidScope("scope is malformed")
    asked = tuple(dict.fromkeys(scope.split(" ")))
    if OPENID not in asked:
        raise InvalidScope("scope must include openid")
    # OpenID Connect Core 3.1.2.1: scopes that are not understood are ignored.
    known = [name for name in asked if name in SCOPES]
    if not draft.client.scopes.issuperset(known):
        raise InvalidScope("the client may not ask for this scope")
    if not draft.client.allows_grant(REFRESH_TOKEN):
        known = [name for name in known if name != OFFLINE_ACCESS]
    draft.scopes = tuple(known)


def _pkce(draft: _Draft) -> None:
    challenge = draft.parameters.get("code_challenge")
    method = draft.parameters.get("code_challenge_method")
    if challenge is None:
        if method is not None:
            raise InvalidRequest("code_challenge is missing")
        # OAuth 2.1 7.5.1: a confidential OpenID Connect client may rely on its nonce instead.
        if draft.client.public or draft.parameters.get("nonce") is None:
            raise InvalidRequest("PKCE is required: code_challenge is missing")
        return
    # RFC 7636 4.3: without a method it is `plain`, which protects nothing.
    if method != "S256":
        raise InvalidRequest("code_challenge_method must be S256")
    if not _S256.fullmatch(challenge):
        raise InvalidRequest("code_challenge is malformed")


def _state(draft: _Draft) -> None:
    for name in ("state", "nonce"):
        if len(draft.parameters.get(name) or "") > _MAX_STATE:
            raise InvalidRequest(f"{name} is too long")


def _prompt(draft: _Draft) -> None:
    prompt = frozenset((draft.parameters.get("prompt") or "").split())
    if not prompt <= frozenset(PROMPTS):
        raise InvalidRequest("prompt is not supported")
    if "none" in prompt and len(prompt) > 1:
        raise InvalidRequest("prompt=none goes with no other value")
    draft.prompt = prompt


def _max_age(draft: _Draft) -> None:
    text = draft.parameters.get("max_age")
    if text is None:
        asked = draft.client.metadata.default_max_age
    elif text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS:
        asked = int(text)
    else:
        raise InvalidRequest("max_age must be a number of seconds")
    # The channel says for how long a sign-in is good for it, whatever its clients ask for.
    known = (asked, draft.client.channel.lifetimes.sign_in)
    draft.max_age = min((seconds for seconds in known if seconds is not None), default=None)


def _display(draft: _Draft) -> None:
    display = draft.parameters.get("display")
    if display is not None and display not in DISPLAYS:
        raise InvalidRequest("display is not supported")


def _claims(draft: _Draft) -> None:
    text = draft.parameters.get("claims")
    if text is None:
        return
    if len(text) > _MAX_CLAIMS:
        raise InvalidRequest("claims is too long")
    try:
        claims = msgspec.json.decode(text, type=dict[str, Any])
        kept = {
            name: {
                claim: msgspec.convert(entry, _Asked | None)
                for claim, entry in msgspec.convert(claims[name], dict[str, Any]).items()
                if claim in _CLAIMS_ASKED
            }
            for name in ("userinfo", "id_token")
            if claims.get(name) is not None
        }
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
        raise InvalidRequest("claims is not the JSON object that it should be") from error
    # What the client may not ask for by a scope, it may not ask for by name either.
    refused = {claim.name for claim in CLAIMS} - draft.client.claims
    permitted = {
        name: {claim: entry for claim, entry in asked.items() if claim not in refused}
        for name, asked in kept.items()
    }
    draft.claims = {name: asked for name, asked in permitted.items() if asked} or None


def _acr(draft: _Draft) -> None:
    asked = draft.asked_of_id_token("acr")
    wanted = asked.get("values", [asked["value"]] if "value" in asked else [])
    # OpenID Connect Core 5.5.1.1: `acr_values`, `default_acr_values` and a voluntary claim are
    # wishes, no more, and there is one `acr` to be had; an essential claim is a condition.
    if asked.get("essential") is True and wanted and ACR not in wanted:
        raise UnmetAuthenticationRequirements("the acr cannot be reached")


def _subject(draft: _Draft) -> None:
    named = set()
    hint = draft.parameters.get("id_token_hint")
    if hint is not None:
        named.add(id_token_hint.read(draft.provider, hint).sub)
    value = draft.asked_of_id_token("sub").get("value")
    if value is not None:
        if not isinstance(value, str):
            raise InvalidRequest("claims: sub must be a string")
        named.add(value)
    if len(named) > 1:
        raise InvalidRequest("id_token_hint and claims name different customers")
    if not named:
        return
    # Under the name that this very client knows: that of another sector names nobody here.
    draft.required_sub = subjects.from_client(draft.provider, draft.client, "sub", named.pop())
    if draft.required_sub is None:
        raise LoginRequired("no customer of this client is named so")


CHECKS: tuple[Callable[[_Draft], None], ...] = (
    _repeated,
    _request_objects,
    _response_type,
    _response_mode,
    _scope,
    _pkce,
    _state,
    _prompt,
    _max_age,
    _display,
    _claims,
    _acr,
    _subject,
)


async def check(
    provider: Provider, parameters: Parameters, locales: Iterable[str]
) -> Checked | AuthorizationResponse:
    """Check an authorization request: the request, or the error that goes back to the client.

    `locales` are those that the customer prefers; the channel speaks one of them, or its own.

    Raises PageError while no redirect URI is proven.
    """
    client, redirect_uri = await _prove_redirect_uri(provider, parameters)
    draft = _Draft(provider, client, parameters, client.channel.speaks(locales))
    try:
        _run_checks(draft)
    except OAuthError as error:
        return respond_error(_request(draft, redirect_uri), provider.issuer, error)
    return Checked(client, _request(draft, redirect_uri), draft.prompt, draft.max_age)


def check_native(
    provider: Provider, client: Client, parameters: Parameters, locales: Iterable[str]
) -> Checked:
    """Check a request of an app that asks without a browser, and so is redirected nowhere.

    Raises an OAuthError.
    """
    draft = _Draft(provider, client, parameters, client.channel.speaks(locales))
    _run_checks(draft)
    return Checked(client, _request(draft, ""), draft.prompt, draft.max_age)


def _run_checks(draft: _Draft) -> None:
    for step in CHECKS:
        step(draft)


async def _prove_redirect_uri(provider: Provider, parameters: Parameters) -> tuple[Client, str]:
    if {"client_id", "redirect_uri"} & parameters.repeated:
        raise PageError("invalid_request", "client_id or redirect_uri is included more than once")
    client_id = parameters.get("client_id")
    if client_id is None:
        raise PageError("invalid_request", "client_id is missing")
    client = await provider.clients.get(client_id)
    if client is None:
        raise PageError("unknown_client", "client_id is not registered")
    redirect_uri = parameters.get("redirect_uri")
    if redirect_uri is None:
        raise PageError("invalid_request", "redirect_uri is missing", channel=client.channel)
    if not client.redirects_to(redirect_uri):
        raise PageError(
            "redirect_uri",
            "redirect_uri is not registered for the client",
            channel=client.channel,
        )
    return client, redirect_uri


def _request(draft: _Draft, redirect_uri: str) -> AuthorizationRequest:
    parameters, client = draft.parameters, draft.client
    mode = parameters.get("response_mode")
    offline = OFFLINE_ACCESS in draft.scopes
    state = None if "state" in parameters.repeated else parameters.get("state")
    return AuthorizationRequest(
        client_id=client.client_id,
        redirect_uri=redirect_uri,
        response_mode=_known_mode(mode),
        scope=" ".join(draft.scopes),
        offline=offline,
        refresh=client.gets_refresh_token(offline=offline),
        locale=draft.locale,
        state=state,
        nonce=parameters.get("nonce"),
        code_challenge=parameters.get("code_challenge"),
        claims=draft.claims,
        required_sub=draft.required_sub,
        login_hint=(parameters.get("login_hint") or "")[:64] or None,
        consent=_consent(draft),
    )


def _consent(draft: _Draft) -> ConsentAsked | None:
    if draft.client.partner is None:
        return None
    scope_of = {claim.name: claim.scope for claim in CLAIMS}
    named = {
        name: scope_of[name]
        for asked in (draft.claims or {}).values()
        for name in asked
        if name in scope_of
    }
    # OpenID Connect Core 11 asks for prompt=consent with offline_access unless another condition
    # permits it: here the customer's own word does, without which nobody is granted any.
    scope = " ".join(dict.fromkeys((*draft.scopes, *named.values())))
    return ConsentAsked(scope, named, "consent" in draft.prompt)


def _known_mode(mode: str | None) -> ResponseMode:
    return next((known for known in RESPONSE_MODES if known == mode), "query")
