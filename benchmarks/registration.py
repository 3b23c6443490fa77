"""What registering clients costs as their number grows: over HTTP, one after the other.

Prints the means of the first and the last hundred registrations, and what looking clients up costs
among the last ones, in milliseconds; as the last line the same as a JSON object.
"""

import argparse
import asyncio
import secrets
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import httpx2
import msgspec
import uvloop

from benchmarks.machine import this_machine
from benchmarks.processes import provider
from conf.settings import Settings
from flows import initial_access_tokens
from flows.clients import ClientDirectory, RegistrationPolicy
from storage.records import By
from storage.store import Store

_BLOCK: Final = 100
_POLICY: Final = RegistrationPolicy(("openid", "profile"), ("authorization_code", "refresh_token"))
_METADATA: Final = {
    "client_name": "Corner Shop",
    "redirect_uris": ["https://partner.example/callback"],
    "grant_types": ["authorization_code", "refresh_token"],
}


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.registration", description=__doc__)
    parser.add_argument("--clients", type=int, default=1_000)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="idp-bench-") as directory,
        provider(Path(directory), 1) as (settings, _),
    ):
        figures = uvloop.run(_measure(settings, options.clients))
    for name, milliseconds in figures.items():
        print(f"{name:<40} {milliseconds:9.3f} ms")
    print(msgspec.json.encode({"machine": this_machine(), "milliseconds": figures}).decode())


async def _measure(settings: Settings, count: int) -> dict[str, float]:
    store = await Store.open(settings)
    try:
        _, token = await initial_access_tokens.create(
            store,
            _POLICY,
            most_clients=count,
            expires_at=int(time.time()) + 86_400,
            by=By("benchmarks"),
            now=int(time.time()),
        )
        seconds, client_ids = await _register(settings, token, count)
        figures = {
            f"a registration, first {_BLOCK}": statistics.mean(seconds[:_BLOCK]),
            f"a registration, last {_BLOCK}": statistics.mean(seconds[-_BLOCK:]),
            "a registration, slowest": max(seconds),
            **await _look_up(settings, store, client_ids),
        }
    finally:
        await store.close()
    return {name: round(value * 1_000, 3) for name, value in figures.items()}


async def _register(settings: Settings, token: str, count: int) -> tuple[list[float], list[str]]:
    seconds, client_ids = [], []
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(trust_env=False, headers=headers) as http:
        for _ in range(count):
            began = time.perf_counter()
            answer = await http.post(f"{settings.issuer}/register", json=_METADATA)
            seconds.append(time.perf_counter() - began)
            if answer.status_code != 201:  # noqa: PLR2004 - RFC 7591 3.2.1
                raise SystemExit(f"refused: {answer.text}")
            client_ids.append(answer.json()["client_id"])
    return seconds, client_ids


async def _look_up(settings: Settings, store: Store, client_ids: Sequence[str]) -> dict[str, float]:
    directory = ClientDirectory(store, settings.lifetimes)
    some = [secrets.choice(client_ids) for _ in range(_BLOCK)]
    unknown = [secrets.token_urlsafe(16) for _ in range(_BLOCK)]
    return {
        f"a look-up in the store, of {len(client_ids)}": await _mean(directory, some),
        "a look-up in memory": await _mean(directory, some),
        "a look-up of a client that there is not": await _mean(directory, unknown),
    }


async def _mean(directory: ClientDirectory, client_ids: Sequence[str]) -> float:
    began = time.perf_counter()
    for client_id in client_ids:
        await directory.get(client_id)
        await asyncio.sleep(0)
    return (time.perf_counter() - began) / len(client_ids)


if __name__ == "__main__":
    main()
