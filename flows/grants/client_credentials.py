"""`client_credentials` (RFC 6749 4.4): a service asks in its own name."""

from flows.claims import SCOPE_SYNTAX
from flows.clients import Client
from flows.errors import InvalidScope
from flows.grants.grant import Grant, ServiceAuthorized
from flows.grants.names import CLIENT_CREDENTIALS
from flows.parameters import Parameters
from flows.provider import Provider


async def _authorize(
    provider: Provider, client: Client, parameters: Parameters
) -> ServiceAuthorized:
    allowed = client.metadata.service_scope.split()
    requested = parameters.get("scope")
    if requested is not None and not SCOPE_SYNTAX.fullmatch(requested):
        raise InvalidScope("scope is malformed")
    scopes = allowed if requested is None else list(dict.fromkeys(requested.split()))
    if not all(scope in allowed for scope in scopes):
        raise InvalidScope("the client may not ask for this scope")
    return ServiceAuthorized(" ".join(scopes), await provider.store.revocation_epoch())


CLIENT_CREDENTIALS_GRANT = Grant(CLIENT_CREDENTIALS, frozenset({"scope"}), _authorize)
