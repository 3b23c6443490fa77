"""What commands ask for and print: their common options, confirmation, tables, times."""

import datetime as dt
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

Config = Annotated[Path | None, typer.Option(help="The settings file (TOML).")]
Directory = Annotated[
    Path | None, typer.Option(help="The directory of an `idp dev`, instead of --config.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Reason = Annotated[str, typer.Option(help="Why; kept in the audit trail.")]


def _needed(reason: str) -> str:
    if not reason.strip():
        raise typer.BadParameter("must not be empty")
    return reason


NeededReason = Annotated[str, typer.Option(help="Why; kept in the audit trail.", callback=_needed)]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]

# For a command whose argument is an identifier: one in 64 of ours begins with a hyphen.
TAKES_ID: Final = {"ignore_unknown_options": True}


class CommandError(Exception):
    """A command could not do what was asked; the message is one sentence for an operator."""


def examples(*commands: str) -> str:
    """The examples at the end of a command's help."""
    # \b keeps typer from filling the lines.
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])


def group(summary: str, *commands: str) -> typer.Typer:
    """A group of commands, with examples."""
    return typer.Typer(
        help=summary,
        epilog=examples(*commands),
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
    )


def confirm(warning: str, word: str, *, yes: bool) -> None:
    """Let the operator type `word` for what cannot be undone. Raises CommandError if they do not.

    `yes` stands for that in scripts, which have no one to ask.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{warning} Repeat the command with --yes if that is meant.")
    typer.echo(warning, err=True)
    if typer.prompt(f"Type {word} to go on", default="", show_default=False, err=True) != word:
        raise CommandError("not confirmed; nothing was changed")


def must_have_reason(reason: str, option: str) -> None:
    """Raise BadParameter unless there is a reason for what an option or command does."""
    if not reason.strip():
        raise typer.BadParameter(f"{option} needs a --reason")


def show(value: object, text: str, *, as_json: bool) -> None:
    """Print an answer: for a script as JSON, or for a person."""
    typer.echo(json.dumps(value, ensure_ascii=False) if as_json else text)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns that line up, under a header."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    )


def moment(at: int | None) -> str:
    """A time as people and scripts read it: ISO 8601 in UTC; a dash for none."""
    if at is None:
        return "-"
    try:
        return f"{dt.datetime.fromtimestamp(at, dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return f"{at} s"  # no calendar goes that far


def span(seconds: int) -> str:
    """A length of time in its two largest units: `23 h 12 min`."""
    parts = []
    for name, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, length)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "0 s"
