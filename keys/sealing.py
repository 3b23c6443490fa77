"""Sealing at rest: what the store keeps of a private key or a server secret.

A sealed value is `<id of the key-encryption key>.<base64url of check, nonce and ciphertext>`. The
check is the beginning of the SHA-256 of the key-encryption key: it tells the wrong key under the
right id from a value that was changed.
"""

import hmac
import os
import re
import secrets
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from conf.model import KeyEncryptionKey
from keys.errors import SealError
from keys.hashing import b64url, b64url_decode, sha256
from keys.key_command import output_of

KEY_BYTES = 32
_CHECK_BYTES = 4
_NONCE_BYTES = 12
_SEALED = re.compile(r"([A-Za-z0-9_-]{1,32})\.([A-Za-z0-9_-]+)")
# 32 bytes in base64url and a line end; anything longer is another file.
_MOST_SOURCE_BYTES = 64


class Sealer:
    """Seals small secrets with AES-256-GCM: the first key-encryption key seals, all open.

    The label says what a value is (a key's id and algorithm, a secret's name and version). It is
    authenticated with the id of the key-encryption key, so a sealed value that was moved to another
    row does not open there.
    """

    __slots__ = ("_aeads", "_checks", "key_id")

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """`keys` holds 32 bytes by id, at least one and no two alike; else raises `SealError`."""
        if not keys:
            raise SealError("there is no key-encryption key")
        ids: dict[bytes, str] = {}
        for key_id, key in keys.items():
            if len(key) != KEY_BYTES:
                raise SealError(
                    f"the key-encryption key {key_id!r} must have {KEY_BYTES} bytes, not {len(key)}"
                )
            if key in ids:
                raise SealError(
                    f"the key-encryption keys {ids[key]!r} and {key_id!r} are the same key"
                )
            ids[key] = key_id
        self.key_id = next(iter(keys))
        self._aeads = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._checks = {key_id: sha256(key)[:_CHECK_BYTES] for key_id, key in keys.items()}

    def __repr__(self) -> str:
        return f"Sealer(key_ids={list(self._aeads)!r})"

    def seal(self, plaintext: bytes, *, label: str) -> str:
        """Return `plaintext` sealed under `label`; two calls never give the same text."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        aead, check = self._aeads[self.key_id], self._checks[self.key_id]
        ciphertext = aead.encrypt(nonce, plaintext, _associated_data(self.key_id, label))
        return f"{self.key_id}.{b64url(check + nonce + ciphertext)}"

    def open(self, sealed: str, *, label: str) -> bytes:
        """Return what was sealed under `label`.

        Raises `SealError` for a key-encryption key that is absent or another one under its id, for
        another label and for a changed value.
        """
        key_id, body = _parts(sealed, label)
        aead = self._aeads.get(key_id)
        if aead is None:
            raise SealError(
                f"{label} is sealed under the key-encryption key {key_id!r}, "
                "which the settings do not name"
            )
        try:
            data = b64url_decode(body)
        except ValueError:
            data = b""
        check, nonce = data[:_CHECK_BYTES], data[_CHECK_BYTES : _CHECK_BYTES + _NONCE_BYTES]
        if len(check) == _CHECK_BYTES and not hmac.compare_digest(check, self._checks[key_id]):
            raise SealError(
                f"{label} is sealed under another key than the one that is now called {key_id!r}"
            )
        try:
            ciphertext = data[_CHECK_BYTES + _NONCE_BYTES :]
            return aead.decrypt(nonce, ciphertext, _associated_data(key_id, label))
        except (ValueError, InvalidTag):
            raise SealError(
                f"{label} cannot be opened: it was changed, or sealed as something else"
            ) from None

    def reseal(self, sealed: str, *, label: str) -> str | None:
        """Return the same secret under the key that seals; None if it is the one already.

        Raises as `open` does.
        """
        if _parts(sealed, label)[0] == self.key_id:
            return None
        return self.seal(self.open(sealed, label=label), label=label)


def key_id_of(sealed: str) -> str:
    """Return the id of the key-encryption key of a sealed value, or raise `SealError`."""
    return _parts(sealed, "this")[0]


def load_sealer(keys: Sequence[KeyEncryptionKey]) -> Sealer:
    """Return a sealer with these keys. Blocks for as long as their commands take.

    Raises `SealError` with the faults of all of them.
    """
    loaded: dict[str, bytes] = {}
    faults: list[str] = []
    for key in keys:
        try:
            loaded[key.id] = load_key_encryption_key(key)
        except SealError as error:
            faults += error.faults
    if faults:
        raise SealError(*faults)
    return Sealer(loaded)


def load_key_encryption_key(key: KeyEncryptionKey) -> bytes:
    """Return the 32 bytes of a key-encryption key, which its source holds as base64url.

    Raises `SealError`, which begins with the source's place in the settings, if the source is
    absent, of another form, or a file that is open to others than its owner.
    """
    name = "file" if key.file else "env" if key.env else "command"
    try:
        if key.file:
            return _decoded(_content(key.file), str(key.file))
        if key.env:
            return _decoded(_value(key.env), f"the environment variable {key.env}")
        output = output_of(key.command, most_bytes=_MOST_SOURCE_BYTES)
        return _decoded(output, f"the output of {key.command[0]}")
    except SealError as error:
        raise SealError(f"key_encryption_keys[{key.id}].{name}: {error}") from None


def create_key_encryption_key(path: Path) -> None:
    """Write a new random key-encryption key to `path`, readable by its owner alone.

    Raises `FileExistsError` rather than overwrite: all that the old key sealed would be lost.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(b64url(secrets.token_bytes(KEY_BYTES)).encode("ascii") + b"\n")
        file.flush()
        # The store keeps what is sealed from now on: the key must survive what the store survives.
        os.fsync(file.fileno())
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _parts(sealed: str, label: str) -> tuple[str, str]:
    match = _SEALED.fullmatch(sealed)
    if match is None:
        # Not quoted: it may be a secret that somebody stored in the clear.
        raise SealError(f"{label} is not a sealed value")
    return match[1], match[2]


def _associated_data(key_id: str, label: str) -> bytes:
    return f"{key_id}|{label}".encode()


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_MOST_SOURCE_BYTES + 1)
    except OSError as error:
        raise SealError(f"{path} cannot be read: {error.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SealError(
            f"{path} is open to other users (mode {stat.S_IMODE(mode):04o}): make it 0600"
        )
    return content


def _value(variable: str) -> bytes:
    value = os.environb.get(variable.encode())
    if value is None:
        raise SealError(f"the environment variable {variable} is not set")
    return value


def _decoded(content: bytes, source: str) -> bytes:
    try:
        key = b64url_decode(content.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise SealError(f"{source} must hold {KEY_BYTES} bytes as base64url without padding")
    return key
