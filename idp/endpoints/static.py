"""The static files: styles and scripts of the pages, at URLs that change with their content."""

import mimetypes
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from idp.errors import Handler
from idp.pages import STATIC

_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable"}


def files() -> dict[str, Handler]:
    """The handler of each file by its path; what is in the file is read here, once."""
    return {f"/static/{file.name}": _file(file) for file in STATIC.iterdir()}


def _file(file: Path) -> Handler:
    content = file.read_bytes()
    media_type, _ = mimetypes.guess_type(file.name)

    async def answer(_request: Request) -> Response:
        return Response(content, headers=_HEADERS, media_type=media_type)

    return answer
