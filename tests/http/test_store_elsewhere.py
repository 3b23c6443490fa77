"""A provider on a replicated store: what clients and customers notice when nodes are lost."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator

import pytest

from tests.http.provider import Browser, RelyingParty, Running, new_test_number, parameters_of
from tests.http.provider import provider as run_provider
from tests.process.processes import eventually
from tests.storage.nodes import PASSWORD, Nodes

PATIENCE = 5.0  # seconds that a client waits


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    started = Nodes(3)
    try:
        started.start()
        asyncio.run(started.promote())
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="module")
def provider(nodes: Nodes) -> Iterator[Running]:
    addresses = ", ".join(f'"127.0.0.1:{node.port}"' for node in nodes.nodes)
    toml = (
        f'store = {{ topology = "replicated", addresses = [{addresses}], '
        f'password = "{PASSWORD}" }}\n'
    )
    with run_provider(toml=toml) as running:
        yield running
        assert "internal_error" not in running.server.output
        assert "store_bug" not in running.server.output


@contextlib.contextmanager
def no_majority(nodes: Nodes) -> Iterator[None]:
    states = asyncio.run(nodes.replica_set.states())
    replicas = [node for node in nodes.nodes if not states[node.address].leads]
    for node in replicas:
        node.freeze()
    try:
        yield
    finally:
        for node in replicas:
            node.thaw()


def test_a_request_in_flight_waits_for_the_new_writer(nodes: Nodes, browser: Browser) -> None:
    party = RelyingParty(browser.provider)
    tokens = browser.tokens(party, new_test_number())
    nodes["a"].freeze()
    promotion = threading.Timer(0.5, lambda: asyncio.run(nodes.promote()))
    promotion.start()
    began = time.monotonic()

    answer = party.refresh(tokens["refresh_token"])

    assert answer.status_code == 200
    assert time.monotonic() - began < PATIENCE
    promotion.join()
    nodes["a"].thaw()
    assert party.refresh(answer.json()["refresh_token"]).status_code == 200


def test_without_a_majority_everybody_is_told_to_come_again(nodes: Nodes, browser: Browser) -> None:
    party = RelyingParty(browser.provider)
    tokens = browser.tokens(party, new_test_number())
    with no_majority(nodes):
        answer = party.refresh(tokens["refresh_token"])
        assert answer.status_code == 503
        assert answer.json() == {"error": "temporarily_unavailable"}
        assert answer.headers["retry-after"] == "1"
        told = parameters_of(browser.authorize(party))
        assert told["error"] == "temporarily_unavailable"
        assert told["state"] == party.state
    eventually(browser.provider.server.ready, "the store answers again", 10)
    assert party.refresh(tokens["refresh_token"]).status_code == 200


def test_a_probe_is_told_within_a_second(nodes: Nodes, provider: Running) -> None:
    with no_majority(nodes), provider.client() as client:
        for _ in range(3):
            began = time.monotonic()
            answer = client.get("/readyz")
            assert time.monotonic() - began < 1
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
    eventually(provider.server.ready, "the store answers again", 10)
