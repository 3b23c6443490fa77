"""`idp store status`, `promote`, `rejoin` and `watch`, on three real nodes."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage import migrations
from tests.idp.conftest import Run
from tests.idp.operator import Operator, settled
from tests.storage.elsewhere.replicated.three import three_nodes
from tests.storage.migrating import FORGET
from tests.storage.nodes import Nodes, eventually


def test_a_node_leads_when_it_is_promoted_and_not_before(operator: Operator) -> None:
    code, status = operator.status()
    assert (code, status["topology"], status["writer"]) == (1, "replicated", None)
    assert operator.roles() == dict.fromkeys("abc", "waiting")

    code, out, _ = operator.store("promote", "--reason", "the first one")
    assert (code, out) == (0, "a leads, in term 1\n")
    settled(operator, a="writer", b="replica", c="replica")

    code, status = operator.status()
    assert (code, status["writer"]) == (0, "a")
    for node in status["nodes"]:
        assert node["schema_version"] == node["knows_schema_version"] == len(migrations.names())
        assert 0 < node["memory"]["used"] < node["memory"]["quota"]
        assert node["rows"]["audit"] == 1
        assert node["sweep_lag_s"] == 0
    assert status["nodes"][1]["upstream"]["status"] == "follow"
    assert operator.store("status")[1].splitlines()[1].split()[:3] == [
        "a",
        status["nodes"][0]["address"],
        "writer",
    ]
    (event,) = operator.audit("node_promoted")
    assert event["reason"] == "the first one"
    assert event["detail"] == {"node": "a", "term": 1}


def test_a_lost_writer_is_replaced_and_joins_anew(operator: Operator, nodes: Nodes) -> None:
    operator.store("promote", "--reason", "the first one")
    settled(operator, a="writer", b="replica", c="replica")
    nodes["a"].kill()

    assert operator.store("promote", "--reason", "a is gone")[0] == 0
    away = f"127.0.0.1:{nodes['a'].port}"
    settled(operator, **{away: "away", "b": "writer", "c": "replica"})
    assert operator.status()[0] == 1
    nodes["a"].start()
    nodes["a"].wait()
    code, out, _ = operator.store("rejoin", "a", "--reason", "it is back", "--json")
    assert (code, json.loads(out)) == (0, {"node": "a"})
    assert nodes["a"].process is not None
    assert nodes["a"].process.wait(5) == 0
    nodes["a"].start()
    nodes["a"].wait()

    settled(operator, a="replica", b="writer", c="replica")
    assert list(nodes["a"].directory.glob("aside-*/*.snap"))
    assert [it["reason"] for it in operator.audit("node_rejoins")] == ["it is back"]


def test_what_cannot_be_is_told_in_a_sentence(operator: Operator, nodes: Nodes) -> None:
    assert operator.store("promote", "--reason", " ")[0] == 2
    code, _, err = operator.store("rejoin", "b", "--reason", "why not")
    assert (code, err) == (
        1,
        "idp: nobody leads whom b could follow: promote a node first\n",
    )
    for node in nodes.nodes[1:]:
        node.kill()
    code, _, err = operator.store("promote", "--reason", "why not")
    assert code == 1
    assert err.startswith("idp: only 1 of 3 nodes answer, 2 must")


Running = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def running() -> Iterator[Running]:
    """Starts commands of an operator's that do not end by themselves."""
    started = []

    def start(operator: Operator, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "idp", "store", *arguments, *operator.options]
        # Python's own warnings are errors here.
        started.append(subprocess.Popen(command, env=os.environ))
        return started[-1]

    yield start
    for process in started:
        process.terminate()
        process.wait()


def watch(name: str) -> tuple[str, ...]:
    return "watch", "--seconds", "1", "--name", name


def test_watchers_promote_when_a_majority_of_them_agrees(
    operator: Operator, nodes: Nodes, running: Running
) -> None:
    operator.store("promote", "--reason", "the first one")
    running(operator, *watch("one"))
    nodes["a"].kill()
    with pytest.raises(AssertionError, match="never"):
        eventually(lambda: operator.status()[1]["writer"] is not None, "a writer", 4)

    running(operator, *watch("two"))

    eventually(lambda: operator.status()[1]["writer"] is not None, "a writer", 20)
    assert [it["reason"] for it in operator.audit("node_promoted")] == [
        "the first one",
        "nobody led",
    ]


@pytest.fixture
def apart(directory: Path, run: Run) -> Iterator[tuple[Operator, Nodes]]:
    """Three nodes whose network can be cut, of which `a` leads."""
    with three_nodes() as nodes:
        operator = Operator(directory, nodes, run)
        settled(operator, a="writer", b="replica", c="replica")
        yield operator, nodes


def leading(nodes: Nodes) -> set[str]:
    states = asyncio.run(nodes.replica_set.states()).values()
    return {state.name for state in states if state.leads}


def test_watchers_replace_a_writer_that_they_reach_and_the_other_nodes_do_not(
    apart: tuple[Operator, Nodes], running: Running
) -> None:
    operator, nodes = apart
    for name in ("one", "two"):
        running(operator, *watch(name))
    nodes.isolate("a")
    eventually(lambda: bool(leading(nodes) & {"b", "c"}), "another writer", 20)
    assert operator.audit("node_promoted")[-1]["by"] in {"one", "two"}
    heal(nodes)
    eventually(lambda: "a" not in leading(nodes), "the old one knows of it", 10)


def test_watchers_replace_a_writer_that_is_cut_off_while_it_migrates(
    apart: tuple[Operator, Nodes], running: Running
) -> None:
    def ask(name: str, lua: str) -> object:
        return asyncio.run(nodes[name].eval(lua))

    operator, nodes = apart
    ask("a", FORGET)
    known, newest = len(migrations.names()), "return box.space.schema_version:count()"
    eventually(lambda: ask("b", newest) == ask("c", newest) == known - 1, "forgotten by all")
    nodes.isolate("a")
    migrating = running(operator, "migrate", "--reason", "an upgrade")
    eventually(lambda: ask("a", newest) == known, "the migration is begun", 20)
    for name in ("one", "two"):
        running(operator, *watch(name))

    eventually(lambda: bool(leading(nodes) & {"b", "c"}), "another writer", 20)
    heal(nodes)
    assert migrating.wait(10) == 1
    (leader,) = leading(nodes)
    assert ask(leader, newest) == known


def heal(nodes: Nodes) -> None:
    assert nodes.links is not None
    nodes.links.heal()
