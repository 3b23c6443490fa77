"""Saves a small data set of the present schema; run it once for each schema that is released.

    .venv/bin/python -m tests.storage.saved

It writes `tests/storage/saved/schema-N/`: a snapshot, the write-ahead log of what came after it,
and `rows.json`, every row of the two as it was then.
"""

import asyncio
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from storage.child import PrivateTarantool
from storage.records import By
from storage.store import Store
from tests.storage.builders import (
    NOW,
    Login,
    Owner,
    PhoneGrant,
    issue_code,
    new,
    new_challenge,
    new_phone,
    open_grant,
)
from tests.storage.messages import Worker, claim

SAVED = Path(__file__).parent / "saved"
BY = By("alice@ops", "a saved data set")
MEMORY = 128 * 1024 * 1024
EVERY_ROW = """
    local rows = {}
    for id, space in pairs(box.space) do
        if type(id) == 'number' and id >= 512 then
            rows[space.name] = {}
            for _, row in space:pairs() do
                table.insert(rows[space.name], row:tomap({ names_only = true }))
            end
        end
    end
    return rows
"""


def main() -> None:
    directory = Path(tempfile.mkdtemp(prefix="idp-"))
    process = PrivateTarantool(directory, MEMORY)
    try:
        process.start()
        version, rows = asyncio.run(_filled(process))
        process.stop()
        _save(directory, SAVED / f"schema-{version}", rows)
    finally:
        process.stop()
        shutil.rmtree(directory)


async def _filled(process: PrivateTarantool) -> tuple[int, dict[str, list[Any]]]:
    store = await Store.connect(process.socket_path, process.password, 5.0)
    owner = await Owner.connect(process.directory)
    await _use(store)
    await owner.eval("return box.snapshot()")
    await _use(store)
    rows = await owner.eval(EVERY_ROW)
    await store.close()
    await owner.close()
    return max(row["version"] for row in rows["schema_version"]), rows


async def _use(store: Store) -> None:
    """Something in most of the spaces."""
    grant = await open_grant(store)
    offline = await open_grant(store, offline=True)
    await offline.rotate(store, offline.token)
    await issue_code(store, grant)
    await Login().prove(store, new_phone())
    await PhoneGrant().start(store, new_challenge(new_phone()))
    name = new("claim")
    for message in await claim(store, name):
        await Worker(store=store, message=message, claim=name).send()
    await PhoneGrant().start(store, new_challenge(new_phone()))
    await store.access_token_revoke(
        grant_id=grant.grant_id, jti=f"jti-{grant.sub}", client_id="app", expires_at=NOW, now=NOW
    )
    await store.customer_block(grant.sub, revocation_id=f"block-{grant.sub}", by=BY, now=NOW)


def _save(directory: Path, saved: Path, rows: dict[str, list[Any]]) -> None:
    saved.mkdir(parents=True)
    newest = max(directory.glob("*.snap"))
    shutil.copy(newest, saved)
    shutil.copy(newest.with_suffix(".xlog"), saved)
    text = json.dumps(rows, ensure_ascii=False, indent=1, default=_hex)
    (saved / "rows.json").write_text(f"{text}\n")


def _hex(value: bytes) -> str:
    return value.hex()


if __name__ == "__main__":
    main()
