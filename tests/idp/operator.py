"""Who operates a store of several nodes."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keys.sealing import create_key_encryption_key
from tests.storage.nodes import OWNER_PASSWORD, PASSWORD, Nodes, eventually

if TYPE_CHECKING:
    from tests.idp.conftest import Run


class Operator:
    """Who has the settings and the owner's password, in files."""

    def __init__(self, directory: Path, nodes: Nodes, run: "Run") -> None:
        self._run = run
        create_key_encryption_key(directory / "key")
        (directory / "password").write_text(PASSWORD + "\n")
        (directory / "owner").write_text(OWNER_PASSWORD + "\n")
        addresses = ", ".join(f'"127.0.0.1:{node.port}"' for node in nodes.nodes)
        topology = "replicated" if len(nodes.nodes) > 1 else "external"
        self.config = directory / "idp.toml"
        self.config.write_text(
            'issuer = "https://id.example.com"\ndirectory = "var"\n'
            'key_encryption_keys = [{ id = "tests", file = "key" }]\n'
            'test_numbers = [{ first = "+79990000000", last = "+79990000009", code = "000000" }]\n'
            f'[store]\ntopology = "{topology}"\naddresses = [{addresses}]\n'
            'password = { file = "password" }\n',
            encoding="utf-8",
        )
        self.options = (
            *("--config", str(self.config)),
            *("--owner-password", str(directory / "owner")),
        )

    def store(self, *arguments: str) -> tuple[int, str, str]:
        code, out, err = self._run("store", *arguments, *self.options)
        return code, out, err

    def status(self) -> tuple[int, dict[str, Any]]:
        code, out, _ = self.store("status", "--json")
        return code, json.loads(out)

    def roles(self) -> dict[str, str]:
        return {node["name"]: node["role"] for node in self.status()[1]["nodes"]}

    def audit(self, event: str) -> list[dict[str, Any]]:
        code, out, err = self._run(
            "audit", "read", "--event", event, "--json", "--config", str(self.config)
        )
        assert code == 0, err
        return [json.loads(line) for line in out.splitlines()]


def settled(operator: Operator, **roles: str) -> None:
    eventually(lambda: operator.roles() == roles, f"{roles}", 10)
