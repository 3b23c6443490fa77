"""An installation with the keys of its first start, and no server: its store runs alone."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from conf.settings import load
from idp.commands.operating import now
from keys.life_cycle import LifeCycle
from keys.ring import KeyRing
from keys.sealing import create_key_encryption_key, load_sealer
from storage.child import PrivateTarantool
from storage.store import Store
from tests.storage.builders import Owner

if TYPE_CHECKING:
    from tests.idp.conftest import Run

T = TypeVar("T")
ISSUER = "https://id.example.com"


class Installation:
    """What `idp keys` and `idp secrets` work on."""

    def __init__(
        self, directory: Path, run: "Run", *, algorithms: str = '"ES256", "RS256"'
    ) -> None:
        self.directory = directory
        self.config = directory / "idp.toml"
        self._run = run
        self._algorithms = algorithms
        self.new_key_encryption_key("a")
        self.seal_with("a")
        self.tarantool = PrivateTarantool(directory / "var" / "store", 2**26)

    def new_key_encryption_key(self, name: str) -> Path:
        """Make one, in a file of its name."""
        path = self.directory / name
        create_key_encryption_key(path)
        return path

    def seal_with(self, *names: str) -> None:
        """Write settings with these key-encryption keys."""
        keys = ", ".join(f'{{ id = "{name}", file = "{name}" }}' for name in names)
        self.config.write_text(
            f'issuer = "{ISSUER}"\ndirectory = "var"\nstore = {{ memory_bytes = {2**26} }}\n'
            f"key_encryption_keys = [{keys}]\nkeys = {{ algorithms = [{self._algorithms}] }}\n"
            'test_numbers = [{ first = "+79990000000", last = "+79990000009", code = "000000" }]\n',
            encoding="utf-8",
        )

    def start(self) -> None:
        """Start the store, and do what a server does at its first start."""
        self.tarantool.start()

        async def complete(life_cycle: LifeCycle) -> None:
            await KeyRing.open(life_cycle, now())

        self.do(complete)

    def stop(self) -> None:
        """Stop the store, so that a command starts it for as long as it needs it."""
        self.tarantool.stop()

    def resume(self) -> None:
        """Start the store again."""
        self.tarantool = PrivateTarantool(self.directory / "var" / "store", 2**26)
        self.tarantool.start()

    def do(self, work: Callable[[LifeCycle], Awaitable[T]]) -> T:
        """Work with the keys past the commands."""
        settings = load(self.config)
        sealer = load_sealer(settings.key_encryption_keys)

        async def opened() -> T:
            store = await Store.open(settings)
            try:
                return await work(LifeCycle.of(settings, store, sealer))
            finally:
                await store.close()

        return asyncio.run(opened())

    def lua(self, code: str, *arguments: object) -> None:
        """Change the store as its owner, past all procedures."""

        async def connected() -> None:
            owner = await Owner.connect(self.tarantool.directory)
            await owner.eval(f"{code} return true", *arguments)
            await owner.close()

        asyncio.run(connected())

    def run(self, group: str, command: str, *arguments: object) -> tuple[int, str, str]:
        """The exit code of a command, what it printed and what it lamented."""
        return self._run(group, command, *arguments, "--config", self.config)

    def keys(self, command: str, *arguments: object) -> tuple[int, str, str]:
        """The same for `idp keys`."""
        return self.run("keys", command, *arguments)

    def done(self, command: str, *arguments: object) -> str:
        """What a command of `idp keys` printed, which must succeed."""
        code, out, err = self.keys(command, *arguments)
        # All keys are young here.
        told = re.sub("idp: .* is published for only .*\n", "", err)
        assert (code, told) == (0, "")
        return out

    def refused(self, command: str, *arguments: object) -> str:
        """What a command of `idp keys` lamented, which must fail and change nothing."""
        before = self.rows()
        code, out, err = self.keys(command, *arguments)
        assert (code, out) == (1, "")
        assert err.startswith("idp: ")
        assert err.count("\n") == 1
        assert self.rows() == before
        return err.removeprefix("idp: ").rstrip("\n")

    def rows(self) -> list[dict[str, Any]]:
        """All keys, as `idp keys list --json` has them."""
        rows: list[dict[str, Any]] = json.loads(self.done("list", "--json"))
        return rows

    def row(self, kid: str) -> dict[str, Any]:
        """One key."""
        row: dict[str, Any] = json.loads(self.done("show", kid, "--json"))
        return row

    def kid(self, state: str, alg: str = "ES256") -> str:
        """The id of the only key of a state."""
        (kid,) = (it["kid"] for it in self.rows() if (it["alg"], it["state"]) == (alg, state))
        return str(kid)

    def audit(self, event: str) -> list[dict[str, Any]]:
        """The rows of the audit trail that tell of an event."""
        _, out, _ = self.run("audit", "read", "--event", event, "--json")
        return [json.loads(line) for line in out.splitlines()]
