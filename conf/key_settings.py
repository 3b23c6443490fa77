"""Reading what the settings say about keys: what seals them, how they rotate, and the HSM."""

import re
from pathlib import Path
from typing import Final

from conf.decoding import Form, Table
from conf.model import DAY, SIGNING_ALGORITHMS, HsmSettings, KeyEncryptionKey, KeySettings

_KEY_ID: Final = Form(
    re.compile(r"[A-Za-z0-9_-]{1,32}"), "must be 1 to 32 letters, digits, hyphens or underscores"
)
_VARIABLE: Final = Form(
    re.compile(r"[A-Za-z_][A-Za-z0-9_]*"), "must be the name of an environment variable"
)


def read_key_encryption_keys(
    root: Table, directory: Path, *, development: bool
) -> tuple[KeyEncryptionKey, ...]:
    """Read `[[key_encryption_keys]]`, of which the first one seals."""
    if development and "key_encryption_keys" not in root:  # made at the first start
        return (KeyEncryptionKey("development", file=directory / "key-encryption-key"),)
    keys: dict[str, KeyEncryptionKey] = {}
    for table in root.tables("key_encryption_keys", "id", required=True):
        key = _key_encryption_key(table)
        if key.id and key.id in keys:
            table.fault("id", "must not be that of another one")
        keys[key.id] = key
    return tuple(keys.values())


def _key_encryption_key(table: Table) -> KeyEncryptionKey:
    # What a source holds is read when a key is needed, which is not so for every command.
    if [name in table for name in ("file", "env", "command")].count(True) != 1:
        table.fault("", "must have exactly one of file, env, command")
    command = table.texts("command", required=True) if "command" in table else ()
    if command and not (command[0].strip() and command[0].isprintable()):
        table.fault("command", "must begin with a program")
    return KeyEncryptionKey(
        id=table.text("id", form=_KEY_ID),
        file=table.path("file") if "file" in table else None,
        env=table.text("env", form=_VARIABLE) if "env" in table else None,
        command=command,
    )


def read_keys(table: Table) -> KeySettings:
    """Read `[keys]`."""
    standard = KeySettings()
    algorithms = table.texts("algorithms") or standard.algorithms
    for index, alg in enumerate(algorithms):
        if alg not in SIGNING_ALGORITHMS or alg in algorithms[:index]:
            names = ", ".join(SIGNING_ALGORITHMS)
            table.fault(f"algorithms[{index}]", f"must be one of {names}, each once")
    for alg, why in (("ES256", "access tokens"), ("RS256", "clients that name no algorithm")):
        if alg not in algorithms:
            table.fault("algorithms", f"must hold {alg}, for {why}")
    rotation = table.table("rotation_seconds")
    return KeySettings(
        algorithms=algorithms,
        rotation={
            alg: rotation.integer(alg, seconds, 0, 400 * DAY)
            for alg, seconds in standard.rotation.items()
        },
        jwks_max_age=table.integer("jwks_max_age_seconds", standard.jwks_max_age, 0, DAY),
        propagation=table.integer("propagation_seconds", standard.propagation, 1, 60),
    )


def read_hsm(table: Table) -> HsmSettings:
    """Read `[hsm]`."""
    module = table.readable_file("module")
    if module is None:
        table.fault("module", "is required")
    return HsmSettings(
        module=module or Path(),
        token_label=table.text("token_label"),
        pin=table.text_or_secret("pin"),
    )
