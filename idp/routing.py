"""Who answers a request: the endpoint at its path for its method, or a refusal."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path

from idp.endpoints import static
from idp.errors import Handler, Style, answering_errors, method_not_allowed, not_found
from idp.routes import Endpoint

_PREFLIGHT_KEPT = "3600"  # seconds
# Where `cors` is set, no answer depends on a cookie.
_READABLE_BY_ALL = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"WWW-Authenticate, Retry-After"),
]


@dataclass(frozen=True, slots=True)
class _Path:
    """What there is at a path; `pattern` stands for it in the log and in metrics."""

    pattern: str
    handlers: Mapping[str, Handler]
    otherwise: Handler
    cors: bool = False


_NOWHERE = _Path("(none)", {}, not_found)


class Routing:
    """The endpoints of the table, and the static files.

    A path without parameters, as those that clients ask for are, is found at once: Starlette's
    routes are tried one after the other.
    """

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        rows: dict[str, list[Endpoint]] = {}
        for endpoint in endpoints:
            rows.setdefault(endpoint.path, []).append(endpoint)
        paths = [_path(at_one_path) for at_one_path in rows.values()]
        self._exact = {path.pattern: path for path in paths if "{" not in path.pattern}
        self._exact |= {path: _file(handler) for path, handler in static.files().items()}
        self._with_parameters = [
            (compile_path(path.pattern)[0], path) for path in paths if "{" in path.pattern
        ]

    async def answer(self, request: Request) -> Response:
        """The answer to a request, whose scope has the pattern of its path from then on."""
        path = self._exact.get(request.scope["path"]) or self._matching(request)
        request.scope["route"] = path.pattern
        response = await path.handlers.get(request.method, path.otherwise)(request)
        if path.cors:
            response.raw_headers += _READABLE_BY_ALL
        return response

    def _matching(self, request: Request) -> _Path:
        for regex, path in self._with_parameters:
            match = regex.fullmatch(request.scope["path"])
            if match is not None:
                request.scope["path_params"] = match.groupdict()
                return path
        return _NOWHERE


def _path(rows: Sequence[Endpoint]) -> _Path:
    errors, cors = rows[0].errors, rows[0].cors
    handlers = {
        method: answering_errors(row.handler, errors) for row in rows for method in row.methods
    }
    if cors:
        handlers["OPTIONS"] = _preflight([*handlers, "OPTIONS"])
    return _Path(rows[0].path, *_complete(handlers, errors), cors)


def _file(handler: Handler) -> _Path:
    return _Path("/static", *_complete({"GET": handler}, "page"))


def _complete(handlers: dict[str, Handler], errors: Style) -> tuple[dict[str, Handler], Handler]:
    """The handlers with HEAD, and what refuses all other methods."""
    if "GET" in handlers:
        handlers["HEAD"] = handlers["GET"]  # uvicorn leaves the content out
    return handlers, method_not_allowed(handlers, errors)


def _preflight(methods: Iterable[str]) -> Handler:
    headers = {
        "Access-Control-Allow-Methods": ", ".join(methods),
        "Access-Control-Allow-Headers": "Authorization, Content-Type",
        "Access-Control-Max-Age": _PREFLIGHT_KEPT,
    }

    async def handle(_request: Request) -> Response:
        return Response(status_code=204, headers=headers)

    return handle
