"""The migrations of this version, and how an operator applies them."""

from pathlib import Path
from typing import Any

from storage import offline
from storage.offline import LUA
from storage.owner import Owner
from storage.records import By


def names() -> list[str]:
    """All migrations of this version, in their order."""
    return sorted(path.stem for path in (LUA / "migrations").glob("*.lua"))


def migrate(owner: Owner, *, by: By, now: int, dry_run: bool) -> list[str]:
    """Apply to a running store what it lacks; return the names of that, or what they would be.

    The store may run an earlier version, which goes on with its own procedures.
    Raises StoreBug with the reason.
    """
    program = (LUA / "migrate.lua").read_text(encoding="utf-8")
    return list(owner.eval(program, *_arguments(by, now, dry_run=dry_run)))


def migrate_stopped(
    directory: Path, memory_bytes: int, *, by: By, now: int, dry_run: bool
) -> list[str]:
    """Do the same to the files of a store that holds data. Raises StoreStartError."""
    arguments = _arguments(by, now, dry_run=dry_run)
    return list(
        offline.run(LUA / "migrate.lua", directory, memory_bytes, *arguments, writes=not dry_run)
    )


def _arguments(by: By, now: int, *, dry_run: bool) -> tuple[Any, ...]:
    sources = {name: LUA / "migrations" / f"{name}.lua" for name in names()}
    sources |= {name: LUA / f"{name}.lua" for name in ("migrator", "audit_trail")}
    texts = {name: path.read_text(encoding="utf-8") for name, path in sources.items()}
    order = {"dry_run": dry_run, "now": now, "by": by.by}
    if by.reason is not None:
        order["reason"] = by.reason
    return texts, names(), order
