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
    age = _AGE.fullmatch(text)
    if age is not None:
        return now - int(age["count"]) * _UNITS[age["unit"]]
    try:
        moment = dt.datetime.fromisoformat(text)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp())
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{option} {text}: must be a time such as 2026-11-22, 2026-11-22T10:30Z or 2h (ago)"
        ) from None
