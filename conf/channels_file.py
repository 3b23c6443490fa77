"""Reading channels files: the group's digital products, each with its brand and its clients.

What a client says of itself (its RFC 7591 metadata) is passed on as it stands in the file.
"""

import math
import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from conf import channel_tables as tables
from conf.channels import PLATFORMS, ChannelEntry, ClientEntry, Platform, Secret
from conf.decoding import ConfigurationError, Form, Source, Table, read_toml

GROUP_CHANNELS: Final = Path(__file__).parent / "channels.toml"
DEMO_CHANNELS: Final = Path(__file__).parent / "demo.toml"

_CHANNEL_ID: Final = Form(
    re.compile(r"[a-z][a-z0-9-]{0,39}"),
    "must be lower-case letters, digits and hyphens, at most 40, beginning with a letter",
)
_CLIENT_ID: Final = Form(
    re.compile(r"[A-Za-z0-9._~-]{1,100}"),
    "must be letters, digits and . _ ~ -, at most 100",  # so no encoding ever changes it
)
_FILE_NAME: Final = Form(
    re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*"), "must be a file name, without a directory"
)
_PLATFORM: Final = Form(re.compile("|".join(PLATFORMS)), f"must be {', '.join(PLATFORMS)}")
_ARGON2ID: Final = Form(
    re.compile(r"\$argon2id\$v=19\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{16,}"),
    "must be an argon2id hash: $argon2id$v=19$m=...,t=...,p=...$salt$hash",
)

# The file in which each channel's `id` and each `client_id` was first met.
_Seen = dict[tuple[str, str], Path]


def load_channels(
    paths: Sequence[Path],
    *,
    secrets_directory: Path | None,
    environ: Mapping[str, str] = os.environ,
) -> tuple[ChannelEntry, ...]:
    """Return the channels of all the files at `paths`, in order, with every secret resolved.

    `secret = {file="x"}` is looked for in `secrets_directory`, and is a fault without one.
    Raises ConfigurationError with the faults of all the files, each as `file: key: what`.
    """
    channels: list[ChannelEntry] = []
    faults: list[str] = []
    seen: _Seen = {}
    for path in paths:
        try:
            values = read_toml(path)
        except ConfigurationError as error:
            faults.extend(error.faults)
            continue
        source = Source(path.absolute().parent, environ)
        root = Table(values, source)
        listed = root.tables("channels", label="id")
        channels.extend(_channel(table, secrets_directory, seen, path) for table in listed)
        root.close()
        faults.extend(f"{path}: {fault}" for fault in source.faults)
    if faults:
        raise ConfigurationError(*faults)
    return tuple(channels)


def ensure_secret_files(paths: Sequence[Path], directory: Path) -> tuple[Path, ...]:
    """Make the missing `{file=...}` secrets of the channels files, and return their paths.

    For development: each new file in `directory` holds 43 random URL-safe characters and is
    readable by its owner alone. Raises ConfigurationError if a channels file is not readable TOML,
    OSError if the directory cannot be written. What else is wrong, `load_channels` reports.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    made: list[Path] = []
    for name in sorted({name for path in paths for name in _secret_files(read_toml(path))}):
        path = directory / name
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32))
        made.append(path)
    return tuple(made)


def _secret_files(values: object) -> Iterator[str]:
    """Every sound file name that a `secret` anywhere in `values` refers to."""
    if isinstance(values, list):
        for item in values:
            yield from _secret_files(item)
    elif isinstance(values, dict):
        for name, value in values.items():
            if name == "secret" and isinstance(value, dict):
                file = value.get("file")
                if isinstance(file, str) and _FILE_NAME.pattern.fullmatch(file):
                    yield file
            else:
                yield from _secret_files(value)


def _channel(table: Table, secrets_directory: Path | None, seen: _Seen, path: Path) -> ChannelEntry:
    channel_id = table.text("id", form=_CHANNEL_ID)
    _only_once(table, "id", channel_id, seen, path)
    clients = []
    for client in table.tables("clients", label="client_id"):
        entry = _client(client, secrets_directory)
        _only_once(client, "client_id", entry.client_id, seen, path)
        clients.append(entry)
    if "clients" not in table:
        table.fault("clients", "is required: a channel has at least one client")
    locale, locales = tables.read_locales(table)
    return ChannelEntry(
        channel_id=channel_id,
        name=table.text("name"),
        brand=tables.read_brand(table.table("brand"), locales),
        locale=locale,
        locales=locales,
        clients=tuple(clients),
        support=tables.optional(table, "support", tables.read_support),
        messages=tables.read_messages(table.table("messages"), locales),
        lifetimes=tables.read_lifetimes(table.table("lifetimes")),
        scopes=tables.read_scopes(table),
        claims=tables.read_claims(table),
        android=tables.optional(table, "android", tables.read_android),
        ios=tables.optional(table, "ios", tables.read_ios),
    )


def _only_once(table: Table, name: str, value: str, seen: _Seen, path: Path) -> None:
    if value and (name, value) in seen:
        table.fault(name, f"is taken already, in {seen[name, value]}")
    seen[name, value] = path


def _client(table: Table, secrets_directory: Path | None) -> ClientEntry:
    client_id = table.text("client_id", form=_CLIENT_ID)
    platform = table.text("platform", form=_PLATFORM) if "platform" in table else ""
    # `previous_secret` stays good beside `secret` for as long as it stands in the file.
    found = (_secret(table, name, secrets_directory) for name in ("secret", "previous_secret"))
    known = tuple(secret for secret in found if secret is not None)
    if "previous_secret" in table and "secret" not in table:
        table.fault("previous_secret", "stands beside a secret, never alone")
    metadata = table.rest()
    for name, value in metadata.items():
        if not _is_json(value):
            table.fault(name, "must be a value that JSON has too")
    return ClientEntry(client_id, metadata, known, _platform(platform))


def _platform(text: str) -> Platform | None:
    return next((platform for platform in PLATFORMS if platform == text), None)


def _secret(table: Table, name: str, directory: Path | None) -> Secret | None:
    if name not in table:
        return None
    if not table.is_table(name):
        table.text(name)
        table.fault(name, "must be {env=...}, {file=...} or {argon2id=...}, never in clear")
        return None
    reference = table.table(name)
    if "argon2id" in reference:
        return Secret(argon2id=reference.text("argon2id", form=_ARGON2ID))
    if "file" in reference:
        if directory is None:
            reference.rest()
            reference.fault("file", "has no secrets directory to be looked for in")
            return None
        if not reference.text("file", form=_FILE_NAME):
            return None
    return Secret(clear=reference.secret(directory))


def _is_json(value: object) -> bool:
    """Whether JSON has this value too; it lacks TOML's dates, times, infinities and nan."""
    if isinstance(value, dict):
        return all(map(_is_json, value.values()))
    if isinstance(value, list):
        return all(map(_is_json, value))
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
