"""Sealing at rest: what the store keeps of a private key or a server secret.

A sealed value is `<id of the key-encryption key>.<base64url of nonce and ciphertext>`. The id is
the first 8 hex digits of the SHA-256 of the key, so that a wrong key is named and not guessed at.
"""

import os
import re
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys.errors import SealError
from keys.hashing import b64url, b64url_decode, sha256

KEY_BYTES = 32
_NONCE_BYTES = 12
_KEY_ID = re.compile("[0-9a-f]{8}")
# 32 bytes in base64url and a line end; anything longer is another file.
_MOST_FILE_BYTES = 64


class Sealer:
    """Seals small secrets with AES-256-GCM under one key-encryption key.

    The label says what a value is (a key's id and algorithm, a secret's name and version). It is
    authenticated, so a sealed value that was moved to another row does not open there.
    """

    __slots__ = ("_aead", "key_id")

    def __init__(self, key: bytes) -> None:
        """`key` is exactly 32 bytes; raises `SealError` otherwise."""
        if len(key) != KEY_BYTES:
            raise SealError(f"a key-encryption key has {KEY_BYTES} bytes, this one {len(key)}")
        self._aead = AESGCM(key)
        self.key_id = sha256(key).hex()[:8]

    def __repr__(self) -> str:
        return f"Sealer(key_id={self.key_id!r})"

    def seal(self, plaintext: bytes, *, label: str) -> str:
        """Return `plaintext` sealed under `label`; two calls never give the same text."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        ciphertext = self._aead.encrypt(nonce, plaintext, label.encode())
        return f"{self.key_id}.{b64url(nonce + ciphertext)}"

    def open(self, sealed: str, *, label: str) -> bytes:
        """Return what was sealed under `label`.

        Raises `SealError` for another key-encryption key, another label or a changed value.
        """
        key_id, _, body = sealed.partition(".")
        if not _KEY_ID.fullmatch(key_id):
            # Not quoted: it may be a secret that somebody stored in the clear.
            raise SealError(f"{label} is not a sealed value")
        if key_id != self.key_id:
            raise SealError(
                f"{label} is sealed with the key-encryption key {key_id!r}, "
                f"but the configured one is {self.key_id!r}"
            )
        try:
            data = b64url_decode(body)
            return self._aead.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], label.encode())
        except (ValueError, InvalidTag):
            raise SealError(
                f"{label} cannot be opened: it was changed, or sealed as something else"
            ) from None


def load_key_encryption_key(path: Path) -> bytes:
    """Read the 32 bytes of the key-encryption key from a file that holds them as base64url.

    Raises `SealError` if the file is absent, open to others than its owner, or of another form.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_MOST_FILE_BYTES + 1)
    except OSError as error:
        raise SealError(f"the key-encryption key {path} cannot be read: {error.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SealError(
            f"the key-encryption key {path} is open to other users "
            f"(mode {stat.S_IMODE(mode):04o}): make it 0600"
        )
    try:
        key = b64url_decode(content.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise SealError(
            f"the key-encryption key {path} must hold {KEY_BYTES} bytes "
            "as base64url without padding"
        )
    return key


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
