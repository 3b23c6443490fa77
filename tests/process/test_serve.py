import datetime as dt
import http.client
import ipaddress
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.process.processes import ended, eventually
from tests.process.server import START_SECONDS, STOP_SECONDS, Server, configure, free_ports, running

# What a killed parent started looks for it twice a second.
ORPHAN_SECONDS = 2.0


@pytest.fixture
def ports() -> list[int]:
    return free_ports(3)


@pytest.fixture
def config(directory: Path, ports: list[int]) -> Path:
    return configure(directory, ports[0], ports[1])


@pytest.fixture
def server(directory: Path, config: Path, ports: list[int]) -> Iterator[Server]:
    with running(directory, ports[0], "serve", "--config", str(config), "--workers", "2") as server:
        yield server


def command(*arguments: str) -> tuple[int, str]:
    """Run a command that ends by itself, and return its exit code and what it complained of."""
    result = subprocess.run(
        [sys.executable, "-m", "idp", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=15,
    )
    return result.returncode, result.stderr


def test_sigterm_ends_everything_with_exit_code_0(server: Server) -> None:
    assert len(server.workers()) == 2
    assert server.stop() == 0
    eventually(lambda: not server.remains(), "nothing runs any more", 1)


def test_the_log_is_json_lines(server: Server) -> None:
    server.stop()
    events = [json.loads(line) for line in server.output.splitlines()]
    assert all({"event", "level", "timestamp"} <= event.keys() for event in events)
    assert "ready" in [event["event"] for event in events]


def test_a_killed_parent_takes_everything_with_it_within_2_seconds(server: Server) -> None:
    assert len(server.workers()) == 2
    server.process.kill()
    eventually(lambda: not server.remains(), "nothing runs any more", ORPHAN_SECONDS)
    with pytest.raises(ConnectionRefusedError):
        server.get("/readyz")


def test_a_request_under_way_is_answered_before_the_end(server: Server) -> None:
    body = b"grant_type=nonsense"
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(
            b"POST /token HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)
        )
        time.sleep(0.2)
        tarantool = server.tarantool()
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: not accepts(server.port), "new connections are refused")
        assert not ended(tarantool)
        client.sendall(body)
        assert client.recv(4096).startswith(b"HTTP/1.1 4")
    assert server.process.wait(10) == 0


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_dead_tarantool_is_started_again(server: Server, ports: list[int]) -> None:
    first = server.tarantool()
    os.kill(first, signal.SIGKILL)
    eventually(lambda: ended(first), "Tarantool was killed")
    eventually(server.ready, "the server is ready again", START_SECONDS)
    assert server.tarantool() != first
    connection = http.client.HTTPConnection("127.0.0.1", ports[1], timeout=5)
    connection.request("GET", "/metrics")
    assert b"idp_store_restarts_total 1.0" in connection.getresponse().read()
    connection.close()


def test_a_dead_worker_is_replaced(server: Server) -> None:
    before = set(server.workers())
    victim = before.pop()
    os.kill(victim, signal.SIGKILL)
    eventually(
        lambda: len(server.workers()) == 2 and victim not in server.workers(),
        "there is another",
        START_SECONDS,
    )
    eventually(server.ready, "the server is ready", START_SECONDS)


def test_a_worker_that_is_replaced_while_the_store_is_away_waits_for_it(server: Server) -> None:
    tarantool = server.tarantool()
    before = set(server.workers())
    os.kill(tarantool, signal.SIGSTOP)
    try:
        for worker in before:
            os.kill(worker, signal.SIGKILL)
        eventually(
            lambda: len(server.workers()) == 2 and not before & set(server.workers()),
            "they are replaced",
            START_SECONDS,
        )
        time.sleep(0.5)
        assert server.process.poll() is None
    finally:
        os.kill(tarantool, signal.SIGCONT)
    eventually(
        lambda: server.get("/readyz")[0] == http.client.OK, "the server is ready", START_SECONDS
    )


def test_sighup_replaces_the_workers_without_a_refused_connection(server: Server) -> None:
    before = set(server.workers())
    server.process.send_signal(signal.SIGHUP)

    def replaced() -> bool:
        assert server.get("/readyz")[0] == http.client.OK
        return not before & set(server.workers())

    eventually(replaced, "the workers are replaced", START_SECONDS)
    assert len(server.workers()) == 2


def test_a_restart_that_waits_for_the_store_ends_at_once_when_told_to(server: Server) -> None:
    tarantool, before = server.tarantool(), set(server.workers())
    os.kill(tarantool, signal.SIGSTOP)
    try:
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: len(server.workers()) == 3, "another worker is started", START_SECONDS)
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: not before & set(server.workers()), "no worker is left")
    finally:
        os.kill(tarantool, signal.SIGCONT)
    assert server.process.wait(STOP_SECONDS) == 0


def test_a_busy_port_is_told_before_anything_starts(
    directory: Path, config: Path, ports: list[int]
) -> None:
    for what, port in (("listen", ports[0]), ("metrics", ports[1])):
        with socket.create_server(("127.0.0.1", port)):
            code, said = command("serve", "--config", str(config))
        expected = f"idp: {what}: cannot listen on 127.0.0.1, port {port}: Address already in use\n"
        assert (code, said) == (1, expected)
    assert not (directory / "var" / "store" / "tarantool.log").exists()


def test_a_second_server_is_told_of_the_first(
    server: Server, directory: Path, config: Path
) -> None:
    code, said = command("serve", "--config", str(config))
    assert code == 1
    assert said.startswith(
        f"idp: the state directory {directory}/var/store is in use by process {server.pid} "
        f"(idp serve --config {config} --workers 2) since 20"
    )
    assert said.count("\n") == 1
    assert server.ready()


def test_a_store_that_cannot_start_is_told_and_leaves_nothing(
    server: Server, directory: Path, config: Path
) -> None:
    server.stop()
    store = directory / "var" / "store"
    for file in store.glob("*.snap"):
        file.write_bytes(b"garbage")
    code, said = command("serve", "--config", str(config))
    assert code == 1
    assert said.startswith("idp: Tarantool could not start: ")
    assert said.endswith(f" (log: {store}/tarantool.log)\n")
    assert said.count("\n") == 1


def test_a_file_in_the_state_directorys_place_is_told(directory: Path, config: Path) -> None:
    (directory / "var").touch()
    code, said = command("serve", "--config", str(config))
    assert code == 1
    assert said == (
        f"idp: {directory}/var/store cannot be the state directory: there is a file in its place\n"
    )


def test_files_for_tls_that_are_not_a_pair_are_told(directory: Path, config: Path) -> None:
    for name in ("cert.pem", "key.pem", "ca.pem"):
        (directory / name).write_text("nothing")
    cert, key, ca = (str(directory / name) for name in ("cert.pem", "key.pem", "ca.pem"))
    code, said = command("serve", "--config", str(config), "--tls-cert", cert, "--tls-key", key)
    assert code == 1
    assert said.startswith(f"idp: {cert} and {key} are not a certificate and its key: ")
    code, said = command("serve", "--config", str(config), "--ca-file", ca)
    assert code == 1
    assert said.startswith(f"idp: {ca} holds no certificates: ")


def test_tls_is_served_with_the_given_certificate(
    directory: Path, config: Path, ports: list[int]
) -> None:
    cert, key = certificate(directory)
    server = Server(
        directory,
        ports[0],
        *("serve", "--config", str(config), "--tls-cert", str(cert), "--tls-key", str(key)),
    )
    try:
        eventually(lambda: '"ready"' in server.output, "the server is ready", START_SECONDS)
        server.family()
        context = ssl.create_default_context(cafile=cert)
        connection = http.client.HTTPSConnection("127.0.0.1", ports[0], timeout=5, context=context)
        connection.request("GET", "/readyz")
        assert connection.getresponse().status == http.client.OK
        connection.close()
        assert server.stop() == 0
    finally:
        server.clear_away()


def certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by its own key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = directory / "cert.pem", directory / "key.pem"
    cert_path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_path, key_path
