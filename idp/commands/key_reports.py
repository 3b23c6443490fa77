"""How keys are shown: as JSON for scripts, in a table and one by one for people."""

import json
from collections.abc import Collection, Sequence
from typing import Any

from idp.commands.terminal import moment, show, span, table
from keys.sealing import key_id_of
from storage.records import KeyState, SigningKeyRow

NONE_YET = "there are no keys yet: a server makes them when it starts"
_ORDER: tuple[KeyState, ...] = ("active", "next", "retiring", "retired", "revoked")
# A table of the longest values still fits into 120 columns; `show` has all of it.
_MOST_ID = 11


def described(row: SigningKeyRow) -> dict[str, Any]:
    """All that may be known of a key: its sealed parts only by what seals them."""
    return {
        "kid": row.kid,
        "alg": row.alg,
        "use": row.use,
        "state": row.state,
        "hsm": row.hsm,
        "published_at": row.created_at,
        "activates_at": row.activates_at,
        "ordered": row.ordered,
        "activated_at": row.activated_at,
        "retires_at": row.retires_at,
        "ended_at": row.ended_at,
        "token_lifetime": row.token_lifetime,
        "sealed_with": sealed_with(row),
        "public_jwk": row.public_jwk,
    }


def sealed_with(row: SigningKeyRow) -> str | None:
    """The id of the key-encryption key that a key cannot do without."""
    sealed = row.sealed_private or row.sealed_public
    return key_id_of(sealed) if sealed is not None else None


def as_table(rows: Sequence[SigningKeyRow], algorithms: Collection[str], now: int) -> str:
    """One line for each key, those that are in use first; `algorithms` are those in use."""
    if not rows:
        return NONE_YET
    ordered = sorted(rows, key=lambda row: (row.alg, _order(row), -row.created_at))
    return table(
        ("ALG", "STATE", "SINCE, UNTIL", "KID", "SEALED WITH", "PUBLISHED (UTC)"),
        [
            (
                row.alg,
                row.state,
                outlook(row, algorithms, now),
                row.kid,
                "hsm" if row.hsm else _short(sealed_with(row) or "-"),
                _minute(row.created_at),
            )
            for row in ordered
        ],
    )


def _order(row: SigningKeyRow) -> int:
    return _ORDER.index(row.state) if row.state in _ORDER else len(_ORDER)


def outlook(row: SigningKeyRow, algorithms: Collection[str], now: int) -> str:
    """Since when a key is in its state, or until when, in words."""
    if row.alg not in algorithms and row.state in ("active", "next"):
        return "withdrawn: retire it" if row.state == "active" else "withdrawn"
    match row.state:
        case "next" if row.activates_at is not None:
            verb = "ordered" if row.ordered else "activates"
            return f"{verb} {_relation(max(row.activates_at, now), now)}"
        case "next":
            return "activates by command"
        case "retiring" if row.retires_at is not None:
            return f"retires {_relation(max(row.retires_at, now), now)}"
        case "active" if row.activated_at is not None:
            return f"for {span(now - row.activated_at)}"
        case _:
            return "-" if row.ended_at is None else _relation(row.ended_at, now)


def as_text(row: SigningKeyRow, algorithms: Collection[str], now: int) -> str:
    """Everything about one key, a line for each thing that a person may want to know."""
    waits, ended = row.state == "next", row.state in ("retired", "revoked")
    signs = row.use == "sig" and not ended
    ordered = ", as ordered" if row.ordered else ""
    lines = [
        ("key", row.kid),
        ("algorithm", f"{row.alg}, {'to sign with' if row.use == 'sig' else 'to encrypt to'}"),
        ("state", row.state if ended else f"{row.state}, {outlook(row, algorithms, now)}"),
        ("published", _when(row.created_at, now)),
        ("activates", _when(row.activates_at, now) + ordered if waits else "-"),
        ("activated", _when(row.activated_at, now)),
        ("retires", _when(row.retires_at, now) if row.state == "retiring" else "-"),
        (row.state, _when(row.ended_at, now)),
        ("its tokens", f"are good for {span(row.token_lifetime)}" if signs else "-"),
        ("private part", _private_part(row)),
        ("public part", json.dumps(row.public_jwk)),
    ]
    return "\n".join(f"{name:<14}{text}" for name, text in lines if text != "-")


def tell(row: SigningKeyRow, now: int, *, as_json: bool) -> None:
    """Print what has become of a key."""
    when = "when `idp keys rotate` says so"
    if row.state == "next" and row.activates_at is not None:
        when = f"at {_when(row.activates_at, now)}"
    texts: dict[KeyState, str] = {
        "next": f"is the next key for {row.alg}; it begins {when}",
        "active": f"is the active key for {row.alg} now",
        "retiring": f"is retiring; it is published until {_when(row.retires_at, now)}",
        "retired": "is retired",
        "revoked": "is revoked",
    }
    show(described(row), f"{row.kid} {texts[row.state]}", as_json=as_json)


def _private_part(row: SigningKeyRow) -> str:
    if row.hsm:
        return "in the hardware security module"
    if row.sealed_private is not None:
        return f"sealed with the key-encryption key {key_id_of(row.sealed_private)}"
    return "destroyed"


def _when(at: int | None, now: int) -> str:
    return "-" if at is None else f"{moment(at)}, {_relation(at, now)}"


def _relation(at: int, now: int) -> str:
    if at == now:
        return "now"
    return f"in {span(at - now)}" if at > now else f"{span(now - at)} ago"


def _minute(at: int) -> str:
    return moment(at).replace("T", " ")[:16]


def _short(key_id: str) -> str:
    return key_id if len(key_id) <= _MOST_ID else f"{key_id[: _MOST_ID - 1]}…"
