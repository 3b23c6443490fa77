"""A key of each algorithm, and tokens that say whatever a test wants, correctly signed."""

import json
from typing import Any

import pytest

from keys.errors import InvalidToken
from keys.hashing import b64url
from keys.signing import ALGORITHMS, SigningKey, verify

BY_ALG = {alg: SigningKey.generate(alg) for alg in ALGORITHMS}
ES256, RS256, PS256, EDDSA, ES384 = BY_ALG.values()
KEYS = {key.kid: key for key in BY_ALG.values()}
CLAIMS = {"iss": "https://id.example", "sub": "customer", "имя": "Анна"}
PAYLOAD = json.dumps(CLAIMS).encode()


def claims_of(
    token: str, typ: str = "at+jwt", algs: tuple[str, ...] = ALGORITHMS
) -> dict[str, Any]:
    return verify(token, keys=KEYS, typ=typ, algs=algs)


def reason(token: str, typ: str = "at+jwt", algs: tuple[str, ...] = ALGORITHMS) -> str:
    with pytest.raises(InvalidToken) as caught:
        claims_of(token, typ, algs)
    return caught.value.reason


def header(key: SigningKey = ES256, **changed: str) -> dict[str, Any]:
    return {"alg": key.alg, "kid": key.kid, "typ": "at+jwt"} | changed


def forge(header: bytes | dict[str, Any], payload: bytes = PAYLOAD, by: SigningKey = ES256) -> str:
    raw_header = header if isinstance(header, bytes) else json.dumps(header).encode()
    signing_input = f"{b64url(raw_header)}.{b64url(payload)}"
    signature = by._algorithm.sign(signing_input.encode(), by._key)
    return f"{signing_input}.{b64url(signature)}"


def signed(key: SigningKey = ES256, payload: bytes = PAYLOAD) -> str:
    return forge(header(key), payload, by=key)
