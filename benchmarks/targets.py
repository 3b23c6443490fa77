"""The servers of ours that are asked: the provider, and the bare ceiling beside it."""

from benchmarks.generator import Client, Messages, Target, jwks_of
from benchmarks.prepare import DEMO_CALLBACK, bot_of, secret_of
from benchmarks.processes import Server
from benchmarks.users import SCOPE
from benchmarks.users import Client as DemoClient
from conf.settings import Settings

PATHS = {
    "authorization": "/authorize",
    "token": "/token",
    "otp": "/otp",
    "challenge": "/authorize-challenge",
    "userinfo": "/userinfo",
    "introspection": "/introspect",
    "discovery": "/.well-known/openid-configuration",
}


def provider_target(settings: Settings, server: Server, messages: Messages | None = None) -> Target:
    """The provider: customers of a confidential and of a public client in turn."""
    app = _client(DemoClient("demo-native", "http://127.0.0.1/callback"))
    return Target(
        address=f"127.0.0.1:{server.port}",
        issuer=settings.issuer,
        paths=PATHS,
        processes=server.processes,
        jwks=jwks_of(f"{settings.issuer}/jwks"),
        clients=(
            _client(DemoClient("demo", DEMO_CALLBACK, secret_of(settings, "demo"))),
            app,
        ),
        bot=_client(bot_of(settings)),
        app=app,
        service=_client(
            DemoClient("benchmark-service", "", secret_of(settings, "benchmark-service")), scope=""
        ),
        messages=messages,
    )


def ceiling_target(settings: Settings, server: Server) -> Target:
    """The ceiling, which signs with the provider's keys."""
    return Target(
        address=f"127.0.0.1:{server.port}",
        issuer="",
        paths={"ceiling": "/"},
        processes=server.processes,
        jwks=jwks_of(f"{settings.issuer}/jwks"),
    )


def _client(client: DemoClient, scope: str = SCOPE) -> Client:
    return Client(client.client_id, client.authorization, client.redirect_uri, scope)
