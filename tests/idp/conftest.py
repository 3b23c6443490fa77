import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from idp import cli
from tests.idp.installation import Installation
from tests.idp.operator import Operator
from tests.storage.nodes import Nodes

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process; gives its exit code, what it printed and what it lamented."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["idp", *map(str, arguments)])
        with pytest.raises(SystemExit) as exited:
            cli.main()
        captured = capsys.readouterr()
        return int(exited.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def here(directory: Path, run: Run) -> Iterator[Installation]:
    """An installation with the keys of its first start."""
    installation = Installation(directory, run)
    installation.start()
    yield installation
    installation.tarantool.stop()


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    """Three nodes of the test's own, of which none leads."""
    started = Nodes(3)
    try:
        started.start()
        yield started
    finally:
        started.stop()


@pytest.fixture
def operator(directory: Path, nodes: Nodes, run: Run) -> Operator:
    return Operator(directory, nodes, run)
