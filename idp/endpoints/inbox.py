"""The development inbox: what would have been sent to phones."""

from starlette.requests import Request
from starlette.responses import Response

from idp import http
from idp.outbound.inbox import Inbox


def _inbox(request: Request) -> Inbox:
    found: Inbox = request.app.state.inbox
    return found


async def inbox_page(request: Request) -> Response:
    """The messages as a page, newest first."""
    messages = await _inbox(request).messages()
    return http.page(
        request, "inbox.html", locale=http.locale(request), brand=None, messages=messages
    )


async def inbox_json(request: Request) -> Response:
    """The messages as JSON, newest first; `phone` selects one number's."""
    phone = request.query_params.get("phone")
    messages = await _inbox(request).messages()
    return http.json([it for it in messages if phone is None or it.phone == phone])
