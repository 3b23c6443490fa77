"""What the settings say about delivery: providers, routes, and what is wrong with them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from conf import settings
from conf.decoding import ConfigurationError
from conf.delivery import Delivery, MessageProvider, Route, Step
from conf.model import Settings

SMS = {
    "id": "sms",
    "kind": "sms",
    "url": "https://sms.example.com/send",
    "form": {"to": "{digits}", "text": "{text}"},
}
CALLS = {
    "id": "calls",
    "kind": "flash_call",
    "url": "https://calls.example.com/",
    "query": {"to": "{digits}", "key": "{key}"},
    "secrets": {"key": {"file": "token"}},
    "answer": {"code": "/code"},
}
RECEIPTS = {
    "header": "X-Token",
    "secret": "s",
    "id": "/id",
    "status": "/status",
    "delivered": ["ok"],
}


def load(place: Path, *providers: Mapping[str, Any], **more: Any) -> Settings:
    path = place / "idp.toml"
    path.write_text(
        'issuer = "https://id.example.com"\ndirectory = "data"\n'
        'key_encryption_keys = [{ id = "a", file = "kek" }]\n'
    )
    return settings.load(path, {"delivery": {"providers": list(providers), **more}}, environ={})


def steps(delivery: Delivery, phone: str, channel: str = "shop") -> list[str]:
    return [step.providers[0] for step in delivery.steps(phone, channel)]


def test_without_routes_every_number_is_tried_with_each_kind_in_turn(place: Path) -> None:
    loaded = load(place, CALLS, SMS, SMS | {"id": "other"})

    assert loaded.delivery.routes == (
        Route("+", (Step("flash_call", ("calls",)), Step("sms", ("sms", "other")))),
    )
    assert Settings.from_json(loaded.to_json()) == loaded
    assert "Bearer abc" in loaded.to_json()
    assert "Bearer abc" not in repr(loaded)


def test_the_longest_prefix_wins_and_then_the_channels_own_route() -> None:
    def route(prefix: str, name: str, *channels: str) -> Route:
        return Route(prefix, (Step("sms", (name,)),), channels)

    delivery = Delivery(
        (MessageProvider("a", "sms"),),
        (
            route("+7", "russia"),
            route("+7", "shop", "shop"),
            route("+77", "kazakhstan"),
            route("+375", "bot", "bot"),
        ),
    )

    assert steps(delivery, "+79161234567") == ["shop"]
    assert steps(delivery, "+79161234567", "bot") == ["russia"]
    assert steps(delivery, "+77011234567") == ["kazakhstan"]
    assert steps(delivery, "+375291234567") == []
    assert delivery.reaches("+375291234567")
    assert not delivery.reaches("+4915112345678")


def test_a_value_from_a_file_is_no_template(place: Path) -> None:
    (place / "braces").write_text("{phone}\n")
    loaded = load(place, SMS | {"headers": {"X-Key": {"file": "braces"}}})

    gateway = loaded.delivery.providers[0].http
    assert gateway is not None
    assert gateway.headers["X-Key"].format() == "{phone}"


@pytest.mark.parametrize("pointer", [None, "", "/messages", "/a~1b/0"])
def test_receipts_may_come_many_at_once(place: Path, pointer: str | None) -> None:
    loaded = load(place, SMS | {"receipts": RECEIPTS | {"each": pointer}})

    assert loaded.delivery.providers[0].receipts is not None
    assert loaded.delivery.providers[0].receipts.each == pointer


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"id": "A b"}, "id: must be 1 to 32 small letters"),
        ({"kind": "fax"}, "kind: must be one of sms, messenger, flash_call, voice"),
        ({"adapter": "inbox"}, "adapter: must be http, smpp, or inbox in development"),
        ({"adapter": "smpp"}, "smpp.host: is required"),
        ({"adapter": "smpp", "kind": "voice"}, "kind: must be sms"),
        ({"url": "http://sms.example.com"}, "url: must be https"),
        ({"url": None}, "url: is required"),
        ({"weight": 0}, "weight: must be 1..1000"),
        ({"timeout_seconds": 11}, "timeout_seconds: must be 1..10"),
        ({"idempotent": "yes"}, "idempotent: must be true or false"),
        ({"method": "GET"}, "method: must be POST or PUT, because there is a body"),
        ({"json": {"to": "{phone}"}}, "form: must not be there beside json"),
        ({"form": {"to": "{telephone}"}}, "form.to: {telephone} must be one of code, digits"),
        ({"form": {"to": "{phone.__class__}"}}, "form.to: {phone.__class__} must be one of"),
        ({"form": {"to": "{phone!r}"}}, "form.to: {phone} must be one of"),
        ({"form": {"to": "{phone"}}, "form.to: must have no single brace"),
        ({"form": {"text": "{text}"}}, "must say {phone} or {digits}"),
        ({"form": {"to": "{digits}"}}, "must say {text} or {code}"),
        ({"form": None, "json": {"a": [{"b": "{c}"}]}}, "json.a[0].b: {c} must be one of"),
        ({"headers": {"X Y": "z"}}, "headers.X Y: is not the name of an HTTP header"),
        ({"headers": {"Content-Length": "1"}}, "headers.Content-Length: must be left out"),
        ({"headers": {"X": "я"}}, "headers.X: must be printable ASCII"),
        ({"headers": {"X": "{text}"}}, "headers.X: {text} must be one of submission_id"),
        ({"headers": {"X": {"file": "no"}}}, "headers.X.file: {place}/no cannot be read"),
        ({"secrets": {"phone": "x"}}, "secrets.phone: must be a name of small letters"),
        ({"secrets": {"key": {"env": "NOT"}}}, "secrets.key.env: the environment variable NOT"),
        ({"answer": {"id": "("}}, "answer.id: is no regular expression"),
        ({"answer": {"statuses": [404]}}, "answer.statuses: must be a list of whole numbers"),
        ({"answer": {"ID": "/id"}}, "answer.ID: unknown key"),
        ({"receipts": {}}, "receipts: must have exactly one of header, parameter, hmac_header"),
        ({"receipts": RECEIPTS | {"parameter": "p"}}, "receipts: must have exactly one of"),
        ({"receipts": RECEIPTS | {"secret": None}}, "receipts.secret: is required"),
        ({"receipts": RECEIPTS | {"delivered": []}}, "receipts.delivered: is required"),
        ({"receipts": RECEIPTS | {"id": "("}}, "receipts.id: is no regular expression"),
        ({"receipts": RECEIPTS | {"each": "messages"}}, "receipts.each: must be a JSON pointer"),
        ({"receipts": RECEIPTS | {"each": "/a~2"}}, "receipts.each: must be a JSON pointer"),
        ({"receipts": RECEIPTS | {"each": 1}}, "receipts.each: must be a text"),
    ],
)
def test_a_fault_of_a_provider_is_told(place: Path, change: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(place, SMS | change)
    name = change.get("id", "sms")
    assert any(
        it.startswith(
            (f"delivery.providers[{name}].{fault}", f"delivery.providers[{name}]: {fault}")
        )
        for it in (told.replace(str(place), "{place}") for told in caught.value.faults)
    ), caught.value.faults


@pytest.mark.parametrize(
    ("routes", "fault"),
    [
        ([{}], "delivery.routes[0].steps: is required"),
        ([{"prefix": "7"}], "delivery.routes[7].prefix: must be the beginning of a number"),
        (
            [{"steps": [{"kind": "sms", "providers": ["calls"]}]}],
            "delivery.routes[0].steps[sms].providers[0]: must be a message provider of the kind",
        ),
        (
            [{"steps": [{"kind": "sms", "providers": []}]}],
            "delivery.routes[0].steps[sms].providers: is required",
        ),
        (
            [{"steps": [{"kind": "sms", "providers": ["sms"], "receipt_seconds": 0}]}],
            "delivery.routes[0].steps[sms].receipt_seconds: must be 1..300",
        ),
    ],
)
def test_a_fault_of_a_route_is_told(place: Path, routes: list[Any], fault: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(place, SMS, CALLS, routes=routes)
    assert any(it.startswith(fault) for it in caught.value.faults), caught.value.faults


def test_two_providers_have_two_names_and_a_call_has_a_code(place: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(place, SMS, SMS, CALLS | {"answer": {}})
    assert caught.value.faults == (
        "delivery.providers[sms].id: must not be that of another one",
        "delivery.providers[calls].answer.code: is required: its provider chooses the code",
    )
