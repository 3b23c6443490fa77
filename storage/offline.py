"""Programs of ours on the files of a store that nobody serves."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from storage.child import tarantool_binary
from storage.errors import StoreStartError

LUA = Path(__file__).parent / "lua"


def run(
    program: Path, directory: Path, memory_bytes: int, *arguments: object, writes: bool = False
) -> Any:
    """Run a Lua program with a store's data loaded, and return its answer.

    The caller must have taken the directory. Unless the program `writes`, no change that it makes
    reaches a file but by a snapshot. Raises StoreStartError with one sentence.
    """
    order = {
        "program": str(program),
        "directory": str(directory),
        "memory_bytes": memory_bytes,
        "arguments": arguments,
        "writes": writes,
    }
    done = subprocess.run(  # noqa: S603  the arguments are ours
        [tarantool_binary(), str(LUA / "offline.lua")],
        input=json.dumps(order).encode(),
        capture_output=True,
        check=False,
        env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
        umask=0o077,
    )
    said = done.stdout.decode().strip().rpartition("\n")[2]
    try:
        answer = json.loads(said)
    except ValueError:
        reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise StoreStartError(f"Tarantool ended while it worked: {reason or said}") from None
    if "error" in answer:
        raise StoreStartError(str(answer["error"]))
    return answer.get("answer")
