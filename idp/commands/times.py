"""Times as operators write them."""

import datetime as dt
import re
from typing import Final

import typer

TIME: Final = "TIME"
"""What help calls such a value."""

_AGE = re.compile(r"(?P<count>[0-9]{1,9})(?P<unit>[smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def time_of(option: str, text: str, now: int) -> int:
    """The Unix seconds of a date or time (ISO 8601, UTC unless it says otherwise), or of `2h` ago.

    An age is a number of seconds (`s`), minutes (`m`), hours (`h`) or days (`d`). Raises
    BadParameter.
    """
    age = _seconds(text)
    if age is not None:
        return now - age
    moment = _moment(text)
    if moment is None:
        raise typer.BadParameter(
            f"{option} {text}: must be a time such as 2026-11-22, 2026-11-22T10:30Z or 2h (ago)"
        )
    return moment


def moment_of(option: str, text: str) -> int:
    """The Unix seconds of a date or time that is to come. Raises BadParameter."""
    moment = _moment(text)
    if moment is None:
        raise typer.BadParameter(
            f"{option} {text}: must be a time such as 2027-01-01 or 2027-01-01T03:00Z"
        )
    return moment


def _moment(text: str) -> int | None:
    try:
        moment = dt.datetime.fromisoformat(text)
        seconds = int((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp())
    except (ValueError, OverflowError):
        return None
    return seconds if seconds >= 0 else None


def duration_of(option: str, text: str) -> int:
    """The seconds of a length of time such as `24h`. Raises BadParameter."""
    seconds = _seconds(text)
    if seconds is None:
        raise typer.BadParameter(f"{option} {text}: must be a length of time such as 24h or 90m")
    return seconds


def _seconds(text: str) -> int | None:
    match = _AGE.fullmatch(text)
    return int(match["count"]) * _UNITS[match["unit"]] if match is not None else None
