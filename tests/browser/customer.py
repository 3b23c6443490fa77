"""A customer at a real browser: what they see, type and press."""

import json
from dataclasses import dataclass, field
from urllib.parse import urlencode

from playwright.sync_api import Page, ViewportSize, expect

from idp.texts import load_texts
from tests.http.provider import RelyingParty, Running, new_phone

PHONE = ViewportSize(width=390, height=844)
SMALL_PHONE = ViewportSize(width=320, height=568)
DESKTOP = ViewportSize(width=1280, height=800)
LOCALES = ("ru", "en")

_TEXTS = load_texts()


def said(locale: str, key: str, *, count: int | None = None, **values: object) -> str:
    """A text as a page says it."""
    text = _TEXTS[locale].text(key, count=count, **values).unescape()
    return text.replace("\N{NO-BREAK SPACE}", " ")


@dataclass
class Customer:
    """One person with one browser. `complaints` is what the browser's console reports."""

    page: Page
    provider: Running
    locale: str
    complaints: list[str]
    phone: str = field(default_factory=new_phone)

    def says(self, key: str, *, count: int | None = None, **values: object) -> str:
        """A text in the customer's language."""
        return said(self.locale, key, count=count, **values)

    def another_tab(self) -> "Customer":
        """The same person in another tab."""
        page = self.page.context.new_page()
        return Customer(page, self.provider, self.locale, self.complaints, self.phone)

    def goes_to(self, party: RelyingParty, **changes: str | None) -> None:
        """Follow an app's link to the provider."""
        self.page.goto(link(party, **changes))

    def sees(self, key: str) -> None:
        """Wait for the page with this title."""
        expect(self.page.get_by_role("heading", level=1)).to_have_text(self.says(key))

    def sees_problem(self, key: str, *, tries_left: int = 0) -> None:
        """Wait for a complaint about what was typed."""
        tries = self.says("field_error.tries_left", count=tries_left)
        expect(self.page.get_by_role("alert")).to_have_text(self.says(key, tries=tries))

    def presses(self, key: str) -> None:
        """Press a button of the provider's."""
        self.page.get_by_role("button", name=self.says(key), exact=True).click()

    def gives_phone(self) -> None:
        """Ask for a code."""
        self.sees("phone.title")
        self.page.get_by_label(self.says("phone.label")).fill(self.phone)
        self.presses("phone.submit")
        self.sees("code.title")

    def code(self) -> str:
        """The code that came to the phone."""
        return self.provider.code_for(self.phone)

    def wrong_code(self, which: int = 1) -> str:
        """One of the codes that are not the one."""
        return f"{(int(self.code()) + which) % 10**6:06}"

    def types_code(self, code: str) -> None:
        """Type a code; the last digit sends it."""
        self.page.get_by_label(self.says("code.label")).press_sequentially(code)

    def registers(self) -> None:
        """Give a name and accept the terms."""
        self.sees("profile.title")
        self.page.get_by_label(self.says("profile.given_name")).fill("Анна")
        self.page.locator("#terms").check()
        self.presses("profile.submit")

    def signs_in(self) -> None:
        """Go from the phone page to the end, for the first time."""
        self.gives_phone()
        self.types_code(self.code())
        self.registers()

    def answer(self) -> dict[str, str]:
        """What the app got, once the customer is back at it (see `conftest.App`)."""
        self.page.wait_for_url("http://localhost:*/callback**")
        answer: dict[str, str] = json.loads(self.page.locator("pre").inner_text())
        return answer


def link(party: RelyingParty, **changes: str | None) -> str:
    """The address of an authorization request."""
    return f"{party.provider.issuer}/authorize?{urlencode(party.request(**changes))}"
