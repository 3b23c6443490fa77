import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from html.parser import HTMLParser

import pytest
from jinja2 import UndefinedError

from conf.channels import Support
from flows.claims import OPENID, SCOPES
from idp.pages import STATIC, TEMPLATES, Brand, Pages, Partner
from idp.texts import load_texts

Context = Mapping[str, object]

HOSTILE = "\"'><script>alert(1)</script>{{7*7}}"
BRAND = Brand("demo", "Demo", "#d7263d", "/channels/demo/logo.svg", "https://a/t", "https://a/p")
LAYOUTS = {"layout.html", "parts.html"}


@dataclass(frozen=True, slots=True)
class Message:
    phone: str = "+79990000001"
    text: str = "482913 is your code"
    code: str = "482913"
    at: str = "14:02:11"
    sender: str | None = None


FORM: Context = {"action": "/go", "csrf": "token", "cancel_action": "/cancel"}
PHONE: Context = {**FORM, "phone": "", "error": None}
CODE: Context = {
    **FORM,
    "resend_action": "/resend",
    "phone_href": "/phone",
    "phone_masked": "+7 999 ***-**-42",
    "error": None,
    "resend_after": 0,
    "code_length": 6,
    "longest_code": 6,
    "called": False,
    "delivery": "sms",
    "delivery_href": "/delivery",
}
CALL: Context = {**CODE, "code_length": 4, "called": True, "delivery": "flash_call"}
PROFILE: Context = {
    **FORM,
    "given_name": "",
    "family_name": "",
    "errors": {},
    "terms_uri": "https://a/terms",
    "privacy_uri": None,
}
CONSENT: Context = {
    **FORM,
    "phone_masked": "+7 999 ***-**-42",
    "scopes": [(it, f"allow_{it}", it != "phone") for it in SCOPES if it != OPENID],
    "site": "a.example",
    "partners_href": "/partners",
}
PARTNERS: Context = {**FORM, "withdrawn": False, "partners": []}
BLOCKED: Context = {**FORM, "phone_href": "/phone", "phone_masked": "+7 999 ***-**-42"}
PROOF: Context = {
    "action": "/interaction/i/phone",
    "csrf": "t0ken",
    "cancel_action": "/interaction/i/cancel",
    "phone": "+79991234567",
    "challenge": "id.1800000300.18.mac",
    "bits": 18,
}
ERROR: Context = {"error": "internal", "reference": "k3JQ", "description": None, "retry_href": None}
CASES: list[tuple[str, Context]] = [
    ("phone.html", PHONE),
    *(
        ("phone.html", {**PHONE, "error": key, "retry_after": 61})
        for key in (
            "phone_invalid",
            "too_many_requests",
            "message_not_sent",
            "number_refused",
            "expired",
        )
    ),
    ("proof.html", PROOF),
    ("code.html", CODE),
    ("code.html", CALL),
    ("code.html", {**CODE, "resend_after": 24}),
    *(
        ("code.html", {**CODE, "error": key, "tries_left": 2, "retry_after": 5})
        for key in (
            "code_wrong",
            "code_exhausted",
            "code_expired",
            "code_malformed",
            "too_many_requests",
        )
    ),
    ("profile.html", PROFILE),
    (
        "profile.html",
        {
            **PROFILE,
            "errors": {"given_name": "required", "family_name": "too_long", "terms": "required"},
        },
    ),
    ("consent.html", CONSENT),
    ("consent.html", {**CONSENT, "scopes": [], "site": None}),
    ("partners.html", PARTNERS),
    ("partners.html", {**PARTNERS, "partners": None}),
    (
        "partners.html",
        {
            **PARTNERS,
            "withdrawn": True,
            "partners": [
                Partner("a", "1", replace(BRAND, partner="unverified"), SCOPES[1:], 0),
                Partner("b", "2", None, (), 1_790_000_000),
            ],
        },
    ),
    ("blocked.html", BLOCKED),
    ("error.html", ERROR),
    ("error.html", {**ERROR, "description": "redirect_uri is missing", "retry_href": "/again"}),
    ("form_post.html", {"redirect_uri": "https://rp/cb", "parameters": {"code": "c"}}),
    ("logout.html", {"action": "/logout", "csrf": "token", "hidden": {"state": "s"}}),
    ("signed_out.html", {}),
    ("inbox.html", {"messages": []}),
    ("inbox.html", {"messages": [Message()]}),
]


class Markup(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def pages() -> Pages:
    return Pages()


@pytest.fixture(params=["ru", "en"])
def locale(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def page(
    pages: Pages, template: str, context: Context, locale: str = "en", **changes: object
) -> Markup:
    html = pages.render(
        template, locale=locale, brand=BRAND, nonce="n0nce", **{**context, **changes}
    )
    return Markup(html)


def test_every_template_has_a_case() -> None:
    assert {path.name for path in TEMPLATES.iterdir()} - LAYOUTS == {name for name, _ in CASES}


@pytest.mark.parametrize(("template", "context"), CASES)
@pytest.mark.parametrize("brand", [BRAND, None, replace(BRAND, logo=None, terms_uri=None)])
def test_every_page_is_complete_in_both_locales(
    pages: Pages, locale: str, brand: Brand | None, template: str, context: Context
) -> None:
    html = pages.render(template, locale=locale, brand=brand, nonce="n0nce", **context)
    found = Markup(html)
    assert found.all("html") == [{"lang": locale}]
    assert len(found.all("h1")) == 1
    assert f"· {brand.name if brand else 'ID'}</title>" in html
    assert "None" not in found.text


@pytest.mark.parametrize(("template", "context"), CASES)
def test_nothing_is_inline_but_what_carries_the_nonce(
    pages: Pages, locale: str, template: str, context: Context
) -> None:
    found = page(pages, template, context, locale)
    for tag, attributes in found.tags:
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in attributes):
            assert attributes["nonce"] == "n0nce"


@pytest.mark.parametrize(("template", "context"), CASES)
def test_every_field_has_a_label_and_every_reference_a_target(
    pages: Pages, locale: str, template: str, context: Context
) -> None:
    found = page(pages, template, context, locale)
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    labelled = {label["for"] for label in found.all("label")}
    for field in found.all("input"):
        assert field["type"] == "hidden" or field["id"] in labelled
        assert "aria-describedby" not in field or field["aria-describedby"] in ids
        assert ("aria-invalid" in field) == ("aria-describedby" in field)


@pytest.mark.parametrize(("template", "context"), CASES)
def test_every_form_of_ours_is_a_post_with_its_csrf_token(
    pages: Pages, template: str, context: Context
) -> None:
    found = page(pages, template, context)
    forms = found.all("form")
    assert all(form["method"] == "post" for form in forms)
    tokens = [field for field in found.all("input") if field.get("name") == "csrf"]
    assert len(tokens) == (0 if template == "form_post.html" else len(forms))


@pytest.mark.parametrize(
    ("template", "context"),
    [
        ("phone.html", {**PHONE, "phone": HOSTILE, "action": HOSTILE, "csrf": HOSTILE}),
        ("code.html", {**CODE, "phone_masked": HOSTILE, "phone_href": HOSTILE}),
        ("consent.html", {**CONSENT, "phone_masked": HOSTILE, "site": HOSTILE}),
        (
            "partners.html",
            {
                **PARTNERS,
                "partners": [
                    Partner(HOSTILE, HOSTILE, replace(BRAND, name=HOSTILE), (), 0),
                ],
            },
        ),
        ("blocked.html", {**BLOCKED, "phone_masked": HOSTILE, "phone_href": HOSTILE}),
        ("profile.html", {**PROFILE, "given_name": HOSTILE, "terms_uri": "https://" + HOSTILE}),
        ("error.html", {**ERROR, "error": HOSTILE, "reference": HOSTILE, "description": HOSTILE}),
        ("form_post.html", {"redirect_uri": HOSTILE, "parameters": {HOSTILE: HOSTILE}}),
        ("logout.html", {"action": HOSTILE, "csrf": HOSTILE, "hidden": {HOSTILE: HOSTILE}}),
        ("inbox.html", {"messages": [Message(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)]}),
    ],
)
def test_hostile_values_stay_text(
    pages: Pages, locale: str, template: str, context: Context
) -> None:
    brand = Brand(
        HOSTILE,
        HOSTILE,
        "#000000",
        HOSTILE,
        "https://" + HOSTILE,
        HOSTILE,
        favicon=HOSTILE,
        support=Support(HOSTILE, HOSTILE, "https://" + HOSTILE),
    )
    html = pages.render(template, locale=locale, brand=brand, nonce="n0nce", **context)
    assert "<script>alert" not in html
    assert ">49<" not in html
    assert all(script.get("nonce") or script.get("src") for script in Markup(html).all("script"))


@pytest.mark.parametrize(
    ("template", "context"),
    [("phone.html", PHONE), ("blocked.html", BLOCKED), ("error.html", ERROR)],
)
def test_a_page_says_once_where_help_is(
    pages: Pages, locale: str, template: str, context: Context
) -> None:
    support = Support("+7 800 555-35-35", "help@a.example", "https://a.example/help")
    brand = replace(BRAND, support=support)
    html = pages.render(template, locale=locale, brand=brand, nonce="n", **context)
    links = [link["href"] for link in Markup(html).all("a")]
    ways = ["tel:+78005553535", "mailto:help@a.example", "https://a.example/help"]
    assert [link for link in links if link in ways] == ways


def test_a_tab_shows_the_favicon_or_else_the_logo(pages: Pages) -> None:
    for brand, shown in (
        (replace(BRAND, favicon="/channels/demo/favicon.svg"), "/channels/demo/favicon.svg"),
        (BRAND, "/channels/demo/logo.svg"),
    ):
        html = pages.render("phone.html", locale="ru", brand=brand, nonce="n", **PHONE)
        (icon,) = (link for link in Markup(html).all("link") if link["rel"] == "icon")
        assert icon["href"] == shown


def test_a_link_that_is_not_of_the_web_is_not_a_link(pages: Pages, locale: str) -> None:
    brand = replace(BRAND, terms_uri="javascript:alert(1)", privacy_uri="data:text/html,x")
    context = {**PROFILE, "terms_uri": "javascript:alert(1)", "privacy_uri": "JavaScript:x"}
    html = pages.render("profile.html", locale=locale, brand=brand, nonce="n", **context)
    assert Markup(html).all("a") == []


@pytest.mark.parametrize("color", ["red", "#fff", "#12345g", "#123456;}", "#123456\n", ""])
def test_a_brand_color_in_another_form_is_refused(color: str) -> None:
    with pytest.raises(ValueError, match="#rrggbb"):
        Brand("demo", "Demo", color)


def test_a_missing_value_is_an_error(pages: Pages) -> None:
    with pytest.raises(UndefinedError):
        pages.render("phone.html", locale="ru", brand=None, nonce="n")


def test_the_code_is_one_field_for_autofill(pages: Pages) -> None:
    (field,) = (f for f in page(pages, "code.html", CODE).all("input") if f["type"] == "text")
    assert field["autocomplete"] == "one-time-code"
    assert field["inputmode"] == "numeric"
    assert (field["pattern"], field["maxlength"]) == ("[0-9]{6}", "6")


def test_after_a_flash_call_either_code_may_be_typed(pages: Pages) -> None:
    (field,) = (f for f in page(pages, "code.html", CALL).all("input") if f["type"] == "text")
    assert (field["pattern"], field["maxlength"]) == ("[0-9]{4}|[0-9]{6}", "6")
    assert field["data-length"] == "4"


def test_accepted_terms_stay_accepted_when_a_name_is_wrong(pages: Pages) -> None:
    def accepted(errors: dict[str, str]) -> bool:
        fields = page(pages, "profile.html", PROFILE, errors=errors).all("input")
        return any("checked" in field for field in fields)

    assert accepted({"given_name": "required"})
    assert not accepted({"terms": "required"})
    assert not accepted({})


def test_an_unknown_error_has_a_fallback_text(pages: Pages, locale: str) -> None:
    texts = load_texts()[locale]
    assert (
        texts.text("error.unknown.title")
        in page(pages, "error.html", ERROR, locale, error="x").text
    )
    assert (
        texts.text("field_error.unknown") in page(pages, "code.html", CODE, locale, error="x").text
    )


def test_static_files_are_addressed_by_content(pages: Pages) -> None:
    found = page(pages, "phone.html", PHONE)
    urls = [link["href"] or "" for link in found.all("link")]
    urls += [script["src"] or "" for script in found.all("script")]
    versioned = [url for url in urls if url.startswith("/static/")]
    assert len(versioned) == 2
    for url in versioned:
        matched = re.fullmatch(r"/static/([a-z.]+)\?v=[0-9a-f]{8}", url)
        assert matched is not None
        assert (STATIC / matched[1]).is_file()


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1, "Осталась 1 попытка"),
        (2, "Остались 2 попытки"),
        (4, "Остались 4 попытки"),
        (5, "Осталось 5 попыток"),
        (11, "Осталось 11 попыток"),
        (12, "Осталось 12 попыток"),
        (21, "Осталась 21 попытка"),
        (22, "Остались 22 попытки"),
        (111, "Осталось 111 попыток"),
    ],
)
def test_russian_tries_are_counted_in_correct_forms(pages: Pages, count: int, words: str) -> None:
    found = page(pages, "code.html", CODE, "ru", error="code_wrong", tries_left=count)
    assert words in found.text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("ui_locales", "accept_language", "expected"),
    [
        (None, None, "ru"),
        ("en", "ru", "en"),
        ("fr-CA en-GB ru", None, "en"),
        ("de", "fr, ru-RU;q=0.8, en;q=0.9", "en"),
        (None, "en;q=0, de", "ru"),
        (None, "EN-us,en;q=0.5", "en"),
        (None, "*", "ru"),
        ("\x00 ,,", ";;q=, en;q=x", "ru"),
        (None, "en;q=1.2.3, " * 50, "ru"),
    ],
)
def test_the_locale_is_the_clients_then_the_browsers_then_the_channels(
    pages: Pages, ui_locales: str | None, accept_language: str | None, expected: str
) -> None:
    assert [*pages.locales(ui_locales, accept_language), "ru"][0] == expected


@pytest.mark.parametrize("name", ["ID", "Corner Shop"])
@pytest.mark.parametrize("logo", [None, "/logo.svg"])
def test_a_partner_is_marked_so_whatever_its_name_and_logo(
    pages: Pages, locale: str, name: str, logo: str | None
) -> None:
    for partner in ("verified", "unverified"):
        brand = replace(BRAND, name=name, logo=logo, partner=partner)
        html = pages.render("phone.html", locale=locale, brand=brand, nonce="n", **PHONE)
        mark = load_texts()[locale].text(f"partner.{partner}")
        assert f'<div class="brand-name"><bdi>{name}</bdi></div>' in html
        assert f">{mark}</div>" in html


def test_a_partners_links_name_their_host_and_vouch_for_nothing(pages: Pages, locale: str) -> None:
    brand = replace(
        BRAND,
        terms_uri="https://our.example@evil.example:8443/terms",
        privacy_uri="https://[broken",
        partner="unverified",
    )
    for template, context in (("phone.html", PHONE), ("consent.html", CONSENT)):
        html = pages.render(template, locale=locale, brand=brand, nonce="n", **context)
        links = [it for it in Markup(html).all("a") if (it["href"] or "").startswith("http")]
        assert {it["rel"] for it in links} == {"noopener noreferrer nofollow"}
        assert "(evil.example:8443)" in html
        assert "(our.example" not in html
