"""The pages of the demo market: sign in, look at what came, refresh, sign out."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from authlib.integrations.starlette_client import OAuth, OAuthError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from idp.demo import pages
from idp.demo.attempts import CALLBACK, Attempts
from idp.demo.guard import Guard
from idp.demo.sessions import Sessions, SignedIn
from idp.demo.settings import Settings, load

SCOPE = "openid profile phone email address offline_access"
_log = logging.getLogger("idp.demo")


class SignInError(Exception):
    """A step of the sign-in failed. `code` is an RFC 6749 error or a word of our own."""

    def __init__(self, code: str, detail: str = "", *, status: int = 400) -> None:
        super().__init__(code, detail)
        self.code, self.detail, self.status = code, detail, status


class DemoMarket:
    """The endpoints of the shop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sessions = Sessions()
        self._attempts = Attempts(settings.session_secret)
        self._redirect_uri = f"{settings.origin}{CALLBACK}"
        self._templates = pages.templates()
        self._idp: Any = OAuth().register(
            "idp",
            client_id=settings.client_id,
            client_secret=settings.client_secret,
            server_metadata_url=f"{settings.issuer}/.well-known/openid-configuration",
            # The provider is on this machine; a proxy from the environment would not find it.
            client_kwargs={"scope": SCOPE, "code_challenge_method": "S256", "trust_env": False},
        )

    async def home(self, request: Request) -> Response:
        """Show the shop window, or to a signed-in person all that the shop holds of them."""
        signed_in = self._sessions.of(request)
        if signed_in is None:
            return self._page(request, "home.html")
        left = max(0, signed_in.expires_at - int(time.time()))
        return self._page(request, "account.html", me=signed_in, left=left)

    async def login(self, request: Request) -> Response:
        """Send the browser to the provider with state, nonce and code_challenge."""
        asked = request.query_params
        extra = {name: asked[name] for name in ("prompt", "ui_locales") if name in asked}
        with _asking_provider():
            attempt = await self._idp.create_authorization_url(self._redirect_uri, **extra)
        response = RedirectResponse(attempt["url"], status_code=303)
        self._attempts.keep(response, attempt)
        return response

    async def callback(self, request: Request) -> Response:
        """Take the authorization response, trade the code for tokens and check the ID token."""
        answer = request.query_params
        state = answer.get("state", "")
        attempt = self._attempts.recall(request, state)
        if attempt is None:
            if self._sessions.of(request) is not None:  # by the back button; nothing is taken in
                return RedirectResponse("/", status_code=303)
            raise SignInError("mismatching_state")
        # RFC 9207 2.4: compared before anything else is believed, in error responses too.
        if answer.get("iss") != self._settings.issuer:
            raise SignInError("wrong_issuer", answer.get("iss", ""))
        with _asking_provider():
            await self._idp.save_authorize_data(request, redirect_uri=self._redirect_uri, **attempt)
            token = await self._idp.authorize_access_token(
                request, claims_options=self._expected_claims(), leeway=10
            )
            signed_in = SignedIn(
                access_token=token["access_token"],
                expires_at=token["expires_at"],
                lifetime=token["expires_in"],
                scope=token.get("scope", SCOPE),
                refresh_token=token.get("refresh_token"),
                id_token=token["id_token"],
                claims=token["userinfo"],  # authlib's name for the checked claims of the ID token
                userinfo={},
                userinfo_at=0,
            )
        self._sessions.start(request, await self._with_userinfo(signed_in))
        response = RedirectResponse("/", status_code=303)
        self._attempts.forget(response, state)
        return response

    async def userinfo(self, request: Request) -> Response:
        """Fetch userinfo again."""
        signed_in = self._sessions.of(request)
        if signed_in is not None:
            self._sessions.update(request, await self._with_userinfo(signed_in))
        return RedirectResponse("/", status_code=303)

    async def refresh(self, request: Request) -> Response:
        """Get new tokens; when the provider ended the grant, the person is signed out here too."""
        signed_in = self._sessions.of(request)
        if signed_in is not None and signed_in.refresh_token is not None:
            try:
                self._sessions.update(request, await self._refreshed(signed_in))
            except SignInError as error:
                if error.code == "invalid_grant":
                    self._sessions.end(request)
                raise
        return RedirectResponse("/", status_code=303)

    async def logout(self, request: Request) -> Response:
        """Forget the person here, then let the provider end its session."""
        signed_in = self._sessions.of(request)
        if signed_in is None:
            return RedirectResponse("/", status_code=303)
        self._sessions.end(request)
        with _asking_provider():
            response: Response = await self._idp.logout_redirect(
                request, f"{self._settings.origin}/signed-out", signed_in.id_token
            )
        response.status_code = 303
        return response

    async def signed_out(self, request: Request) -> Response:
        """Greet the browser that comes back from the provider's logout."""
        with contextlib.suppress(OAuthError):  # a reload of this page has no state any more
            await self._idp.validate_logout_response(request)
        if self._sessions.of(request) is not None:
            return RedirectResponse("/", status_code=303)
        return self._page(request, "signed_out.html")

    async def error(self, request: Request, error: Exception) -> Response:
        """Tell a person in plain words what a SignInError means."""
        failed = cast(SignInError, error)  # registered for this class alone
        _log.warning("%r: %r", failed.code, failed.detail)
        return self._page(request, "error.html", status=failed.status, error=failed)

    async def _refreshed(self, signed_in: SignedIn) -> SignedIn:
        with _asking_provider():
            token = await self._idp.fetch_access_token(
                grant_type="refresh_token",
                refresh_token=signed_in.refresh_token,
                scope=signed_in.scope,
            )
            claims = signed_in.claims
            if "id_token" in token:
                claims = await self._idp.parse_id_token(
                    token, nonce=None, claims_options=self._expected_claims(), leeway=10
                )
                if claims["sub"] != signed_in.claims["sub"]:  # OIDC Core 12.2
                    raise ValueError("the refreshed ID token is for another sub")
            return replace(
                signed_in,
                access_token=token["access_token"],
                expires_at=token["expires_at"],
                lifetime=token["expires_in"],
                scope=token.get("scope", signed_in.scope),
                refresh_token=token.get("refresh_token", signed_in.refresh_token),
                id_token=token.get("id_token", signed_in.id_token),
                claims=claims,
                rotated_from=(signed_in.refresh_token or "")[-6:],
            )

    async def _with_userinfo(self, signed_in: SignedIn) -> SignedIn:
        # Only the access token: given the refresh token, authlib rotates it unasked and drops it.
        bearer = {"access_token": signed_in.access_token, "token_type": "Bearer"}
        with _asking_provider():
            userinfo = await self._idp.userinfo(token=bearer)
            if userinfo["sub"] != signed_in.claims["sub"]:  # OIDC Core 5.3.2
                raise ValueError("userinfo is for another sub than the ID token")
        return replace(signed_in, userinfo=userinfo, userinfo_at=int(time.time()))

    def _expected_claims(self) -> dict[str, Any]:
        return {
            "iss": {"essential": True, "value": self._settings.issuer},
            "aud": {"essential": True, "value": self._settings.client_id},
        }

    def _page(self, request: Request, name: str, status: int = 200, **context: object) -> Response:
        context["issuer"] = self._settings.issuer
        return self._templates.TemplateResponse(request, name, context, status_code=status)


@contextlib.contextmanager
def _asking_provider() -> Iterator[None]:
    try:
        yield
    except OAuthError as error:
        raise SignInError(error.error, error.description or "") from error
    except Exception as error:  # authlib lets those of its HTTP and JOSE libraries through
        detail = str(error).partition("\n")[0]
        raise SignInError(
            "provider_failed", f"{type(error).__name__}: {detail}", status=502
        ) from error


def create(settings: Settings) -> Starlette:
    """Put the demo market together as an ASGI application."""
    market = DemoMarket(settings)
    return Starlette(
        routes=[
            Route("/", market.home),
            Route("/login", market.login),
            Route(CALLBACK, market.callback),
            Route("/userinfo", market.userinfo, methods=["POST"]),
            Route("/refresh", market.refresh, methods=["POST"]),
            Route("/logout", market.logout, methods=["POST"]),
            Route("/signed-out", market.signed_out),
            Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
        ],
        middleware=[
            Middleware(Guard, settings=settings),
            Middleware(
                SessionMiddleware,
                secret_key=settings.session_secret,
                session_cookie="demo_session",
                max_age=None,
            ),
        ],
        exception_handlers={SignInError: market.error},
    )


def from_environment() -> Starlette:
    """Make the application for uvicorn. Raises SettingsError."""
    return create(load(os.environ))
