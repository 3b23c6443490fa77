"""How clients are shown: as JSON for scripts, in a table and one by one for people."""

from collections.abc import Sequence
from typing import Any

import msgspec

from flows.client_registry import Registered
from flows.clients import ClientSecret
from idp.commands.terminal import moment, show, table
from keys.sealing import key_id_of

MANAGERS = {
    "channels": "a channels file",
    "operator": "idp clients",
    "registration": "its partner",
}


def described(client: Registered) -> dict[str, Any]:
    """All that may be known of a client: its secrets only by their form."""
    document = client.document
    partner = document.partner
    return {
        "client_id": client.row.client_id,
        "channel_id": client.row.channel_id or None,
        "source": client.row.source,
        "disabled": document.disabled,
        "metadata": document.metadata.registered(),
        "secrets": [_secret(secret) for secret in document.secrets],
        "partner": partner
        and {"verified": partner.verified, "policy": msgspec.to_builtins(partner.policy)},
    }


def _secret(secret: ClientSecret) -> dict[str, Any]:
    form = next(name for name in ("sha256", "argon2id", "sealed") if getattr(secret, name))
    sealed_with = key_id_of(secret.sealed) if secret.sealed is not None else None
    return {"form": form, "sealed_with": sealed_with, "expires_at": secret.expires_at}


def as_table(clients: Sequence[Registered]) -> str:
    """One line for each client."""
    return table(
        ("CLIENT", "CHANNEL", "NAME", "AUTHENTICATION", "MANAGED BY", "STATE"),
        [
            (
                it.row.client_id,
                it.row.channel_id or "-",
                it.document.metadata.client_name,
                it.document.metadata.token_endpoint_auth_method,
                MANAGERS[it.row.source],
                "disabled" if it.document.disabled else "enabled",
            )
            for it in clients
        ],
    )


def as_text(client: Registered) -> str:
    """A client at length."""
    told = described(client)
    lines = [
        ("client", told["client_id"]),
        ("channel", told["channel_id"] or "-"),
        ("managed by", MANAGERS[told["source"]]),
        ("state", "disabled" if told["disabled"] else "enabled"),
        *((f"secret {number}", _told(it)) for number, it in enumerate(told["secrets"], start=1)),
    ]
    if told["partner"] is not None:
        lines.append(("partner", "verified" if told["partner"]["verified"] else "not verified"))
        lines += _members(told["partner"]["policy"])
    lines += _members(told["metadata"])
    return "\n".join(f"{name}: {value}" for name, value in lines)


def _told(secret: dict[str, Any]) -> str:
    how = f"sealed with {secret['sealed_with']}" if secret["sealed_with"] else secret["form"]
    return how + (f", good until {moment(secret['expires_at'])}" if secret["expires_at"] else "")


def _members(members: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (name, " ".join(value) if isinstance(value, tuple | list) else str(value))
        for name, value in members.items()
    ]


def hand_out(client_id: str, secret: str | None, done: str, *, as_json: bool) -> None:
    """Tell of a change, and the new secret, if there is one: nobody can ask for it again."""
    text = f"{done}: {client_id}"
    if secret is not None:
        text += f"\nsecret, shown this once: {secret}"
    show({"client_id": client_id, "client_secret": secret}, text, as_json=as_json)
