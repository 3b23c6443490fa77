"""A directory of backups: checkpoints, write-ahead logs, and a manifest that says what they hold.

Every file in it is complete and never changes again. The manifest is written anew after each file,
logs before the checkpoint that follows them, so that it tells the truth whenever one stops.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Self

import msgspec

FORMAT = 1
Progress = Callable[[str, int, int], None]
"""Is told what is done, and how many bytes of how many are."""

_MANIFEST = "manifest.json"
_CHUNK = 1024 * 1024


class ArchiveDirectoryError(Exception):
    """A directory of backups is of no use; the message is one sentence for an operator."""


class File(msgspec.Struct, frozen=True):
    """One file.

    `at`, in Unix seconds and parts of one: the first row of a log was written then; a checkpoint
    holds nothing that was written later.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{20}\.(snap|xlog)$")]
    bytes: int
    sha256: str
    at: float

    @property
    def is_checkpoint(self) -> bool:
        """Whether it is a checkpoint; all others are logs."""
        return self.name.endswith(".snap")

    @property
    def signature(self) -> int:
        """How many rows had been logged before it began."""
        return int(self.name.partition(".")[0])


class Manifest(msgspec.Struct, frozen=True):
    """What an archive holds, and until when.

    `history` is the store's own name, and another one after a restore: what it writes then follows
    from something else than what was backed up before.
    """

    format: int
    history: str
    tarantool: str
    schema_version: int
    complete_until: float | None
    files: tuple[File, ...]

    @property
    def checkpoints(self) -> list[File]:
        """The oldest first."""
        return sorted((it for it in self.files if it.is_checkpoint), key=lambda it: it.signature)

    @property
    def logs(self) -> list[File]:
        """The oldest first."""
        logs = (it for it in self.files if not it.is_checkpoint)
        return sorted(logs, key=lambda it: it.signature)


class Archive:
    """The directory. All methods raise ArchiveDirectoryError."""

    def __init__(self, directory: Path, manifest: Manifest | None) -> None:
        self.directory = directory
        self.manifest = manifest

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open a directory; if there is none, or an empty one, its manifest is None."""
        path = directory / _MANIFEST
        try:
            if not path.exists():
                if directory.exists() and any(_not_ours(directory)):
                    raise ArchiveDirectoryError(
                        f"{directory} holds other files, and no backup: give an empty directory"
                    )
                return cls(directory, None)
            manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
        except msgspec.DecodeError as error:
            raise ArchiveDirectoryError(f"{path} is not a manifest: {error}") from None
        except OSError as error:
            raise _unusable(directory, error) from None
        if manifest.format != FORMAT:
            raise ArchiveDirectoryError(
                f"{path} has format {manifest.format}, this version reads {FORMAT}"
            )
        return cls(directory, manifest)

    def write(self, manifest: Manifest) -> None:
        """Replace the manifest."""
        draft = self.directory / f"{_MANIFEST}.part"
        encoded = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(draft, "wb", opener=_private) as file:
                file.write(encoded + b"\n")
                file.flush()
                os.fsync(file.fileno())
            draft.rename(self.directory / _MANIFEST)
            _sync_directory(self.directory)
        except OSError as error:
            raise _unusable(self.directory, error) from None
        self.manifest = manifest

    def take(self, source: Path, told: Callable[[int], None]) -> tuple[int, str]:
        """Copy a file into the archive; return its length and SHA-256."""
        try:
            return copy(source, self.directory / source.name, told)
        except OSError as error:
            raise _unusable(self.directory, error) from None

    def give(self, file: File, place: Path, told: Callable[[int], None]) -> None:
        """Copy a file out of the archive, and see that it is what was taken."""
        try:
            found = copy(self.directory / file.name, place / file.name, told)
        except OSError as error:
            raise _unusable(self.directory, error) from None
        if found != (file.bytes, file.sha256):
            (place / file.name).unlink()
            raise ArchiveDirectoryError(
                f"{self.directory / file.name} is not the file that was backed up: it was changed"
            )


def copy(source: Path, target: Path, told: Callable[[int], None]) -> tuple[int, str]:
    """Copy a file whole or not at all, with mode 0600; return its length and SHA-256."""
    draft = target.with_name(f"{target.name}.part")
    digest, length = hashlib.sha256(), 0
    with source.open("rb") as original, open(draft, "wb", opener=_private) as file:
        while chunk := original.read(_CHUNK):
            file.write(chunk)
            digest.update(chunk)
            length += len(chunk)
            told(len(chunk))
        file.flush()
        os.fsync(file.fileno())
    draft.rename(target)
    _sync_directory(target.parent)
    return length, digest.hexdigest()


def _not_ours(directory: Path) -> list[Path]:
    ours = {".part", ".snap", ".xlog"}
    return [path for path in directory.iterdir() if path.suffix not in ours]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync_directory(directory: Path) -> None:
    opened = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _unusable(directory: Path, error: OSError) -> ArchiveDirectoryError:
    return ArchiveDirectoryError(f"{error.filename or directory}: {error.strerror}")
