"""The servers of ours that are asked: the provider, and the bare ceiling beside it."""

from benchmarks.generator import Client, Target, jwks_of
from benchmarks.prepare import DEMO_CALLBACK, bot_of, secret_of
from benchmarks.processes import Server
from benchmarks.users import SCOPE
from benchmarks.users import Client as DemoClient
from conf.settings import Settings

PATHS = {
    "authorization": "/authorize",
    "token": "/token",
    "otp": "/otp",
    "userinfo": "/userinfo",
    "introspection": "/introspect",
    "discovery": "/.well-known/openid-configuration",
}


def provider_target(settings: Settings, server: Server) -> Target:
    """The provider: customers of a confidential and of a public client in turn."""
    return Target(
        address=f"127.0.0.1:{server.port}",
        issuer=settings.issuer,
        paths=PATHS,
        processes=server.processes,
        jwks=jwks_of(f"{settings.issuer}/jwks"),
        clients=(
            _client(DemoClient("demo", DEMO_CALLBACK, secret_of(settings, "demo"))),
            _client(DemoClient("demo-native", "http://127.0.0.1/callback")),
        ),
        bot=_client(bot_of(settings)),
        service=_client(
            DemoClient("benchmark-service", "", secret_of(settings, "benchmark-service")), scope=""
        ),
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
