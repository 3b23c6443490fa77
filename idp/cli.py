"""The command line: what operators and developers start, and what it tells them when it cannot."""

import platform
import sys
from collections.abc import Mapping
from importlib import import_module, metadata
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from conf import settings as configuration
from conf.channels_file import load_channels
from conf.settings import ConfigurationError, Settings
from idp import dev as development
from idp import serve as server
from idp.commands.terminal import CommandError, Config, Json, examples, show
from keys.errors import KeysError
from storage.errors import NodeError, StoreError, StoreStartError

_GROUPS = (
    "audit",
    "channels",
    "clients",
    "customers",
    "keys",
    "otp",
    "registration",
    "secrets",
    "sessions",
    "store",
    "tokens",
)


class _Groups(TyperGroup):
    """Imports a group of commands when it is asked for: the server starts without them."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *_GROUPS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _GROUPS:
            return super().get_command(ctx, cmd_name)
        return typer.main.get_command(import_module(f"idp.commands.{cmd_name}").app)


app = typer.Typer(
    cls=_Groups,
    help="One login, one registration and one customer profile for every channel.",
    epilog=examples("idp dev", "idp serve --config production.toml", "idp check --help"),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
_DIRECTORY = Path("var")


def main() -> NoReturn:
    """Run the command line on `sys.argv`, and exit.

    What an operator can put right is told in a sentence, with exit code 1.
    """
    try:
        app(prog_name="idp")
    except ConfigurationError as error:
        _complain(*error.faults)
    except (CommandError, server.StartError, StoreStartError, NodeError) as error:
        _complain(str(error))
    except KeysError as error:
        _complain(str(error))
    except StoreError as error:
        _complain(f"the store did not answer: {error}")
    sys.exit(1)


def _complain(*sentences: str) -> None:
    for sentence in sentences:
        typer.echo(f"idp: {sentence}", err=True)


@app.command(
    epilog=examples(
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
        Path | None, typer.Option(help="More authorities to trust in calls to others (PEM).")
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
    epilog=examples(
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
    epilog=examples(
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

    Prints all that is wrong with them; the exit code is 1 if anything is. What may be meant, but
    costs, is a warning and changes no exit code. The secrets that channels files name are looked
    for in the directory of --config, or else in ./var.
    """
    if config is None and not channels:
        raise typer.BadParameter("give --config, --channels or both")
    faults: list[str] = []
    warnings: list[str] = []
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
        found, warnings = _judged(channels, settings)
        faults += found
    for warning in warnings:
        typer.echo(f"idp: warning: {warning}", err=True)
    told = "\n".join(faults) or "nothing is wrong"
    show({"faults": faults, "warnings": warnings}, told, as_json=as_json)
    raise typer.Exit(1 if faults else 0)


@app.command(epilog=examples("idp version", "idp version --json"))
def version(*, as_json: Json = False) -> None:
    """Print the version of this program."""
    try:
        installed = metadata.version("idp")
    except metadata.PackageNotFoundError:
        installed = "not installed"
    versions = {"idp": installed, "python": platform.python_version()}
    show(versions, f"idp {installed}", as_json=as_json)


def _judged(files: list[Path], settings: Settings | None) -> tuple[list[str], list[str]]:
    """The faults of channels files, and the warnings."""
    from idp import channels  # noqa: PLC0415  the protocol, which no other command here needs

    directory = _DIRECTORY.absolute() if settings is None else settings.directory
    try:
        entries = load_channels(files, secrets_directory=directory / "secrets")
    except ConfigurationError as error:
        return list(error.faults), []
    faults, warnings = channels.faults(entries, settings), channels.warnings(entries, settings)
    return list(faults), list(warnings)


def _overrides(options: Mapping[str, object]) -> dict[str, object]:
    # A path in the settings begins at their file; one on the command line begins here.
    return {
        key: str(value.absolute()) if isinstance(value, Path) else value
        for key, value in options.items()
        if value is not None
    }
