"""Reading the settings of one node of a store that runs on machines of its own: `store.env`."""

import re
from pathlib import Path
from typing import Final

import msgspec

from conf.decoding import ConfigurationError
from conf.model import Address

_LINE: Final = re.compile(r"(?P<name>IDP_\w+)=(?P<quote>[\"']?)(?P<value>.*)(?P=quote)")
_ADDRESS: Final = re.compile(r"(?:\[?(?P<host>[^\]]*)\]?:)?(?P<port>[0-9]{1,5})")
_EVERYWHERE: Final = (None, "", "*", "0.0.0.0", "::")  # noqa: S104  compared with, not listened on
_MEMORY: Final = 256 * 1024 * 1024
_NEEDED: Final = (
    "IDP_STORE_DIRECTORY",
    "IDP_STORE_NODES",
    "IDP_STORE_NAME",
    "IDP_STORE_PASSWORD",
    "IDP_OWNER_PASSWORD",
)


class NodeIdentity(msgspec.Struct, frozen=True):
    """Who a node is among all, and the passwords of the store's two users."""

    name: str
    nodes: tuple[str, ...]
    server_password: str
    owner_password: str


class NodeSettings(msgspec.Struct, frozen=True):
    """What a command on the node's own machine needs of them."""

    directory: Path
    address: Address
    identity: NodeIdentity
    memory_bytes: int


def read_node(file: Path) -> NodeSettings:
    """Read `store.env` as a service manager does. Raises ConfigurationError."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}") from None
    found = {it["name"]: it["value"] for line in lines if (it := _LINE.fullmatch(line.strip()))}
    faults = [f"{file}: {name} is not set" for name in _NEEDED if not found.get(name)]
    if faults:
        raise ConfigurationError(*faults)
    nodes = dict(re.findall(r"([^=,\s]+)=([^=,\s]+)", found["IDP_STORE_NODES"]))
    name = found["IDP_STORE_NAME"]
    if name not in nodes:
        raise ConfigurationError(f"{file}: IDP_STORE_NODES does not name {name}")
    listen = found.get("IDP_STORE_LISTEN") or nodes[name]
    address = _ADDRESS.fullmatch(listen)
    memory = found.get("IDP_STORE_MEMORY") or str(_MEMORY)
    if address is None or not memory.isdecimal():
        wrong = "the address of this node" if address is None else "IDP_STORE_MEMORY"
        raise ConfigurationError(f"{file}: {wrong} is not one")
    host = "127.0.0.1" if address["host"] in _EVERYWHERE else address["host"]
    return NodeSettings(
        directory=Path(found["IDP_STORE_DIRECTORY"]),
        address=Address(host, int(address["port"])),
        identity=NodeIdentity(
            name=name,
            nodes=tuple(nodes),
            server_password=found["IDP_STORE_PASSWORD"],
            owner_password=found["IDP_OWNER_PASSWORD"],
        ),
        memory_bytes=int(memory),
    )
