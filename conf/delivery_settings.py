"""Reading what the settings say about delivery: the message providers, and the routes."""

import json
import re
import string
from collections.abc import Iterator, Mapping
from typing import Final, Literal

from conf.decoding import Form, Table
from conf.delivery import (
    KINDS,
    PLACEHOLDERS,
    AnswerRules,
    Delivery,
    HttpGateway,
    Kind,
    MessageProvider,
    ReceiptRules,
    Route,
    Step,
)
from conf.smpp_settings import read_smpp

ID: Final = Form(
    re.compile(r"[a-z0-9][a-z0-9_-]{0,31}"),
    "must be 1 to 32 small letters, digits, hyphens or underscores",
)
_KIND: Final = Form(re.compile("|".join(KINDS)), f"must be one of {', '.join(KINDS)}")
_ADAPTER: Final = Form(re.compile("http|smpp|inbox"), "must be http, smpp, or inbox in development")
_METHOD: Final = Form(re.compile("GET|POST|PUT"), "must be GET, POST or PUT")
_PREFIX: Final = Form(re.compile(r"\+[0-9]{0,15}"), "must be the beginning of a number, such as +7")
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 5.6.2: token
_HEADER_NAME: Final = Form(_HEADER, "must be the name of an HTTP header")
# RFC 9112 6: what is said here of the message's length would not be true of each message.
_FRAMING: Final = frozenset({"connection", "content-length", "transfer-encoding"})
_SECRET_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")

_INBOX: Final = Delivery(
    providers=(MessageProvider("inbox", "sms"), MessageProvider("inbox-call", "flash_call")),
    # A number from here shows how a flash call looks, and then a message.
    routes=(
        Route("+", (Step("sms", ("inbox",)),)),
        Route("+7900", (Step("flash_call", ("inbox-call",), 20), Step("sms", ("inbox",)))),
    ),
)


def read_delivery(table: Table, *, development: bool) -> Delivery:
    """Read `[delivery]`; in development the inbox takes all if there are no providers."""
    if development and "providers" not in table:
        return _INBOX
    providers: dict[str, MessageProvider] = {}
    for entry in table.tables("providers", "id"):
        provider = _provider(entry, development=development)
        if provider.id and provider.id in providers:
            entry.fault("id", "must not be that of another one")
        providers[provider.id] = provider
    routes = tuple(_route(entry, providers) for entry in table.tables("routes", "prefix"))
    return Delivery(tuple(providers.values()), routes or tuple(_standard_route(providers)))


def _standard_route(providers: Mapping[str, MessageProvider]) -> Iterator[Route]:
    """Every number by every kind, in the order in which the kinds appear."""
    by_kind: dict[Kind, list[str]] = {}
    for provider in providers.values():
        by_kind.setdefault(provider.kind, []).append(provider.id)
    if by_kind:
        yield Route("+", tuple(Step(kind, tuple(ids)) for kind, ids in by_kind.items()))


def _provider(table: Table, *, development: bool) -> MessageProvider:
    adapter = table.text("adapter", "http", _ADAPTER)
    if adapter == "inbox" and not development:
        table.fault("adapter", _ADAPTER.what)
    kind = _kind(table)
    if adapter == "smpp" and kind != "sms":
        table.fault("kind", "must be sms: that is all that SMPP takes")
    return MessageProvider(
        id=table.text("id", form=ID),
        kind=kind,
        weight=table.integer("weight", 1, 1, 1_000),
        idempotent=table.boolean("idempotent", default=False),
        timeout=table.integer("timeout_seconds", 5, 1, 10),
        http=_gateway(table, kind) if adapter == "http" else None,
        smpp=read_smpp(table.table("smpp")) if adapter == "smpp" else None,
        receipts=_receipts(table.table("receipts")) if "receipts" in table else None,
    )


def _kind(table: Table) -> Kind:
    value = table.text("kind", form=_KIND)
    return next((kind for kind in KINDS if kind == value), "sms")


def _gateway(table: Table, kind: Kind) -> HttpGateway:
    secrets = _secrets(table.table("secrets"))
    known = PLACEHOLDERS | secrets.keys()
    body: object = None
    if table.is_table("json"):
        inner = table.table("json")
        body = inner.rest()
        _check(inner, body, known)
    form = _values(table.table("form"), known) if "form" in table else None
    if body is not None and form is not None:
        table.fault("form", "must not be there beside json")
    method = _method(table, "GET" if body is None and form is None else "POST")
    if method == "GET" and (body is not None or form is not None):
        table.fault("method", "must be POST or PUT, because there is a body")
    headers = table.table("headers")
    for name in headers:
        if not _HEADER.fullmatch(name):
            headers.fault(name, "is not the name of an HTTP header")
        if name.lower() in _FRAMING:
            headers.fault(name, "must be left out: it goes by the request")
    query = _values(table.table("query"), known)
    json_text = None if body is None else json.dumps(body, ensure_ascii=False)
    said = " ".join([*query.values(), *(form or {}).values(), json_text or ""])
    if "{phone}" not in said and "{digits}" not in said:
        table.fault("", "must say {phone} or {digits} in json, form or query")
    if kind != "flash_call" and "{text}" not in said and "{code}" not in said:
        table.fault("", "must say {text} or {code} in json, form or query")
    answer = _answer(table.table("answer"))
    if kind == "flash_call" and answer.code is None:
        table.fault("answer.code", "is required: its provider chooses the code")
    return HttpGateway(
        url=table.url("url"),
        method=method,
        headers=_values(headers, {"submission_id", *secrets}),
        query=query,
        json=json_text,
        form=form,
        secrets=secrets,
        answer=answer,
    )


def _method(table: Table, default: str) -> Literal["GET", "POST", "PUT"]:
    value = table.text("method", default, _METHOD)
    return "PUT" if value == "PUT" else "GET" if value == "GET" else "POST"


def _secrets(table: Table) -> dict[str, str]:
    secrets = {}
    for name in table:
        if not _SECRET_NAME.fullmatch(name) or name in PLACEHOLDERS:
            table.fault(name, "must be a name of small letters that no placeholder has")
        secrets[name] = table.text_or_secret(name)
    return secrets


def _values(table: Table, known: frozenset[str] | set[str]) -> dict[str, str]:
    values = {}
    for name in table:
        values[name] = table.text_or_secret(name)
        if table.is_table(name):  # what a file holds is no template
            values[name] = values[name].replace("{", "{{").replace("}", "}}")
        else:
            _check_template(table, name, values[name], known)
    return values


def _check(table: Table, value: object, known: frozenset[str] | set[str], name: str = "") -> None:
    if isinstance(value, dict):
        for key, below in value.items():
            _check(table, below, known, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for index, below in enumerate(value):
            _check(table, below, known, f"{name}[{index}]")
    elif isinstance(value, str):
        _check_template(table, name, value, known)
    elif not isinstance(value, bool | int | float):
        table.fault(name, "must be a text, a number, true, false, a list or a table")


def _check_template(
    table: Table, name: str, template: str, known: frozenset[str] | set[str]
) -> None:
    try:
        fields = list(string.Formatter().parse(template))
    except ValueError:
        table.fault(name, "must have no single brace: {{ stands for {")
        return
    for _, field, form, conversion in fields:
        if field is not None and (field not in known or form or conversion):
            table.fault(name, f"{{{field}}} must be one of {', '.join(sorted(known))}")


def _answer(table: Table) -> AnswerRules:
    return AnswerRules(
        statuses=table.integers("statuses", 200, 299),
        success=_reading(table, "success"),
        error=_reading(table, "error"),
        id=_reading(table, "id"),
        code=_reading(table, "code"),
    )


def _reading(table: Table, name: str) -> str | None:
    return _required_reading(table, name) if name in table else None


def _required_reading(table: Table, name: str) -> str:
    reading = table.text(name)
    if not reading.startswith("/"):
        try:
            re.compile(reading)
        except re.error as error:
            table.fault(name, f"is no regular expression: {error}")
    return reading


def _receipts(table: Table) -> ReceiptRules:
    ways = ("header", "parameter", "hmac_header")
    if [way in table for way in ways].count(True) != 1:
        table.fault("", f"must have exactly one of {', '.join(ways)}")
    return ReceiptRules(
        secret=table.text_or_secret("secret"),
        id=_required_reading(table, "id"),
        status=_required_reading(table, "status"),
        delivered=table.texts("delivered", required=True),
        failed=table.texts("failed"),
        header=table.text("header", form=_HEADER_NAME) if "header" in table else None,
        parameter=table.text("parameter") if "parameter" in table else None,
        hmac_header=table.text("hmac_header", form=_HEADER_NAME)
        if "hmac_header" in table
        else None,
        each=table.pointer("each") if "each" in table else None,
    )


def _route(table: Table, providers: Mapping[str, MessageProvider]) -> Route:
    return Route(
        prefix=table.text("prefix", "+", _PREFIX),
        channels=table.texts("channels"),
        steps=tuple(
            _step(step, providers) for step in table.tables("steps", "kind", required=True)
        ),
    )


def _step(table: Table, providers: Mapping[str, MessageProvider]) -> Step:
    kind = _kind(table)
    ids = table.texts("providers", required=True)
    for index, provider_id in enumerate(ids):
        provider = providers.get(provider_id)
        if provider is None or provider.kind != kind:
            table.fault(f"providers[{index}]", f"must be a message provider of the kind {kind}")
    waits = "receipt_seconds" in table
    return Step(kind, ids, table.integer("receipt_seconds", 30, 1, 300) if waits else None)
