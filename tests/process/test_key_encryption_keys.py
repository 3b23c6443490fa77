"""What becomes of a server whose key-encryption keys are in order, wrong, missing or late."""

import http.client
import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from keys.sealing import create_key_encryption_key
from tests.process.processes import eventually
from tests.process.server import configure, free_ports, running
from tests.process.test_serve import command

Serve = Callable[..., tuple[str, ...]]


@pytest.fixture
def ports() -> list[int]:
    return free_ports(2)


@pytest.fixture
def serve(directory: Path, ports: list[int]) -> Serve:
    """Gives the command that serves with these key-encryption keys, written in TOML."""

    def serve(*keys: str) -> tuple[str, ...]:
        return ("serve", "--config", str(configure(directory, ports[0], ports[1], ", ".join(keys))))

    return serve


@pytest.fixture
def new_key(directory: Path) -> Path:
    path = directory / "new"
    create_key_encryption_key(path)
    return path


def test_keys_come_from_a_file_a_variable_and_a_command_at_once(
    directory: Path,
    ports: list[int],
    serve: Serve,
    new_key: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = '{ id = "file", file = "key-encryption-key" }'
    variable = '{ id = "variable", env = "IDP_TEST_KEY" }'
    monkeypatch.setenv("IDP_TEST_KEY", new_key.read_text().strip())
    create_key_encryption_key(directory / "printed")
    printed = f'{{ id = "command", command = ["cat", "{directory}/printed"] }}'

    with running(directory, ports[0], *serve(file)) as server:
        jwks = server.get("/jwks")
    for keys in ((variable, file), (printed, variable, file)):
        with running(directory, ports[0], *serve(*keys), "--workers", "2") as server:
            assert server.get("/jwks") == jwks


def test_every_fault_is_told_before_anything_starts(
    directory: Path, serve: Serve, new_key: Path
) -> None:
    new_key.chmod(0o644)
    arguments = serve(
        '{ id = "absent", file = "absent" }',
        '{ id = "wide", file = "new" }',
        '{ id = "unset", env = "IDP_TEST_UNSET" }',
        '{ id = "failing", command = ["sh", "-c", "echo key; echo no entry >&2; exit 2"] }',
        '{ id = "endless", command = ["cat", "/dev/zero"] }',
    )

    code, said = command(*arguments)

    assert code == 1
    assert (
        said
        == f"""\
idp: key_encryption_keys[absent].file: {directory}/absent cannot be read: No such file or directory
idp: key_encryption_keys[wide].file: {new_key} is open to other users (mode 0644): make it 0600
idp: key_encryption_keys[unset].env: the environment variable IDP_TEST_UNSET is not set
idp: key_encryption_keys[failing].command: sh failed with exit code 2: no entry
idp: key_encryption_keys[endless].command: cat wrote more than 64 bytes
"""
    )
    assert not (directory / "var" / "store").exists()


def test_a_command_that_hangs_is_told(directory: Path, serve: Serve) -> None:
    code, said = command(*serve('{ id = "a", command = ["sleep", "60"] }'))

    assert code == 1
    assert said == "idp: key_encryption_keys[a].command: sleep did not end within 10 seconds\n"
    assert not (directory / "var" / "store").exists()


def test_the_wrong_key_under_the_right_id_is_told(
    directory: Path, ports: list[int], serve: Serve, new_key: Path
) -> None:
    with running(directory, ports[0], *serve('{ id = "a", file = "key-encryption-key" }')):
        pass

    code, said = command(*serve(f'{{ id = "a", file = "{new_key}" }}'))

    assert code == 1
    assert re.fullmatch(
        r"idp: .* is sealed under another key than the one that is now called 'a'\n", said
    )


def test_a_key_that_is_no_longer_named_is_told(
    directory: Path, ports: list[int], serve: Serve, new_key: Path
) -> None:
    with running(directory, ports[0], *serve('{ id = "a", file = "key-encryption-key" }')):
        pass

    code, said = command(*serve(f'{{ id = "b", file = "{new_key}" }}'))

    assert code == 1
    assert re.fullmatch(
        r"idp: .* is sealed under the key-encryption key 'a', which the settings do not name\n",
        said,
    )


def test_a_worker_that_is_replaced_while_the_key_cannot_be_had_waits_for_it(
    directory: Path, ports: list[int], serve: Serve, new_key: Path
) -> None:
    arguments = serve(f'{{ id = "a", command = ["cat", "{new_key}"] }}')
    with running(directory, ports[0], *arguments, "--workers", "2") as server:
        new_key.rename(directory / "away")
        os.kill(server.workers()[0], signal.SIGKILL)
        eventually(lambda: "unavailable" in server.output, "the new worker waits", 10)
        assert server.get("/readyz")[0] == http.client.OK
        assert len(server.workers()) == 2
        waiting = next(
            event
            for event in map(json.loads, server.output.splitlines())
            if event["event"] == "key_encryption_keys_unavailable"
        )
        assert waiting["reason"].startswith("key_encryption_keys[a].command: cat failed with exit")

        (directory / "away").rename(new_key)
        eventually(
            lambda: all(server.get("/readyz")[0] == http.client.OK for _ in range(20)), "all serve"
        )
        assert server.stop() == 0


def test_a_worker_that_waits_for_a_key_ends_with_its_server(
    directory: Path, ports: list[int], serve: Serve, new_key: Path
) -> None:
    arguments = serve(f'{{ id = "a", command = ["cat", "{new_key}"] }}')
    with running(directory, ports[0], *arguments) as server:
        new_key.unlink()
        os.kill(server.workers()[0], signal.SIGKILL)
        eventually(lambda: "unavailable" in server.output, "the new worker waits", 10)
        server.family()
        assert server.stop() == 0
        # It is not one of those that drain for too long.
        assert "worker_killed" not in server.output
        eventually(lambda: not server.remains(), "nothing runs any more", 1)
