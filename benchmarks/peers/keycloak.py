"""Keycloak in production mode, with a PostgreSQL of its own."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx2
import msgspec

from benchmarks.generator import Target, jwks_of
from benchmarks.peers.peer import CLIENT_ID, HERE, SECRET, Peer, client, installed
from benchmarks.processes import free_ports, running
from benchmarks.users import Client

_CUSTOMERS = 200
_START_SECONDS = 500.0  # of which it makes its tables
_FIRST_ANSWER_SECONDS = 60.0  # of a virtual machine that has run nothing yet
_SCOPE = "openid"


@contextlib.contextmanager
def keycloak(directory: Path) -> Iterator[Peer]:
    """The peer, with its log in `directory`."""
    place = installed("keycloak")
    port, management_port = free_ports(2)
    settings = {
        "http-enabled": "true",
        "http-host": "127.0.0.1",
        "http-port": str(port),
        "http-management-port": str(management_port),
        "hostname": f"http://127.0.0.1:{port}",
        "cache": "local",
        "log-level": "warn",
    }
    with contextlib.ExitStack() as stack:
        database_pid, database_port = stack.enter_context(_postgresql())
        stack.callback(_import(place).unlink)
        options = [f"--{name}={value}" for name, value in settings.items()]
        command = str(place / "bin" / "kc.sh"), "start", "--optimized", "--import-realm", *options
        log = directory / "keycloak.log"
        environment = {
            "KC_DB_URL": f"jdbc:postgresql://127.0.0.1:{database_port}/postgres",
            "KC_DB_USERNAME": "postgres",
            "KC_DB_PASSWORD": SECRET,
        }
        pid = stack.enter_context(
            running(log, port, *command, environment=environment, patience=_START_SECONDS)
        )
        issuer = f"http://127.0.0.1:{port}/realms/{CLIENT_ID}"
        asking = client(Client(CLIENT_ID, "", SECRET).authorization, _SCOPE)
        protocol = f"/realms/{CLIENT_ID}/protocol/openid-connect"
        # Before its keys are read: it makes those for ES256 when it first signs.
        refresh_tokens = _refresh_tokens(f"http://127.0.0.1:{port}{protocol}/token")
        yield Peer(
            Target(
                address=f"127.0.0.1:{port}",
                issuer=issuer,
                paths={"token": f"{protocol}/token"},
                processes={
                    "workers": (pid,),
                    "database": (database_pid,),
                },
                jwks=jwks_of(f"http://127.0.0.1:{port}{protocol}/certs"),
                clients=(asking,),
                service=asking,
            ),
            refresh_tokens,
            f"{place.name}, production mode, {_postgres_version()}, {' '.join(options[4:])}, ES256",
        )


def _import(place: Path) -> Path:
    """The realm and its users, where Keycloak looks for them."""
    realm = msgspec.json.decode((HERE / "realm.json").read_bytes())
    realm["clients"][0]["secret"] = SECRET
    realm["users"] = [
        {
            "username": f"customer-{index}",
            "enabled": True,
            "email": f"customer-{index}@benchmark.example.com",
            "emailVerified": True,
            "firstName": "Anna",
            "lastName": "Benchmark",
            "credentials": [{"type": "password", "value": SECRET}],
        }
        for index in range(_CUSTOMERS)
    ]
    file = place / "data" / "import" / "benchmark-realm.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.encode(realm))
    return file


@contextlib.contextmanager
def _postgresql() -> Iterator[tuple[int, int]]:
    """A PostgreSQL with its defaults: its process, and the port on which it trusts everybody."""
    bin_directory = max(Path("/usr/lib/postgresql").glob("*/bin"))
    # It refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else None
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="idp-bench-pg-") as name:
        directory = Path(name)
        if user is not None:
            shutil.chown(directory, user)
        data = directory / "data"

        def run(program: str, *arguments: str) -> None:
            command = str(bin_directory / program), *arguments
            subprocess.run(command, user=user, cwd=directory, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - ours

        run("initdb", "--pgdata", str(data), "--auth=trust", "--username=postgres")
        control = "--pgdata", str(data), "--wait"
        options = f"-p {port} -k {directory} -c listen_addresses=127.0.0.1"
        run("pg_ctl", "start", *control, "--log", str(directory / "log"), "--options", options)
        try:
            pid = int((data / "postmaster.pid").read_text(encoding="ascii").splitlines()[0])
            yield pid, port
        finally:
            run("pg_ctl", "stop", *control, "--mode=fast")


def _postgres_version() -> str:
    program = max(Path("/usr/lib/postgresql").glob("*/bin")) / "postgres"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    return f"PostgreSQL {said.stdout.split()[2]}"


def _refresh_tokens(url: str) -> Sequence[str]:
    with httpx2.Client(trust_env=False, timeout=_FIRST_ANSWER_SECONDS) as http:
        return [_sign_in(http, url, index) for index in range(_CUSTOMERS)]


def _sign_in(http: httpx2.Client, url: str, index: int) -> str:
    form = {
        "grant_type": "password",
        "username": f"customer-{index}",
        "password": SECRET,
        "scope": _SCOPE,
    }
    answer = http.post(url, data=form, auth=(CLIENT_ID, SECRET))
    answer.raise_for_status()
    return str(answer.json()["refresh_token"])
