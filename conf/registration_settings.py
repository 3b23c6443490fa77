"""Reading what the settings say about dynamic registration (RFC 7591)."""

import re
from typing import Annotated, Any, Final

import msgspec

from conf.decoding import Form, Table
from conf.model import Limit, OpenRegistration, Registration, SoftwareStatementIssuer

HOST: Final = Form(
    re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"),
    "must be a host name in lower case, without a port or wildcard",
)


class _JwkSet(msgspec.Struct):
    keys: Annotated[list[dict[str, Any]], msgspec.Meta(min_length=1)]


def read_registration(table: Table, *, attempts: Limit, development: bool) -> Registration:
    """Read `[registration]`; anybody may register in development, and nobody otherwise."""
    opened = table.boolean("open", default=development)
    policy = _open_registration(table.table("open_policy"))
    return Registration(
        open=policy if opened else None,
        attempts_per_address=attempts,
        software_statement_issuers=_issuers(table),
    )


def _open_registration(table: Table) -> OpenRegistration:
    standard = OpenRegistration()
    hosts = table.texts("redirect_hosts")
    for index, host in enumerate(hosts):
        if not HOST.pattern.fullmatch(host):
            table.fault(f"redirect_hosts[{index}]", HOST.what)
    return OpenRegistration(
        scopes=table.texts("scopes") or standard.scopes,
        grant_types=table.texts("grant_types") or standard.grant_types,
        redirect_hosts=hosts,
        most_clients=table.integer("most_clients", standard.most_clients, 1, 1_000_000),
    )


def _issuers(table: Table) -> tuple[SoftwareStatementIssuer, ...]:
    issuers: dict[str, SoftwareStatementIssuer] = {}
    for entry in table.tables("software_statement_issuers", "issuer"):
        issuer = entry.text("issuer")
        if issuer and issuer in issuers:
            entry.fault("issuer", "must not be that of another one")
        issuers[issuer] = SoftwareStatementIssuer(issuer, _jwks(entry))
    return tuple(issuers.values())


def _jwks(entry: Table) -> dict[str, Any]:
    name = entry.text("jwks_file")
    if not name:
        return {"keys": []}
    path = entry.path("jwks_file")
    text = entry.file_text("jwks_file", path)
    try:
        return {"keys": msgspec.json.decode(text, type=_JwkSet).keys}
    except (msgspec.DecodeError, RecursionError):
        if text.strip():  # an empty file has been told of
            entry.fault("jwks_file", f"{path} is not a JWK Set with keys")
        return {"keys": []}
