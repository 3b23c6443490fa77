import http.client
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.processes import eventually
from tests.process.server import Server, free_ports, running
from tests.process.test_serve import ORPHAN_SECONDS, command


@pytest.fixture
def ports() -> list[int]:
    return free_ports(3)


def arguments(directory: Path, ports: list[int]) -> list[str]:
    port, demo_port, metrics_port = map(str, ports)
    return [
        *("dev", "--directory", str(directory / "var"), "--port", port),
        *("--demo-port", demo_port, "--metrics-port", metrics_port),
    ]


@pytest.fixture
def server(directory: Path, ports: list[int]) -> Iterator[Server]:
    with running(directory, ports[0], *arguments(directory, ports)) as server:
        eventually(lambda: "Ctrl-C stops" in server.output, "the table is printed", 10)
        server.family()
        yield server


def test_the_table_says_where_everything_is_and_how_to_stop_it(
    server: Server, directory: Path, ports: list[int]
) -> None:
    for place in (
        f"http://127.0.0.1:{ports[0]}",
        f"http://localhost:{ports[1]}",
        f"http://127.0.0.1:{ports[2]}/metrics",
        str(directory / "var"),
        "+79990000000 and the code 000000",
    ):
        assert place in server.output
    with socket.create_connection(("localhost", ports[1])):
        pass
    assert server.interrupt() == 0
    eventually(lambda: not server.remains(), "nothing runs any more", 1)
    assert "Traceback" not in server.output


def test_a_closed_terminal_ends_everything(server: Server) -> None:
    assert server.stop(signal.SIGHUP) == 0
    eventually(lambda: not server.remains(), "nothing runs any more", 1)


def test_a_killed_parent_takes_the_demo_with_it_too(server: Server) -> None:
    assert any("idp.demo" in command for command in server.family().values())
    server.process.kill()
    eventually(lambda: not server.remains(), "nothing runs any more", ORPHAN_SECONDS)


def test_a_busy_metrics_port_is_only_a_warning(directory: Path, ports: list[int]) -> None:
    with (
        socket.create_server(("127.0.0.1", ports[2])),
        running(directory, ports[0], *arguments(directory, ports), "--no-demo") as server,
    ):
        eventually(lambda: "Ctrl-C stops" in server.output, "the table is printed", 10)
        assert f"metrics: cannot listen on 127.0.0.1, port {ports[2]}" in server.output
        assert "/metrics" not in server.output
        assert server.stop() == 0


def test_a_busy_demo_port_is_told(directory: Path, ports: list[int]) -> None:
    with socket.create_server(("localhost", ports[1])):
        code, said = command(*arguments(directory, ports))
    assert code == 1
    assert said == (
        f"idp: demo: cannot listen on localhost, port {ports[1]}: Address already in use\n"
    )


def test_a_second_start_needs_and_finds_the_keys_of_the_first(
    server: Server, directory: Path, ports: list[int]
) -> None:
    jwks = server.get("/jwks")
    assert jwks[0] == http.client.OK
    assert server.stop() == 0

    key = directory / "var" / "key-encryption-key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.rename(directory / "elsewhere")
    code, said = command(*arguments(directory, ports))
    assert code == 1
    assert said == (
        f"idp: the key-encryption key {key} is missing, but {directory}/var/store holds what it "
        f"sealed: put the key back, or remove {directory}/var to begin anew\n"
    )

    (directory / "elsewhere").rename(key)
    with running(directory, ports[0], *arguments(directory, ports), "--no-demo") as again:
        assert again.get("/jwks") == jwks
