"""Reading where the store is: a private Tarantool, one elsewhere, or several nodes."""

import re
from typing import Final

from conf.decoding import Form, Table
from conf.model import Address, StoreSettings, Topology

_TOPOLOGY: Final = Form(
    re.compile("child|external|replicated"), "must be child, external or replicated"
)
_USER: Final = Form(re.compile(r"[a-z][a-z0-9_]*"), "must be the name of a database user")
# A bracketed IPv6 literal, or a host name or IPv4 address.
_ADDRESS: Final = re.compile(
    r"(?:\[(?P<literal>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9.-]+)):(?P<port>[0-9]{1,5})"
)
_LAST_PORT: Final = 65_535
_HOW_MANY: Final = {
    "external": (range(1, 2), "exactly one address"),
    "replicated": (range(3, 8), "three to seven addresses"),
}
# A request waits for a new writer, which takes a promotion.
_PATIENCE: Final = {"child": 2.0, "external": 2.0, "replicated": 4.5}


def read_store(table: Table) -> StoreSettings:
    """Read `[store]`."""
    standard = StoreSettings()
    topology: Topology = standard.topology
    match table.text("topology", standard.topology, _TOPOLOGY):
        case "external":
            topology = "external"
        case "replicated":
            topology = "replicated"
    return StoreSettings(
        topology=topology,
        memory_bytes=table.integer("memory_bytes", standard.memory_bytes, 2**26, 2**40),
        call_timeout=table.number("call_timeout_seconds", _PATIENCE[topology], 0.05, 30),
        addresses=_addresses(table, topology),
        user=table.text("user", standard.user, _USER),
        password=_password(table, topology),
    )


def _addresses(table: Table, topology: Topology) -> tuple[Address, ...]:
    if topology == "child":
        if table.texts("addresses"):
            table.fault("addresses", "must not be there: the server starts its own store")
        return ()
    texts = table.texts("addresses", required=True)
    addresses = []
    for index, text in enumerate(texts):
        match = _ADDRESS.fullmatch(text)
        if match is None or not 1 <= int(match["port"]) <= _LAST_PORT:
            table.fault(f"addresses[{index}]", "must be HOST:PORT")
        elif text in texts[:index]:
            table.fault(f"addresses[{index}]", "must be there once")
        else:
            addresses.append(Address(match["literal"] or match["host"], int(match["port"])))
    allowed, words = _HOW_MANY[topology]
    if texts and len(texts) not in allowed:
        table.fault("addresses", f"must be {words}")
    return tuple(addresses)


def _password(table: Table, topology: Topology) -> str | None:
    if "password" in table:
        if topology == "child":
            table.fault("password", "must not be there: the server makes its own")
        return table.text_or_secret("password")
    if topology != "child":
        table.fault("password", "is required")
    return None
