"""The callback of message providers: whether a message has arrived."""

from starlette.requests import Request
from starlette.responses import Response

from flows.errors import InvalidRequest, PageError
from idp import http
from idp.outbound.readings import Said, form_fields
from idp.outbound.receipts import Receipts, is_authentic, receipts_of

_BATCH_SIZE = 256 * 1024


async def receipt(request: Request) -> Response:
    """Take a provider's word for what became of messages; 204 whatever it was."""
    provider = http.site(request).provider
    name = request.path_params["provider_id"]
    settings = provider.settings.delivery.provider(name)
    if settings is None or settings.receipts is None:
        raise PageError("not_found", status=404)
    batch = settings.receipts.each is not None
    body = await http.body(request, _BATCH_SIZE if batch else http.SIZE_LIMIT)
    query = form_fields(request.scope["query_string"])
    said = request.scope["query_string"] if request.method == "GET" else body
    if not is_authentic(settings.receipts, request.headers, query, said):
        provider.log.warning("receipt_not_authentic", provider=name)
        return http.json({"error": "access_denied"}, status=403)
    try:
        found, unread = receipts_of(settings.receipts, _said(request, body, query))
    except ValueError as error:
        raise InvalidRequest(str(error)) from error
    if unread:
        provider.log.warning("receipts_not_read", provider=name, count=unread)
    if found:
        await Receipts(provider).take(name, *found)
    return Response(status_code=204)


def _said(request: Request, body: bytes, query: dict[str, str]) -> Said:
    if request.method == "GET":
        return Said(request.scope["query_string"], query)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == http.FORM:
        return Said(body, form_fields(body))
    return Said(body)
