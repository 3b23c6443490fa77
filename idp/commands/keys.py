"""`idp keys`: the keys of one installation."""

from pathlib import Path
from typing import Annotated

import typer

from idp.commands.terminal import CommandError, examples, group
from keys.sealing import create_key_encryption_key

app = group(
    "The keys of one installation.", "idp keys create-encryption-key /etc/idp/key-encryption-key"
)


@app.callback()
def _keys() -> None:
    """Keeps the command below a command of its own while it is the only one."""


@app.command(epilog=examples("idp keys create-encryption-key /etc/idp/key-encryption-key"))
def create_encryption_key(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")],
) -> None:
    """Make a key-encryption key.

    It seals the keys and secrets in the store. An installation needs one before
    its first start, and can never again do without it.
    """
    try:
        create_key_encryption_key(file)
    except OSError as error:
        raise CommandError(f"{file} cannot be made: {error.strerror}") from None
