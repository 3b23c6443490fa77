from collections.abc import Iterator

import pytest

from tests.http.provider import Browser, RelyingParty, Running
from tests.http.provider import provider as run_provider


@pytest.fixture(scope="session")
def provider() -> Iterator[Running]:
    """One provider with two workers for all tests that do not harm it."""
    with run_provider(workers=2) as running:
        yield running


@pytest.fixture
def party(provider: Running) -> RelyingParty:
    """The demo channel's relying party."""
    return RelyingParty(provider)


@pytest.fixture
def browser(provider: Running) -> Iterator[Browser]:
    """A browser without any cookies."""
    made = Browser(provider)
    yield made
    made.http.close()
