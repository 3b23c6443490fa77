"""The command line: what operators and developers start, and what it tells them when it cannot."""

import json
import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer

from conf import settings as configuration
from conf.channels_file import load_channels
from conf.settings import ConfigurationError, Settings
from idp import dev as development
from idp import serve as server
from keys.sealing import create_key_encryption_key
from storage.errors import StoreError, StoreStartError


def _examples(*commands: str) -> str:
    # \b keeps typer from filling the lines.
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])


app = typer.Typer(
    help="One login, one registration and one customer profile for every channel.",
    epilog=_examples("idp dev", "idp serve --config production.toml", "idp check --help"),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
channels_app = typer.Typer(
    help="The channels and their clients.",
    epilog=_examples("idp channels apply channels.toml --config production.toml"),
    no_args_is_help=True,
)
keys_app = typer.Typer(
    help="The keys of one installation.",
    epilog=_examples("idp keys create-encryption-key /etc/idp/key-encryption-key"),
    no_args_is_help=True,
)
app.add_typer(channels_app, name="channels")
app.add_typer(keys_app, name="keys")

_DIRECTORY = Path("var")

Config = Annotated[Path | None, typer.Option(help="The settings file (TOML).")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def main() -> NoReturn:
    """Run the command line on `sys.argv`, and exit.

    What an operator can put right is told in a sentence, with exit code 1.
    """
    try:
        app(prog_name="idp")
    except ConfigurationError as error:
        _complain(*error.faults)
    except (server.StartError, StoreStartError) as error:
        _complain(str(error))
    except StoreError as error:
        _complain(f"the store did not answer: {error}")
    sys.exit(1)


def _complain(*sentences: str) -> None:
    for sentence in sentences:
        typer.echo(f"idp: {sentence}", err=True)


@app.command(
    epilog=_examples(
        "idp serve --config /etc/idp/production.toml",
        "idp serve --config production.toml --workers 4 --host 0.0.0.0 --port 8443",
        "idp serve --config production.toml --tls-cert chain.pem --tls-key key.pem",
    )
)
def serve(
    *,
    config: Annotated[Path, typer.Option(help="The settings file (TOML).")],
    workers: Annotated[int | None, typer.Option(help="The number of worker processes.")] = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="A certificate chain (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The certificate's key (PEM).")] = None,
    ca_file: Annotated[
        Path | None, typer.Option(help="The authorities to trust in calls to others (PEM).")
    ] = None,
) -> None:
    """Run the provider and its store.

    Options replace what the file says. SIGTERM drains and stops, SIGHUP replaces the workers.
    """
    options = {
        "workers": workers,
        "listen.host": host,
        "listen.port": port,
        "listen.tls_cert": tls_cert,
        "listen.tls_key": tls_key,
        "ca_file": ca_file,
    }
    server.run(configuration.load(config, _overrides(options)))


@app.command(
    epilog=_examples(
        "idp dev",
        "idp dev --port 9000 --demo-port 9001 --directory /tmp/idp",
        "idp dev --no-demo",
    )
)
def dev(
    *,
    port: Annotated[int, typer.Option(help="The provider's port.")] = 8000,
    demo_port: Annotated[int, typer.Option(help="The demo shop's port.")] = 8001,
    metrics_port: Annotated[int, typer.Option(help="The port of the metrics.")] = 9464,
    directory: Annotated[Path, typer.Option(help="Where everything is kept.")] = _DIRECTORY,
    workers: Annotated[int, typer.Option(help="The number of worker processes.")] = 1,
    no_demo: Annotated[bool, typer.Option("--no-demo", help="Leave out the demo shop.")] = False,
) -> None:
    """Run everything on this machine.

    The provider has the group's channels, invented brands all, and a demo shop to sign in to.
    """
    settings = configuration.development(
        directory=directory.absolute(), port=port, workers=workers, metrics_port=metrics_port
    )
    development.dev(settings, None if no_demo else demo_port)


@app.command(
    epilog=_examples(
        "idp check --config production.toml",
        "idp check --config production.toml --channels channels.toml --channels partners.toml",
        "idp check --channels channels.toml --json",
    )
)
def check(
    *,
    config: Config = None,
    channels: Annotated[
        list[Path] | None, typer.Option(help="A channels file; may be given several times.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check settings and channels files.

    Prints all that is wrong with them; the exit code is 1 if anything is. The secrets that channels
    files name are looked for in the directory of --config, or else in ./var.
    """
    if config is None and not channels:
        raise typer.BadParameter("give --config, --channels or both")
    faults: list[str] = []
    settings = None
    if config is not None:
        try:
            settings = configuration.load(config)
            server.check_files(settings)
        except ConfigurationError as error:
            faults += error.faults
        except server.StartError as error:
            faults.append(str(error))
    if channels:
        faults += _channels_faults(channels, settings)
    _print(as_json, {"faults": faults}, "\n".join(faults) or "nothing is wrong")
    raise typer.Exit(1 if faults else 0)


@app.command(epilog=_examples("idp version", "idp version --json"))
def version(*, as_json: Json = False) -> None:
    """Print the version of this program."""
    try:
        installed = metadata.version("idp")
    except metadata.PackageNotFoundError:
        installed = "not installed"
    versions = {"idp": installed, "python": platform.python_version()}
    _print(as_json, versions, f"idp {installed}")


@channels_app.callback()
def _channels() -> None:
    """Keeps `apply` a command of its own while it is the only one."""


@channels_app.command(
    epilog=_examples(
        "idp channels apply channels.toml --config production.toml",
        "idp channels apply channels.toml partners.toml --directory ./var --json",
    )
)
def apply(
    files: Annotated[list[Path], typer.Argument(help="Channels files (TOML).")],
    *,
    config: Config = None,
    directory: Annotated[
        Path | None, typer.Option(help="The directory of an `idp dev`, instead of --config.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring channels files into the store.

    What the files do not mention stays as it is.

    Works on the running server's store, or starts the store for this long if no server runs.
    """
    from idp import channels  # noqa: PLC0415  the protocol, which no other command needs

    if (config is None) == (directory is None):
        raise typer.BadParameter("give either --config or --directory")
    if config is not None:
        settings = configuration.load(config)
    else:
        settings = configuration.development(directory=(directory or _DIRECTORY).absolute())
    entries = load_channels(files, secrets_directory=settings.directory / "secrets")
    change = channels.apply_with_store(settings, entries, by="idp channels apply")
    parts = ("added", change.added), ("changed", change.changed), ("removed", change.removed)
    lines = [f"{what}: {', '.join(names)}" for what, names in parts if names]
    lines.append(f"unchanged: {change.unchanged}")
    _print(as_json, msgspec.to_builtins(change), "\n".join(lines))


@keys_app.callback()
def _keys() -> None:
    """Keeps the command below a command of its own while it is the only one."""


@keys_app.command(epilog=_examples("idp keys create-encryption-key /etc/idp/key-encryption-key"))
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
        raise server.StartError(f"{file} cannot be made: {error.strerror}") from None


def _channels_faults(files: list[Path], settings: Settings | None) -> tuple[str, ...]:
    from idp import channels  # noqa: PLC0415  as in `apply`

    directory = _DIRECTORY.absolute() if settings is None else settings.directory
    try:
        entries = load_channels(files, secrets_directory=directory / "secrets")
    except ConfigurationError as error:
        return error.faults
    in_development = settings is not None and settings.development
    return channels.faults(entries, development=in_development)


def _overrides(options: Mapping[str, object]) -> dict[str, object]:
    # A path in the settings begins at their file; one on the command line begins here.
    return {
        key: str(value.absolute()) if isinstance(value, Path) else value
        for key, value in options.items()
        if value is not None
    }


def _print(as_json: bool, value: object, text: str) -> None:  # noqa: FBT001  the command's own flag
    typer.echo(json.dumps(value, ensure_ascii=False) if as_json else text)
