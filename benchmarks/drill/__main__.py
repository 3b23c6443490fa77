"""Rotate and revoke keys under load; a table and, as the last line, the same as a JSON object."""

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec
import uvloop

from benchmarks import prepare
from benchmarks.connection import Connection
from benchmarks.drill import rotation
from benchmarks.drill.customers import Customer
from benchmarks.drill.emergency import PROMISED, Outcome, emergency, past_id_token
from benchmarks.drill.relying_parties import RelyingParty, StrictRelyingParty
from benchmarks.drill.scene import DrillError, Scene
from benchmarks.drill.tally import Tally, tell
from benchmarks.drill.watching import StoreWatch, WorkerWatch, one_for_each_worker
from benchmarks.machine import this_machine
from benchmarks.processes import FIRST_TEST_NUMBER, Server, provider
from benchmarks.users import Client, claims_of
from conf.settings import Settings
from storage.store import Store

# With the propagation more than twice the propagation: a rotation waits for the JWK Sets to age.
_MAX_AGE = 10
_TOML = f"""
[keys]
algorithms = ["ES256", "RS256"]
jwks_max_age_seconds = {_MAX_AGE}
"""
_AUTH_METHODS = {"demo-rs256": "client_secret_post"}
_WATCHERS_FIRST_PHONE = FIRST_TEST_NUMBER + 6_000
_COUNTS = ("tokens", "verified", "failed", "revoked", "errors")


def main() -> int:
    """Drill as the command line says; the exit code is 1 if anything was not as promised."""
    options = _options()
    # As Ctrl-C does, so that nothing is left behind. A shell's background jobs ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    machine, tally = this_machine(), Tally()
    with (
        tempfile.TemporaryDirectory(prefix="idp-drill-") as directory,
        provider(Path(directory), options.workers, toml=_TOML) as (settings, server),
    ):
        delays, outcome = uvloop.run(_drill(options, settings, server, tally))
    print(_table(tally, delays, outcome))
    result = {
        "verified": tally.total("verified"),
        "failed_verifications": tally.total("failed"),
        "errors": tally.total("errors"),
        "propagation_s": round(max(delays), 3) if delays else None,
        "revoked_accepted_after_5s": outcome.accepted_late if outcome else None,
        "revocation": asdict(outcome) if outcome else None,
        "workers": options.workers,
        "relying_parties": options.relying_parties,
        "phases": {
            it.name: {"seconds": round(it.seconds, 1)} | {name: it.counts[name] for name in _COUNTS}
            for it in tally.phases
        },
        "machine": machine,
    }
    print(msgspec.json.encode(result).decode())
    bad = tally.total("failed") + tally.total("errors") + (outcome.accepted_late if outcome else 0)
    return 1 if bad else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make drill-keys ARGS=...", description=__doc__)
    parser.add_argument("--workers", type=int, default=2, help="of the provider")
    parser.add_argument("--rotations", type=int, default=3, help="of each algorithm, in a row")
    parser.add_argument(
        "--relying-parties", type=int, default=16, help="a customer each; three in four are strict"
    )
    parser.add_argument(
        "--unsafe", action="store_true", help="force a rotation against the rules: this must fail"
    )
    return parser.parse_args()


async def _drill(
    options: argparse.Namespace, settings: Settings, server: Server, tally: Tally
) -> tuple[list[float], Outcome | None]:
    outcome = None
    async with _scene(options, settings, server, tally) as scene:
        try:
            with tally.phase("sign-in"):
                past = await past_id_token(scene)
                # The relying parties join one by one, so that their JWK Sets differ in age.
                await asyncio.sleep(_MAX_AGE)
            if options.unsafe:
                await rotation.unsafe(scene)
                return [], None
            for number in range(1, options.rotations + 1):
                await rotation.planned(scene, number)
            await rotation.settle(scene)
            outcome = await emergency(scene, past)
        except DrillError as error:
            tally.error(str(error))
        return scene.delays, outcome


@contextlib.asynccontextmanager
async def _scene(
    options: argparse.Namespace, settings: Settings, server: Server, tally: Tally
) -> AsyncIterator[Scene]:
    """The load and the watches, for as long as the context lasts."""
    store = await Store.open(settings)
    watch = StoreWatch(store)
    await watch.look()
    connections = await one_for_each_worker(server)
    workers = [
        await _worker_watch(settings, store, connection, index)
        for index, connection in enumerate(connections.values())
    ]
    scene = Scene(settings, server, tally, watch, workers)
    customers = [
        _customer(scene, store, index, strict=index % 4 != 0)
        for index in range(options.relying_parties)
    ]
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(watch.run())]
        running += [tasks.create_task(it.run()) for it in workers]
        running += [
            tasks.create_task(it.run(index * _MAX_AGE / len(customers)))
            for index, it in enumerate(customers)
        ]
        yield scene
        for task in running:
            task.cancel()
    await store.close()


async def _worker_watch(
    settings: Settings, store: Store, connection: Connection, index: int
) -> WorkerWatch:
    port, bot = settings.listen.port, prepare.bot_of(settings)
    form = await prepare.phone_grant(connection, port, bot, f"+{_WATCHERS_FIRST_PHONE + index}")
    _, body = await connection.ask(bot.post(port, "/token", form))
    sub, sid = claims_of(msgspec.json.decode(body)["id_token"])
    client = _client(settings, "demo-rs256")
    code, _ = await prepare.code(settings, store, client, sub=sub, sid=sid)
    party = RelyingParty(
        settings.issuer, client.client_id, str(client.secret), _AUTH_METHODS[client.client_id]
    )
    credentials = {"client_id": client.client_id, "client_secret": str(client.secret)}
    return WorkerWatch(connection, port, credentials, (await party.exchange(code))["refresh_token"])


def _customer(scene: Scene, store: Store, index: int, *, strict: bool) -> Customer:
    settings = scene.settings
    bot = prepare.bot_of(settings)
    kinds = (_client(settings, "demo"), _client(settings, "demo-rs256"), bot)
    client = kinds[index % len(kinds)]
    party = (StrictRelyingParty if strict else RelyingParty)(
        settings.issuer,
        client.client_id,
        str(client.secret),
        _AUTH_METHODS.get(client.client_id, "client_secret_basic"),
    )
    return Customer(
        settings=settings,
        store=store,
        party=party,
        client=client,
        bot=bot,
        phone=f"+{FIRST_TEST_NUMBER + index}",
        tally=scene.tally,
        on_token=scene.issued,
    )


def _client(settings: Settings, client_id: str) -> Client:
    return Client(client_id, prepare.DEMO_CALLBACK, prepare.secret_of(settings, client_id))


def _table(tally: Tally, delays: Sequence[float], outcome: Outcome | None) -> str:
    lines = [" " * 24 + "".join(f"{it:>10}" for it in ("seconds", *_COUNTS))]
    for phase in tally.phases:
        cells = (f"{phase.seconds:.1f}", *(str(phase.counts[name]) for name in _COUNTS))
        lines.append(f"{phase.name:<24}" + "".join(f"{cell:>10}" for cell in cells))
    lines.append("")
    if delays:
        told = ", ".join(f"{it:.2f}" for it in delays)
        lines.append(f"After a rotation the last worker signed with the new key after {told} s.")
    if outcome is not None:
        lines.append(
            f"After the revocation: {outcome.propagation_s:.2f} s. Tokens of the revoked key were "
            f"refused first after {outcome.first_refused_s or 0:.2f} s,"
        )
        lines.append(
            f"accepted last after {outcome.last_accepted_s or 0:.2f} s, and from "
            f"{PROMISED:.0f} s on {outcome.accepted_late} of {outcome.asked_late} times."
        )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        tell("interrupted")
        sys.exit(128 + signal.SIGINT)
