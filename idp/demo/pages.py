"""How the demo speaks: its templates, the two languages, and claims as rows of a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.templating import Jinja2Templates

TIMES = frozenset({"auth_time", "exp", "iat", "nbf", "updated_at"})


def templates() -> Jinja2Templates:
    """Load the pages; in each, `t(russian, english)` is the text in the visitor's language."""
    loaded = Jinja2Templates(Path(__file__).parent / "templates", context_processors=[_speak])
    loaded.env.filters["claim_rows"] = claim_rows
    loaded.env.filters["clock"] = _clock
    return loaded


def language(accept_language: str) -> str:
    """`ru` or `en`, whichever the header names first (browsers send the best first); else `en`."""
    for entry in accept_language.lower().split(","):
        tag = entry.partition(";")[0].partition("-")[0].strip()
        if tag in {"ru", "en"}:
            return tag
    return "en"


def claim_rows(claims: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, value as a person reads it, and a remark, for each claim."""
    rows = []
    for name, value in claims.items():
        if name in TIMES and isinstance(value, int):
            moment = datetime.fromtimestamp(value, UTC)
            rows.append((name, f"{moment:%F %T} UTC", str(value)))
        elif isinstance(value, Mapping):
            rows.append((name, "\n".join(f"{key}: {_plain(value[key])}" for key in value), ""))
        else:
            rows.append((name, _plain(value), ""))
    return rows


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _clock(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%T} UTC"


def _speak(request: Request) -> dict[str, Any]:
    russian = language(request.headers.get("accept-language", "")) == "ru"
    return {
        "language": "ru" if russian else "en",
        "t": lambda ru, en: ru if russian else en,
    }
