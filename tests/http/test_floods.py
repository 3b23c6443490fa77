"""What anybody can begin is bounded before it costs those who have signed in."""

from collections.abc import Iterator

import pytest

from tests.http.provider import Browser, RelyingParty, Running, new_phone, parameters_of
from tests.http.provider import provider as run_provider


@pytest.fixture
def guarded() -> Iterator[Running]:
    toml = "interactions_per_address = { burst = 3, period_seconds = 3600 }\n"
    with run_provider(toml=toml) as running:
        yield running


@pytest.fixture
def visitor(guarded: Running) -> Iterator[Browser]:
    visitor = Browser(guarded)
    yield visitor
    visitor.http.close()


def test_one_network_begins_so_many_sign_ins_and_then_the_client_is_told(
    visitor: Browser,
) -> None:
    party = RelyingParty(visitor.provider)
    visitor.sign_in(party, new_phone())
    for _ in range(2):
        begun = visitor.authorize(party, prompt="login")
        assert begun.headers["location"].startswith("/interaction/")
    by_get = visitor.authorize(party, prompt="login")
    by_post = visitor.http.post("/authorize", data=party.request(prompt="login"))
    for refused in (by_get, by_post):
        assert parameters_of(refused)["error"] == "temporarily_unavailable"
    # Nothing is begun by single sign-on.
    assert "code" in parameters_of(visitor.authorize(party))
