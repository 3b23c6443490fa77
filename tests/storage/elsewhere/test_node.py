"""A node tells what it lacks, and its sample files name all that it reads."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.server import free_ports
from tests.storage.links import Links
from tests.storage.nodes import PROGRAM, Node, Nodes

SAMPLES = Path(__file__).parents[3] / "conf"


@pytest.fixture
def node(directory: Path) -> Iterator[Node]:
    (port,) = free_ports(1)
    made = Node("a", port, directory, {"a": port})
    yield made
    made.stop()


def test_the_sample_settings_are_those_that_a_node_reads() -> None:
    read = set(re.findall(r"IDP_\w+", PROGRAM.read_text(encoding="utf-8")))
    told = set(re.findall(r"IDP_\w+", (SAMPLES / "store.env").read_text(encoding="utf-8")))
    assert told == read


def test_the_unit_starts_the_program_that_is_here() -> None:
    unit = (SAMPLES / "idp-store.service").read_text(encoding="utf-8")
    assert "ExecStart=/usr/bin/tarantool /opt/idp/storage/lua/node.lua\n" in unit
    assert PROGRAM.is_file()


def test_no_unit_is_given_up_because_it_ended_often() -> None:
    # A node waits for its address, a server for a node that leads, both by being started again.
    for name in ("idp.service", "idp-store.service"):
        unit = (SAMPLES / name).read_text(encoding="utf-8")
        assert {"Restart=always", "StartLimitIntervalSec=0"} <= set(unit.splitlines()), name


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("IDP_STORE_PASSWORD", "", "IDP_STORE_PASSWORD is not set"),
        ("IDP_OWNER_PASSWORD", "", "IDP_OWNER_PASSWORD is not set"),
        ("IDP_OWNER_PASSWORD", "p@ss", "IDP_OWNER_PASSWORD stands in URIs"),
        ("IDP_STORE_NAME", "z", "IDP_STORE_NODES does not name z"),
    ],
)
def test_a_node_tells_what_it_lacks(node: Node, name: str, value: str, complaint: str) -> None:
    node.environment[name] = value

    assert node.run().wait(10) == 1
    assert complaint in node.log


def test_no_node_is_founded_over_data(node: Node) -> None:
    node.environment["IDP_STORE_NODES"] += ",b=127.0.0.1:1,c=127.0.0.1:2"
    node.found()

    assert node.run("found").wait(10) == 1
    assert "holds data already" in node.log


def test_a_node_that_is_alone_answers_at_once_and_after_a_kill(node: Node) -> None:
    node.start()
    node.wait()
    node.kill()
    node.start()
    node.wait()


def test_a_link_that_was_cut_delivers_later() -> None:
    with Links() as links:
        nodes = Nodes(1)
        try:
            nodes.start()
            link = links.to(nodes.nodes[0].port)
            links.cut(link)
            through = Node("a", link, nodes.directory / "a", {})
            through.process = nodes.nodes[0].process
            assert not through.greets()
            links.heal()
            assert through.greets()
        finally:
            nodes.stop()
