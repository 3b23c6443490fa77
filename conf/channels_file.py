"""Reading channels files: the group's digital products, each with its brand and its clients.

What a client says of itself (its RFC 7591 metadata) is passed on as it stands in the file.
"""

import math
import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from conf.decoding import ConfigurationError, Form, Source, Table, read_toml
from conf.svg import svg_faults

Locale = Literal["ru", "en"]

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
_LOCALE: Final = Form(re.compile("ru|en"), "must be ru or en")
_COLOR: Final = Form(re.compile("#[0-9a-f]{6}"), "must be a colour such as #1a7f37, in lower case")
_FILE_NAME: Final = Form(
    re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*"), "must be a file name, without a directory"
)
_ARGON2ID: Final = Form(
    re.compile(r"\$argon2id\$v=19\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{16,}"),
    "must be an argon2id hash: $argon2id$v=19$m=...,t=...,p=...$salt$hash",
)

# The file in which each channel's `id` and each `client_id` was first met.
_Seen = dict[tuple[str, str], Path]


@dataclass(frozen=True, slots=True)
class Brand:
    """How a channel looks on the sign-in page."""

    name: Mapping[Locale, str]  # in every locale
    color: str  # "#rrggbb"
    logo: str  # SVG text that neither loads nor runs anything
    terms_uri: str
    privacy_uri: str


@dataclass(frozen=True, slots=True)
class ClientEntry:
    """One client of a channel; at most one of the two kinds of secret is there."""

    client_id: str
    metadata: Mapping[str, object]  # RFC 7591 names, not judged here
    secret: str | None = field(repr=False)  # in clear
    secret_argon2id: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class ChannelEntry:
    """One digital product. `name` is what operators call it; customers see the brand's."""

    channel_id: str
    name: str
    brand: Brand
    locale: Locale
    clients: tuple[ClientEntry, ...]


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
        tables = root.tables("channels", label="id")
        channels.extend(_channel(table, secrets_directory, seen, path) for table in tables)
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
    return ChannelEntry(
        channel_id=channel_id,
        name=table.text("name"),
        brand=_brand(table.table("brand")),
        locale="en" if table.text("locale", form=_LOCALE) == "en" else "ru",
        clients=tuple(clients),
    )


def _only_once(table: Table, name: str, value: str, seen: _Seen, path: Path) -> None:
    if value and (name, value) in seen:
        table.fault(name, f"is taken already, in {seen[name, value]}")
    seen[name, value] = path


def _brand(table: Table) -> Brand:
    name = table.table("name")
    return Brand(
        name={"ru": name.text("ru"), "en": name.text("en")},
        color=table.text("color", form=_COLOR),
        logo=_logo(table),
        terms_uri=table.url("terms_uri"),
        privacy_uri=table.url("privacy_uri"),
    )


def _logo(table: Table) -> str:
    if not table.text("logo"):
        return ""
    svg = table.file_text("logo", table.path("logo"))
    for what in svg_faults(svg) if svg else ():
        table.fault("logo", what)
    return svg


def _client(table: Table, secrets_directory: Path | None) -> ClientEntry:
    client_id = table.text("client_id", form=_CLIENT_ID)
    secret = secret_argon2id = None
    if table.is_table("secret"):
        reference = table.table("secret")
        if "argon2id" in reference:
            secret_argon2id = reference.text("argon2id", form=_ARGON2ID)
        else:
            secret = _secret(reference, secrets_directory)
    elif "secret" in table:
        table.fault("secret", "must be {env=...}, {file=...} or {argon2id=...}, never in clear")
    metadata = table.rest()
    for name, value in metadata.items():
        if not _is_json(value):
            table.fault(name, "must be a value that JSON has too")
    return ClientEntry(client_id, metadata, secret, secret_argon2id)


def _secret(reference: Table, directory: Path | None) -> str | None:
    if "file" in reference:
        if directory is None:
            reference.rest()
            reference.fault("file", "has no secrets directory to be looked for in")
            return None
        if not reference.text("file", form=_FILE_NAME):
            return None
    return reference.secret(directory)


def _is_json(value: object) -> bool:
    """Whether JSON has this value too; it lacks TOML's dates, times, infinities and nan."""
    if isinstance(value, dict):
        return all(map(_is_json, value.values()))
    if isinstance(value, list):
        return all(map(_is_json, value))
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
