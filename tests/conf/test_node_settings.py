"""A node's `store.env`, as commands on its machine read it."""

from pathlib import Path

import pytest

from conf.decoding import ConfigurationError
from conf.model import Address
from conf.node_settings import NodeIdentity, NodeSettings, read_node

SAMPLE = Path(__file__).parents[2] / "conf" / "store.env"
NODES = "IDP_STORE_NODES=a=10.20.0.11:3301,b=[fd00::2]:3302"
PASSWORDS = ("IDP_STORE_PASSWORD=servers", "IDP_OWNER_PASSWORD=owners")
GOOD = ("IDP_STORE_DIRECTORY=/var/lib/idp-store", NODES, *PASSWORDS)


def read(tmp_path: Path, *lines: str) -> NodeSettings:
    file = tmp_path / "store.env"
    file.write_text("\n".join(lines), encoding="utf-8")
    return read_node(file)


@pytest.mark.parametrize(
    ("lines", "address"),
    [
        (("IDP_STORE_NAME=a",), Address("10.20.0.11", 3301)),
        (("IDP_STORE_NAME='b'",), Address("fd00::2", 3302)),
        (("IDP_STORE_NAME=a", 'IDP_STORE_LISTEN="0.0.0.0:1"'), Address("127.0.0.1", 1)),
        (("IDP_STORE_NAME=a", "IDP_STORE_LISTEN=3303"), Address("127.0.0.1", 3303)),
        (("IDP_STORE_NAME=a", "# IDP_STORE_LISTEN=4"), Address("10.20.0.11", 3301)),
    ],
)
def test_where_a_node_listens(tmp_path: Path, lines: tuple[str, ...], address: Address) -> None:
    found = read(tmp_path, *GOOD, *lines)
    assert found == NodeSettings(
        Path("/var/lib/idp-store"),
        address,
        NodeIdentity(found.identity.name, ("a", "b"), "servers", "owners"),
        2**28,
    )


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (GOOD, "IDP_STORE_NAME is not set"),
        ((*GOOD, "IDP_STORE_NAME=z"), "IDP_STORE_NODES does not name z"),
        ((*GOOD, "IDP_STORE_NAME=a", "IDP_STORE_LISTEN=x"), "the address of this node is not one"),
        ((*GOOD, "IDP_STORE_NAME=a", "IDP_STORE_MEMORY=1G"), "IDP_STORE_MEMORY is not one"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, lines: tuple[str, ...], fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault):
        read(tmp_path, *lines)


def test_the_sample_lacks_its_passwords_and_nothing_else() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_node(SAMPLE)
    assert caught.value.faults == tuple(
        f"{SAMPLE}: {name} is not set" for name in ("IDP_STORE_PASSWORD", "IDP_OWNER_PASSWORD")
    )


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_node(tmp_path / "none")
