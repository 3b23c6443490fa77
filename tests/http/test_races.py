"""What must stay true however many requests come at once, here to two workers over HTTP."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

from flows.errors import TemporarilyUnavailable
from flows.passwords import PasswordHasher
from tests.http.provider import (
    PHONE_OTP,
    TEST_CODE,
    Browser,
    OpenBrowser,
    RelyingParty,
    Running,
    claims_of,
    hidden_fields,
    new_phone,
    new_test_number,
    parameters_of,
)
from tests.http.provider import provider as run_provider


@pytest.fixture
def bot(provider: Running) -> RelyingParty:
    return RelyingParty(provider, "demo-bot")


@contextlib.asynccontextmanager
async def connections(running: Running, number: int) -> AsyncIterator[list[httpx2.AsyncClient]]:
    """So many open connections; made one by one, they are shared out among the workers."""
    async with contextlib.AsyncExitStack() as stack:
        clients = []
        for _ in range(number):
            client = await stack.enter_async_context(running.async_client())
            await client.get("/livez")
            clients.append(client)
        yield clients


async def at_once(
    party: RelyingParty, path: str, requests: list[dict[str, str]]
) -> list[httpx2.Response]:
    """Send POSTs of an authenticated client, all at once, each over a connection of its own."""
    auth = (party.client_id, party.provider.secret(party.client_id))
    async with connections(party.provider, len(requests)) as clients:
        return await asyncio.gather(
            *(
                client.post(path, data=request, auth=auth)
                for client, request in zip(clients, requests, strict=True)
            )
        )


def statuses(responses: list[httpx2.Response]) -> Counter[int]:
    return Counter(response.status_code for response in responses)


async def test_of_200_redemptions_of_one_code_one_succeeds(
    browser: Browser, party: RelyingParty
) -> None:
    request = {
        "grant_type": "authorization_code",
        "code": browser.sign_in(party, new_phone())["code"],
        "redirect_uri": party.redirect_uri,
        "code_verifier": party.verifier,
    }
    responses = await at_once(party, "/token", [request] * 200)
    assert statuses(responses) == {200: 1, 400: 199}
    tokens = next(it.json() for it in responses if it.status_code == 200)
    assert {it.json()["error"] for it in responses if it.status_code == 400} == {"invalid_grant"}
    # The others were replays.
    assert browser.provider.userinfo(tokens["access_token"]).status_code == 401


async def test_100_refreshes_give_one_successor(browser: Browser, party: RelyingParty) -> None:
    refresh_token = browser.tokens(party, new_phone())["refresh_token"]
    request = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    responses = await at_once(party, "/token", [request] * 100)
    assert statuses(responses) == {200: 100}
    successors = {response.json()["refresh_token"] for response in responses}
    assert len(successors) == 1
    assert party.refresh(successors.pop()).status_code == 200


async def test_of_50_wrong_codes_as_many_count_as_there_are_tries(bot: RelyingParty) -> None:
    phone = new_phone()
    otp_session = bot.post("/otp", phone=phone).json()["otp_session"]
    right = bot.provider.code_for(phone)
    wrong = [code for code in (f"{number:06}" for number in range(51)) if code != right][:50]
    request = {"grant_type": PHONE_OTP, "otp_session": otp_session}
    responses = await at_once(bot, "/token", [request | {"otp": code} for code in wrong])
    left = Counter(response.json()["tries_left"] for response in responses)
    assert left == {4: 1, 3: 1, 2: 1, 1: 1, 0: 46}
    assert bot.token(**request, otp=right).status_code == 400


async def test_of_50_redemptions_of_one_one_time_code_one_succeeds(bot: RelyingParty) -> None:
    phone = new_phone()
    otp_session = bot.post("/otp", phone=phone).json()["otp_session"]
    request = {
        "grant_type": PHONE_OTP,
        "otp_session": otp_session,
        "otp": bot.provider.code_for(phone),
    }
    responses = await at_once(bot, "/token", [request] * 50)
    assert statuses(responses) == {200: 1, 400: 49}
    tokens = next(it.json() for it in responses if it.status_code == 200)
    assert bot.provider.userinfo(tokens["access_token"]).status_code == 200


async def test_of_50_starts_for_one_phone_as_many_send_as_the_limit_says(bot: RelyingParty) -> None:
    phone = new_phone()
    responses = await at_once(bot, "/otp", [{"phone": phone}] * 50)
    assert statuses(responses) == {200: 5, 429: 45}
    assert len(bot.provider.messages_for(phone)) == 5


async def test_first_sign_ins_of_one_phone_at_once_make_one_customer(bot: RelyingParty) -> None:
    phone = new_test_number()
    starts = await at_once(bot, "/otp", [{"phone": phone}] * 30)
    requests = [
        {
            "grant_type": PHONE_OTP,
            "otp_session": start.json()["otp_session"],
            "otp": TEST_CODE,
        }
        for start in starts
    ]
    responses = await at_once(bot, "/token", requests)
    assert statuses(responses) == {200: 30}
    assert len({claims_of(it.json()["id_token"])["sub"] for it in responses}) == 1


async def test_registrations_of_one_phone_at_once_make_one_customer(
    provider: Running, party: RelyingParty, open_browser: OpenBrowser
) -> None:
    phone = new_test_number()
    browsers = [open_browser(provider) for _ in range(15)]
    for browser in browsers:
        browser.authorize(party)
        assert browser.prove(phone).headers["location"].endswith("/profile")
    answers = await asyncio.gather(
        *(
            asyncio.to_thread(browser.submit, "profile", given_name="Анна", terms="accepted")
            for browser in browsers
        )
    )
    subjects = set()
    for answer in answers:
        tokens = party.redeem(parameters_of(answer)["code"]).json()
        subjects.add(claims_of(tokens["id_token"])["sub"])
    assert len(subjects) == 1


async def test_50_clicks_on_one_form_give_one_answer(browser: Browser, party: RelyingParty) -> None:
    browser.authorize(party)
    browser.prove(new_phone())
    form = {
        "csrf": hidden_fields(browser.get("profile").text)["csrf"],
        "given_name": "Анна",
        "terms": "accepted",
    }
    path = f"{browser.interaction}/profile"
    cookie = {"Cookie": "; ".join(f"{it.name}={it.value}" for it in browser.http.cookies.jar)}
    async with connections(browser.provider, 50) as clients:
        answers = await asyncio.gather(
            *(client.post(path, data=form, headers=cookie) for client in clients)
        )
    assert statuses(answers) == {303: 50}
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert len({answer.headers["set-cookie"] for answer in answers}) == 1


IMPORTED = """
[[channels]]
id = "imported"
name = "Imported"
locale = "en"

[channels.brand]
name = { ru = "Imported", en = "Imported" }
color = "#4338ca"
logo = "logos/demo.svg"
terms_uri = "https://imported.example.com/terms"
privacy_uri = "https://imported.example.com/privacy"

[[channels.clients]]
client_id = "imported"
client_name = "Imported"
secret = { argon2id = "HASH" }
redirect_uris = ["https://imported.example.com/callback"]
grant_types = ["authorization_code", "refresh_token"]
"""


@pytest.fixture
def imported() -> Iterator[Running]:
    """A provider with a client from another system, which brought its secret's argon2id hash."""
    hashed = asyncio.run(PasswordHasher().hash("a secret"))
    with run_provider(channels=IMPORTED.replace("HASH", hashed)) as running:
        (running.directory / "secrets" / "imported").write_text("a secret", encoding="ascii")
        yield running


async def test_a_clients_first_requests_wait_for_one_hash(imported: Running) -> None:
    party = RelyingParty(imported, "imported")
    request = {"grant_type": "refresh_token", "refresh_token": "none"}
    responses = await at_once(party, "/token", [request] * 100)
    assert statuses(responses) == {400: 100}
    assert {response.json()["error"] for response in responses} == {"invalid_grant"}


async def test_a_flood_of_wrong_secrets_for_one_client_keeps_no_other_out() -> None:
    hasher = PasswordHasher()
    flooded, other = await hasher.hash("one secret"), await hasher.hash("another secret")
    flood = [asyncio.create_task(hasher.verify(flooded, f"wrong {it}")) for it in range(200)]
    await asyncio.sleep(0)

    assert await hasher.verify(other, "another secret")

    answers = await asyncio.gather(*flood, return_exceptions=True)
    assert Counter(map(type, answers)) == {bool: 2, TemporarilyUnavailable: 198}
    assert await hasher.verify(flooded, "one secret")


async def test_two_secrets_of_a_client_that_changes_them_are_verified_at_once() -> None:
    hasher = PasswordHasher()
    new, old = await hasher.hash("new"), await hasher.hash("old")
    verified = await asyncio.gather(*(hasher.verify(new, it) for it in ("new", "old")))
    assert verified == [True, False]
    assert await hasher.verify(old, "old")
