"""The house's rules, read from the imports: one arrow, and one library in one room."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ARROW = ("idp", "flows", "keys", "storage", "conf")

# Where a library may be imported: a room, or one module of it.
HOMES = {
    "aiohttp": ("idp/outbound/gateway.py",),
    "argon2": ("flows/passwords.py",),
    "asynctnt": ("storage/",),
    "authlib": ("idp/demo/",),
    "cryptography": ("keys/",),
    "httpx2": ("idp/",),
    "itsdangerous": ("idp/demo/",),
    "jinja2": ("idp/",),
    "joserfc": ("keys/",),
    "markupsafe": ("idp/",),
    "phonenumbers": ("flows/phones.py",),
    "pkcs11": ("keys/hsm.py", "keys/pkcs11_sessions.py"),
    "prometheus_client": ("idp/metrics.py",),
    "smpp34": ("idp/outbound/",),
    "starlette": ("idp/",),
    "structlog": ("idp/",),
    "tarantool": ("storage/",),
    "typer": ("idp/",),
    "uvicorn": ("idp/",),
}
# msgspec is how records are written down everywhere, as dataclasses are.
EVERYWHERE = {"msgspec"}


def _modules() -> list[Path]:
    return [path for room in ARROW for path in sorted((ROOT / room).rglob("*.py"))]


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides which room it is from"
            assert node.module is not None
            yield node.module


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", _modules(), ids=_name)
def test_imports_run_to_the_right_only(path: Path) -> None:
    room = ARROW.index(_name(path).split("/")[0])
    for module in _imports(path):
        imported = module.split(".")[0]
        if imported in ARROW:
            assert ARROW.index(imported) >= room, f"{_name(path)} imports {module}"


@pytest.mark.parametrize("path", _modules(), ids=_name)
def test_a_library_is_imported_in_its_own_room_only(path: Path) -> None:
    for module in _imports(path):
        homes = HOMES.get(module.split(".")[0])
        if homes is not None:
            assert _name(path).startswith(homes), f"{_name(path)} imports {module}"


def test_every_third_party_library_has_a_home() -> None:
    known = {*sys.stdlib_module_names, *ARROW, *HOMES, *EVERYWHERE}
    for path in _modules():
        for module in _imports(path):
            assert module.split(".")[0] in known, f"{_name(path)} imports {module}"


@pytest.mark.parametrize("room", ARROW)
def test_a_room_says_what_it_owns_and_what_it_must_not_know(room: str) -> None:
    text = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8")))
    assert text is not None
    assert "own" in text.lower()
    assert "must not know" in text.lower()
