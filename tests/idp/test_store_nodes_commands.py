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
from tests.storage.links import Links
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


Watching = Callable[[Operator, str], subprocess.Popen[bytes]]


@pytest.fixture
def watching() -> Iterator[Watching]:
    """Starts watchers by their names."""
    started = []

    def watch(operator: Operator, name: str) -> subprocess.Popen[bytes]:
        options = [*operator.options, "--seconds", "1", "--name", name]
        command = [sys.executable, "-m", "idp", "store", "watch", *options]
        # Python's own warnings are errors here.
        started.append(subprocess.Popen(command, env=os.environ))
        return started[-1]

    yield watch
    for watcher in started:
        watcher.terminate()
        watcher.wait()


def test_watchers_promote_when_a_majority_of_them_agrees(
    operator: Operator, nodes: Nodes, watching: Watching
) -> None:
    operator.store("promote", "--reason", "the first one")
    watching(operator, "one")
    nodes["a"].kill()
    with pytest.raises(AssertionError, match="never"):
        eventually(lambda: operator.status()[1]["writer"] is not None, "a writer", 4)

    watching(operator, "two")

    eventually(lambda: operator.status()[1]["writer"] is not None, "a writer", 20)
    assert [it["reason"] for it in operator.audit("node_promoted")] == [
        "the first one",
        "nobody led",
    ]


def test_watchers_replace_a_writer_that_they_reach_and_the_other_nodes_do_not(
    directory: Path, run: Run, watching: Watching
) -> None:
    def leading() -> set[str]:
        states = asyncio.run(nodes.replica_set.states()).values()
        return {state.name for state in states if state.leads}

    with Links() as links:
        nodes = Nodes(3, links)
        try:
            nodes.start()
            operator = Operator(directory, nodes, run)
            operator.store("promote", "--reason", "the first one")
            settled(operator, a="writer", b="replica", c="replica")
            for name in ("one", "two"):
                watching(operator, name)
            nodes.isolate("a")
            eventually(lambda: bool(leading() & {"b", "c"}), "another writer", 20)
            assert operator.audit("node_promoted")[-1]["by"] in {"one", "two"}
            links.heal()
            eventually(lambda: "a" not in leading(), "the old one knows of it", 10)
        finally:
            nodes.stop()
