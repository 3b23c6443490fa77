"""`idp channels`: the channels and their clients."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from conf.channels_file import load_channels
from idp import channels
from idp.commands.operating import actor, settings_of
from idp.commands.terminal import Config, Directory, Json, examples, group, show

app = group(
    "The channels and their clients.",
    "idp channels apply channels.toml --config production.toml",
)


@app.callback()
def _channels() -> None:
    """Keeps `apply` a command of its own while it is the only one."""


@app.command(
    epilog=examples(
        "idp channels apply channels.toml --config production.toml",
        "idp channels apply channels.toml partners.toml --directory ./var --json",
    )
)
def apply(
    files: Annotated[list[Path], typer.Argument(help="Channels files (TOML).")],
    *,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Bring channels files into the store.

    What the files do not mention stays as it is.

    Works on the running server's store, or starts the store for this long if no server runs.
    """
    settings = settings_of(config, directory)
    entries = load_channels(files, secrets_directory=settings.directory / "secrets")
    change = channels.apply_with_store(settings, entries, by=actor())
    parts = ("added", change.added), ("changed", change.changed), ("removed", change.removed)
    lines = [f"{what}: {', '.join(names)}" for what, names in parts if names]
    lines.append(f"unchanged: {change.unchanged}")
    show(msgspec.to_builtins(change), "\n".join(lines), as_json=as_json)
