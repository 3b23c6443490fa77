"""Planned rotations under load, and what the rules are for: a rotation forced against them."""

import asyncio
import time
from collections import Counter

from benchmarks.drill.scene import Scene
from benchmarks.drill.tally import tell
from benchmarks.drill.watching import propagation

_MARGIN = 10.0  # seconds, for a machine that has other things to do
_ALGORITHMS = ("ES256", "RS256")


async def planned(scene: Scene, number: int) -> None:
    """Rotate both algorithms; two operators at once give the order for ES256."""
    with scene.tally.phase(f"rotation {number}"):
        before = _states(scene)
        keys = scene.settings.keys
        turns, *_ = await asyncio.gather(
            scene.turns(2, keys.jwks_max_age + 3 * keys.propagation + _MARGIN),
            scene.idp("keys", "rotate", "ES256", "--reason", "drill, one operator"),
            scene.idp("keys", "rotate", "ES256", "--reason", "drill, another operator"),
            scene.idp("keys", "rotate", "RS256", "--reason", "drill"),
        )
        for turn in turns:
            delay = propagation(turn, scene.workers)
            scene.delays.append(delay)
            tell(f"  {turn.alg}: every worker signs with {turn.new} after {delay:.2f} s")
        expected = before + Counter({(alg, "retiring"): 1 for alg in _ALGORITHMS})
        if (found := _states(scene)) != expected:
            scene.tally.error(f"the keys are {dict(found)}, not {dict(expected)}")


async def settle(scene: Scene) -> None:
    """Wait until every relying party knows the next keys, as in everyday life they do."""
    with scene.tally.phase("everyday life"):
        keys = scene.settings.keys
        published = max(scene.store.key(alg, "next").created_at for alg in _ALGORITHMS)
        await asyncio.sleep(published + keys.jwks_max_age + keys.propagation - time.time())


async def unsafe(scene: Scene) -> None:
    """Let a key sign that was published a moment ago: the first --force makes it the next one."""
    keys = scene.settings.keys
    with scene.tally.phase("forced against the rules"):
        for order in ("first", "second"):
            await scene.idp("keys", "rotate", "ES256", "--force", "--reason", f"{order} of two")
        await asyncio.sleep(keys.jwks_max_age + keys.propagation)


def _states(scene: Scene) -> Counter[tuple[str, str]]:
    return Counter((row.alg, row.state) for row in scene.store.keys if row.alg in _ALGORITHMS)
