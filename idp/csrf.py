"""The token in a form: proof that the form is one that we gave to this very browser."""

import hmac

from starlette.requests import Request

from flows.errors import PageError
from flows.parameters import Parameters
from idp import http
from keys.hashing import b64url, derive

FIELD = "csrf"


def tokens(request: Request, *parts: str) -> list[str]:
    """The tokens of a form that `parts` name: one to give, and others that were given before.

    There is one for each version of the secret, the newest first.
    """
    secrets = http.site(request).provider.keys.secrets("csrf").values()
    return [b64url(derive(secret, *parts)) for secret in secrets]


def check(parameters: Parameters, expected: list[str]) -> None:
    """Raise PageError unless a form brings one of the expected tokens."""
    given = (parameters.get(FIELD) or "").encode()
    if not any(hmac.compare_digest(given, token.encode()) for token in expected):
        raise PageError("other_browser", status=403)
