"""What a token says about the key that signed it, for a person who asks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from keys import sealed_keys, signing
from keys.errors import InvalidToken
from keys.hashing import b64url_decode
from keys.sealing import Sealer
from keys.signing import VerificationKey
from storage.records import KeyState, SigningKeyRow

_ACCEPTED = ("next", "active", "retiring")
_SEGMENTS_OF_JWE = 5  # RFC 7516 9


@dataclass(frozen=True, slots=True)
class Inspection:
    """Whether the signature counts, and if not, why not; `claims` are proven by a key of ours."""

    valid: bool
    reason: str
    kid: str | None = None
    alg: str | None = None
    typ: str | None = None
    state: KeyState | None = None
    claims: Mapping[str, Any] | None = None


def inspect(token: str, rows: Sequence[SigningKeyRow], sealer: Sealer) -> Inspection:
    """Say which of our keys signed a token, in which state it is, and whether it is accepted.

    Judges the signature alone: `exp`, `iss` and `aud` are the caller's. Raises SealError.
    """
    segments = token.split(".")
    try:
        header = msgspec.json.decode(b64url_decode(segments[0]), type=dict[str, Any])
    except (ValueError, RecursionError):
        return Inspection(valid=False, reason="it is not a signed token")
    if len(segments) == _SEGMENTS_OF_JWE:
        return Inspection(valid=False, reason="it is encrypted: only its recipient can read it")
    row = next((row for row in rows if row.kid == header.get("kid")), None)
    if row is None or row.use != "sig":
        return Inspection(valid=False, reason="it names no signing key of ours in its kid")
    # Of a revoked key only the row is left: enough to say whose signature it was.
    key = (
        VerificationKey.from_public_jwk(row.public_jwk)
        if row.state == "revoked"
        else sealed_keys.open_verification(row, sealer)
    )
    typ = str(header.get("typ", ""))
    seen = Inspection(
        valid=False, reason="", kid=row.kid, alg=row.alg, typ=typ or None, state=row.state
    )
    try:
        claims = signing.verify(token, keys={row.kid: key}, typ=typ, algs=(row.alg,))
    except InvalidToken as error:
        return replace(seen, reason=error.reason)
    if row.state in _ACCEPTED:
        return replace(seen, valid=True, reason="signed by a published key", claims=claims)
    reasons: dict[str, str] = {
        "retired": "its key is retired: it counts as an id_token_hint alone",
        "revoked": "its key is revoked",
    }
    return replace(seen, reason=reasons[row.state], claims=claims)
