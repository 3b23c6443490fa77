"""What keys cost: each operation by itself, in one process and without a server.

Prints microseconds in a table and, as the last line, the same as a JSON object.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import msgspec
from joserfc.jwk import ECKey, RSAKey

from benchmarks.machine import this_machine
from conf.settings import HsmSettings, Settings, development
from idp.commands.operating import with_store
from idp.dev import ensure_key_encryption_key
from keys.encryption import CONTENT_ENCRYPTION, DecryptionKey, RecipientKeys
from keys.hashing import random_id
from keys.hsm import Hsm
from keys.life_cycle import LifeCycle
from keys.ring import KeyRing
from keys.sealing import Sealer, load_sealer
from keys.signing import ALGORITHMS, Signer, SigningKey, verify
from storage.store import Store

_TYP = "JWT"
_LABEL = "kid|ES256|private"
_BATCH_SECONDS = 0.01
_SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")
_HSM = HsmSettings(_SOFTHSM, token_label="idp", pin="1234")
_NOW = int(time.time())
_CLAIMS: dict[str, object] = {  # about as many bytes as an ID token has
    "iss": "https://id.example.com",
    "sub": random_id(),
    "aud": "demo",
    "iat": _NOW,
    "exp": _NOW + 600,
    "auth_time": _NOW,
    "acr": "urn:x5id:acr:phone-otp",
    "amr": ["otp"],
    "at_hash": random_id(),
    "sid": random_id(),
    "nonce": random_id(),
}
_PAYLOAD = msgspec.json.encode(_CLAIMS)

Row = dict[str, float]
Repeat = Callable[[int], Awaitable[None]]


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(prog="make bench-keys ARGS=...", description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each measurement")
    seconds = parser.parse_args().seconds
    machine = this_machine()
    figures: dict[str, Row] = {}
    with tempfile.TemporaryDirectory(prefix="idp-keys-") as directory:
        with _softhsm(Path(directory)) as hsm:
            asyncio.run(_algorithms(figures, hsm, seconds))
        asyncio.run(_encryption(figures, seconds))
        settings = development(directory=Path(directory) / "var")
        settings.directory.mkdir()
        ensure_key_encryption_key(settings)
        sealer = load_sealer(settings.key_encryption_keys)
        asyncio.run(_sealing(figures, sealer, seconds))
        with_store(settings, lambda store: _ring(figures, settings, store, sealer, seconds))
    for name, row in figures.items():
        cells = (f"{what} {microseconds:,.1f}" for what, microseconds in row.items())
        print(f"{name:<28}" + "".join(f"{cell:<22}" for cell in cells).rstrip())
    print("Microseconds, of which `HSM` is waiting.\n")
    print(msgspec.json.encode({"microseconds": figures, "machine": machine}).decode())


async def _algorithms(figures: dict[str, Row], hsm: Hsm | None, seconds: float) -> None:
    for alg in ALGORITHMS:
        key = SigningKey.generate(alg)
        row = figures[alg] = {"sign": await _cost(_signing(key), seconds)}
        token, keys = await key.sign(_PAYLOAD, typ=_TYP), {key.kid: key}
        row["verify"] = await _cost(_verifying(token, keys), seconds)
        if hsm is not None:
            row["HSM"] = await _cost(_signing(await asyncio.to_thread(hsm.generate, alg)), seconds)


async def _encryption(figures: dict[str, Row], seconds: float) -> None:
    # Around a signed token, whose signature is not counted here.
    signed = (await SigningKey.generate("ES256").sign(_PAYLOAD, typ=_TYP)).encode()
    ours = DecryptionKey.generate()
    recipients: dict[str, ECKey | RSAKey] = {
        "ECDH-ES": ECKey.generate_key("P-256"),
        "RSA-OAEP-256": RSAKey.generate_key(2048),
    }
    for alg, key in recipients.items():
        theirs = RecipientKeys({"keys": [key.as_dict(private=False)]})
        for enc in CONTENT_ENCRYPTION:
            row = figures[f"{alg} {enc}"] = {}

            def encrypt(to: RecipientKeys = theirs, alg: str = alg, enc: str = enc) -> str:
                return to.encrypt(signed, alg=alg, enc=enc, cty="JWT")

            row["encrypt"] = await _cost(_repeat(encrypt), seconds)
            if alg == ours.alg:
                token = encrypt(RecipientKeys({"keys": [dict(ours.public_jwk)]}))
                row["decrypt"] = await _cost(_decrypting(ours, token), seconds)


async def _sealing(figures: dict[str, Row], sealer: Sealer, seconds: float) -> None:
    private = SigningKey.generate("ES256").private_jwk()
    sealed = sealer.seal(private, label=_LABEL)
    figures["a private part"] = {
        "seal": await _cost(_repeat(lambda: sealer.seal(private, label=_LABEL)), seconds),
        "open": await _cost(_repeat(lambda: sealer.open(sealed, label=_LABEL)), seconds),
    }


async def _ring(
    figures: dict[str, Row], settings: Settings, store: Store, sealer: Sealer, seconds: float
) -> None:
    life_cycle = LifeCycle.of(settings, store, sealer)
    ring = await KeyRing.open(life_cycle, _NOW)
    token = await ring.sign(_CLAIMS, alg="ES256", typ=_TYP)

    async def open_anew(number: int) -> None:
        for _ in range(number):
            await KeyRing.open(life_cycle, _NOW)

    figures["a token known already"] = {
        "verify": await _cost(
            _repeat(lambda: ring.verify(token, typ=_TYP, algs=ALGORITHMS)), seconds
        )
    }
    rows = await store.signing_keys()
    figures[f"a ring of {len(rows)} keys"] = {"open": await _cost(open_anew, seconds)}


def _signing(key: Signer) -> Repeat:
    async def repeat(number: int) -> None:
        for _ in range(number):
            await key.sign(_PAYLOAD, typ=_TYP)

    return repeat


def _verifying(token: str, keys: dict[str, SigningKey]) -> Repeat:
    return _repeat(lambda: verify(token, keys=keys, typ=_TYP, algs=ALGORITHMS))


def _decrypting(key: DecryptionKey, token: str) -> Repeat:
    return _repeat(lambda: key.decrypt(token))


def _repeat(operation: Callable[[], object]) -> Repeat:
    async def repeat(number: int) -> None:
        for _ in range(number):
            operation()

    return repeat


async def _cost(repeat: Repeat, seconds: float) -> float:
    """Microseconds for one, as the median of batches: others may take the core meanwhile."""
    number = 1
    while (took := await _timed(repeat, number)) < _BATCH_SECONDS:
        number *= 2
    batches = max(3, int(seconds / took))
    taken = [await _timed(repeat, number) for _ in range(batches)]
    return round(statistics.median(taken) / number * 1_000_000, 2)


async def _timed(repeat: Repeat, number: int) -> float:
    began = time.perf_counter()
    await repeat(number)
    return time.perf_counter() - began


@contextlib.contextmanager
def _softhsm(directory: Path) -> Iterator[Hsm | None]:
    """SoftHSM with a token of its own, or nothing where it is not installed."""
    util = shutil.which("softhsm2-util")
    if util is None or not _SOFTHSM.exists():
        yield None
        return
    tokens, configuration = directory / "tokens", directory / "softhsm2.conf"
    tokens.mkdir()
    configuration.write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    init = [util, "--init-token", "--free", "--label", _HSM.token_label]
    subprocess.run([*init, "--pin", _HSM.pin, "--so-pin", "5678"], check=True, capture_output=True)  # noqa: S603 - the arguments are ours
    hsm = Hsm(_HSM)
    try:
        yield hsm
    finally:
        hsm.close()


if __name__ == "__main__":
    main()
