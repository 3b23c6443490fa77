import contextlib
from collections.abc import Iterator

import pytest

from tests.http.provider import Browser, OpenBrowser, RelyingParty, Running
from tests.http.provider import provider as run_provider


@pytest.fixture(scope="session")
def provider() -> Iterator[Running]:
    """One provider with two workers for all tests that do not harm it."""
    # Every test sends from one address.
    no_limit = "otp.sends_per_address = { burst = 1_000_000, period_seconds = 3600 }\n"
    with run_provider(workers=2, toml=no_limit) as running:
        yield running


@pytest.fixture(scope="session")
def hasty() -> Iterator[Running]:
    """A provider whose tokens are good for a second, its codes for two, its pages for four."""
    # The clock counts whole seconds, so that what is to be used needs two.
    toml = (
        "[lifetimes]\ncode_seconds = 2\naccess_token_seconds = 1\nid_token_seconds = 1\n"
        "interaction_seconds = 4\n[otp]\nvalidity_seconds = 2\nresend_after_seconds = 0\n"
    )
    with run_provider(toml=toml) as running:
        yield running


@pytest.fixture
def party(provider: Running) -> RelyingParty:
    """The demo channel's relying party."""
    return RelyingParty(provider)


@pytest.fixture
def open_browser() -> Iterator[OpenBrowser]:
    """Opens browsers without any cookies, and closes them in the end."""
    with contextlib.ExitStack() as stack:

        def opened(running: Running) -> Browser:
            browser = Browser(running)
            stack.callback(browser.http.close)
            return browser

        yield opened


@pytest.fixture
def browser(provider: Running, open_browser: OpenBrowser) -> Browser:
    """A browser without any cookies."""
    return open_browser(provider)


@pytest.fixture
def other_browser(provider: Running, open_browser: OpenBrowser) -> Browser:
    """Another one, for somebody else."""
    return open_browser(provider)
