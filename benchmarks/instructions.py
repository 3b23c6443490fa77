"""How many instructions of the processor a worker needs for a refresh, counted by callgrind.

A figure that hardly depends on what else a machine does.
"""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from benchmarks.connection import Connection
from benchmarks.prepare import bot_of, phone_grant
from benchmarks.processes import FIRST_TEST_NUMBER, ROOT, provider
from conf.settings import Settings

_REQUESTS = 100
_PATIENCE = 300  # seconds
_COLLECTED = re.compile(rb"Collected : (\d+)")


def main() -> None:
    """Count, and print."""
    with (
        tempfile.TemporaryDirectory(prefix="idp-bench-") as directory,
        provider(Path(directory), 1) as (settings, _),
    ):
        print(f"{per_refresh(settings):,.0f} instructions for a refresh")


def per_refresh(settings: Settings) -> float:
    """The instructions of one refresh, beside a running provider of these settings."""
    bot = bot_of(settings)
    with tempfile.TemporaryDirectory() as directory:
        environment = os.environ | {
            "IDP_SETTINGS": settings.to_json(),
            "PROMETHEUS_MULTIPROC_DIR": directory,
            "CLIENT_SECRET": bot.secret or "",
            "REFRESH_TOKEN": asyncio.run(_sign_in(settings)),
            "PYTHONHASHSEED": "0",
        }
        command = (
            *("valgrind", "--tool=callgrind", f"--callgrind-out-file={directory}/out"),
            "--instr-atstart=no",
            *(sys.executable, "-m", "benchmarks.refresh_path"),
            *("--client-id", bot.client_id, "--requests", str(_REQUESTS)),
        )
        done = subprocess.run(  # noqa: S603 - ours
            command, cwd=ROOT, env=environment, capture_output=True, check=False, timeout=_PATIENCE
        )
    collected = _COLLECTED.search(done.stderr)
    if done.returncode != 0 or collected is None:
        raise RuntimeError(f"callgrind: {done.stderr.decode(errors='replace')[-2000:]}")
    return int(collected[1]) / _REQUESTS


async def _sign_in(settings: Settings) -> str:
    port, bot = settings.listen.port, bot_of(settings)
    connection = await Connection.open(port)
    form = await phone_grant(connection, port, bot, f"+{FIRST_TEST_NUMBER}")
    _, body = await connection.ask(bot.post(port, "/token", form))
    connection.close()
    return str(msgspec.json.decode(body)["refresh_token"])


if __name__ == "__main__":
    main()
