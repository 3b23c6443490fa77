"""Client assertions as a test wants them, and what comes of them."""

import hashlib
import hmac
import json
import time
from typing import Any

import httpx2

from keys.hashing import b64url, random_id
from keys.signing import SigningKey
from tests.http.provider import Running
from tests.keys.forging import BY_ALG, forge

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
REFRESH = {"grant_type": "refresh_token", "refresh_token": "none"}
ES256 = BY_ALG["ES256"]


def claims(provider: Running, client_id: str, **changed: Any) -> dict[str, Any]:
    """The claims of a good assertion, with changes; None leaves one out."""
    now = int(time.time())
    good: dict[str, Any] = {
        "iss": client_id,
        "sub": client_id,
        "aud": provider.issuer,
        "jti": random_id(),
        "iat": now,
        "exp": now + 60,
    }
    return {name: value for name, value in (good | changed).items() if value is not None}


def signed(
    members: dict[str, Any], key: SigningKey = ES256, by: SigningKey | None = None, **header: Any
) -> str:
    given = {"alg": key.alg, "kid": key.kid} | header
    kept = {name: value for name, value in given.items() if value is not None}
    return forge(kept, json.dumps(members).encode(), by=by or key)


def mac(members: dict[str, Any], secret: str, alg: str = "HS256") -> str:
    parts = ({"alg": alg}, members)
    signing_input = ".".join(b64url(json.dumps(part).encode()) for part in parts)
    tag = hmac.digest(secret.encode(), signing_input.encode(), hashlib.sha256)
    return f"{signing_input}.{b64url(tag)}"


def present(
    provider: Running, assertion: str, path: str = "/token", **parameters: Any
) -> httpx2.Response:
    given = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
    with provider.client() as client:
        return client.post(path, data=REFRESH | given | parameters)


def is_proven(response: httpx2.Response) -> bool:
    """Whether the client was authenticated: the refresh token, looked at afterwards, is none."""
    answer = response.status_code, response.json()["error"]
    assert answer in ((400, "invalid_grant"), (401, "invalid_client")), response.text
    assert "www-authenticate" not in response.headers
    return answer[0] == 400
