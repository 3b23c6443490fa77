"""The first sign-in is the registration: one customer per phone, however many requests race."""

from dataclasses import replace
from typing import Any

from storage import outcomes as o
from storage.store import Store
from tests.storage.builders import (
    LIFETIMES,
    MANY,
    NOW,
    RIGHT,
    Code,
    Login,
    Owner,
    PhoneGrant,
    at_once,
    kinds,
    new_challenge,
    new_phone,
    new_request,
    new_sign_in,
    open_grant,
)


def code_of(login: Login) -> Code:
    """The code that signing in by this login issues."""
    return Code(grant_id=login.sign_in.grant_id, code=login.code)


async def proven(store: Store, phone: str, **request: Any) -> Login:
    login = Login(request=new_request(**request))
    assert await login.prove(store, phone) == o.Unregistered(phone)
    return login


async def test_a_proven_phone_of_nobody_waits_for_a_profile(store: Store) -> None:
    login = await proven(store, phone := new_phone())

    step = await login.read(store)

    assert isinstance(step, o.FoundInteraction)
    assert (step.step, step.phone) == ("profile", phone)


async def test_registering_makes_the_profile_and_signs_in(store: Store) -> None:
    login = await proven(store, phone := new_phone())

    signed_in = await login.register(store, NOW + 5)

    assert signed_in == o.SignedIn(login.new_sub, login.sign_in.new_sid, login.request, phone)
    found = await store.customer_read(login.new_sub)
    assert isinstance(found, o.FoundCustomer)
    assert (found.customer.phone, found.customer.given_name) == (phone, "Анна")
    assert (found.customer.phone_verified_at, found.customer.created_at) == (NOW, NOW + 5)


async def test_the_code_of_a_registration_is_good(store: Store) -> None:
    login = await proven(store, new_phone())
    await login.register(store)

    answer = await code_of(login).redeem(store)

    assert isinstance(answer, o.Redeemed)
    assert answer.sub == login.new_sub


async def test_a_known_phone_signs_in_without_registering(store: Store) -> None:
    customer = await open_grant(store)
    login = Login()

    answer = await login.prove(store, customer.phone, NOW + 60)

    new_sid = login.sign_in.new_sid
    assert answer == o.SignedIn(customer.sub, new_sid, login.request, customer.phone)
    found = await store.customer_read(customer.sub)
    assert isinstance(found, o.FoundCustomer)
    assert found.customer.phone_verified_at == NOW + 60


async def test_many_first_sign_ins_of_one_phone_make_one_customer(
    store: Store, owner: Owner
) -> None:
    phone = new_phone()
    logins = await at_once(proven(store, phone) for _ in range(MANY))
    customers = await owner.count("customer")

    answers = await at_once(login.register(store) for login in logins)

    assert kinds(answers) == {o.SignedIn: MANY}
    subs = {answer.sub for answer in answers if isinstance(answer, o.SignedIn)}
    assert len(subs) == 1
    assert await owner.count("customer") == customers + 1
    assert await owner.events("registered", subs.pop()) == 1


async def test_many_first_sign_ins_by_the_phone_grant_make_one_customer(
    store: Store, other_store: Store, owner: Owner
) -> None:
    phone, journeys = new_phone(), [PhoneGrant() for _ in range(MANY)]
    await at_once(journey.start(store, new_challenge(phone)) for journey in journeys)
    customers = await owner.count("customer")

    answers = await at_once(
        journey.enter((store, other_store)[number % 2], RIGHT)
        for number, journey in enumerate(journeys)
    )

    assert len({answer.sub for answer in answers if isinstance(answer, o.Redeemed)}) == 1
    assert await owner.count("customer") == customers + 1


async def customer_of_the_phone_grant(store: Store) -> tuple[str, str]:
    """Somebody who has not been to the pages yet: phone and sub."""
    phone, journey = new_phone(), PhoneGrant()
    await journey.start(store, new_challenge(phone))
    await journey.enter(store, RIGHT)
    return phone, journey.new_sub


async def test_a_customer_of_the_phone_grant_registers_at_the_first_page(
    store: Store, owner: Owner
) -> None:
    phone, sub = await customer_of_the_phone_grant(store)
    login = await proven(store, phone)

    answer = await login.register(store)

    assert answer == o.SignedIn(sub, login.sign_in.new_sid, login.request, phone)
    found = await store.customer_read(sub)
    assert isinstance(found, o.FoundCustomer)
    assert found.customer.given_name == "Анна"
    assert isinstance(await Login().prove(store, phone), o.SignedIn)


async def test_many_first_pages_register_a_customer_of_the_phone_grant_once(
    store: Store, owner: Owner
) -> None:
    phone, sub = await customer_of_the_phone_grant(store)
    logins = await at_once(proven(store, phone) for _ in range(MANY))
    profile = "return box.space.customer:get(...):tomap({ names_only = true })"

    first = await logins[0].register(store, NOW + 1)
    complete = await owner.eval(profile, sub)
    others = await at_once(login.register(store, NOW + 2) for login in logins[1:])

    assert {answer.sub for answer in [first, *others] if isinstance(answer, o.SignedIn)} == {sub}
    assert complete["terms_accepted_at"] == NOW + 1
    assert await owner.eval(profile, sub) == complete | {"last_sign_in": NOW + 2}


async def test_a_required_customer_of_the_phone_grant_registers_at_the_first_page(
    store: Store,
) -> None:
    phone, sub = await customer_of_the_phone_grant(store)
    login = await proven(store, phone, required_sub=sub)

    assert isinstance(await login.register(store), o.SignedIn)


async def test_the_steps_again_have_the_same_answers(store: Store, owner: Owner) -> None:
    login = await proven(store, phone := new_phone())

    proofs = await at_once(login.enter(store, RIGHT) for _ in range(MANY))
    answers = await at_once(login.register(store) for _ in range(MANY))

    assert proofs == [o.Unregistered(phone)] * MANY
    assert answers == [answers[0]] * MANY
    assert isinstance(answers[0], o.SignedIn)
    assert await owner.events("signed_in", login.new_sub) == 1


async def test_a_sign_in_again_has_the_same_answer(store: Store, owner: Owner) -> None:
    customer, login = await open_grant(store), await Login().begin(store)
    await login.start(store, new_challenge(customer.phone))

    answers = await at_once(login.enter(store, RIGHT) for _ in range(MANY))

    assert answers == [answers[0]] * MANY
    assert isinstance(answers[0], o.SignedIn)
    assert await owner.events("signed_in", customer.sub) == 2


async def test_a_second_click_answers_with_the_first_ones_session(store: Store) -> None:
    login = await proven(store, new_phone())
    first = await login.register(store)

    second = await replace(login, sign_in=new_sign_in()).register(store)

    assert second == first


async def test_once_its_code_is_used_the_login_is_completed(store: Store) -> None:
    login = await proven(store, new_phone())
    await login.register(store)

    await code_of(login).redeem(store)

    completed = o.Completed(login.request)
    assert await login.register(store) == completed
    assert await login.enter(store, RIGHT) == completed
    assert await login.start(store, new_challenge(new_phone())) == completed


async def test_once_its_code_is_too_old_the_login_is_completed(store: Store) -> None:
    login = await proven(store, new_phone())
    await login.register(store)

    assert isinstance(await login.register(store, NOW + LIFETIMES.code - 1), o.SignedIn)
    assert await login.register(store, NOW + LIFETIMES.code) == o.Completed(login.request)


async def test_once_its_session_has_ended_the_login_is_completed(store: Store) -> None:
    login = await proven(store, new_phone())
    await login.register(store)

    await store.session_end(login.sign_in.new_sid, client_id=None, now=NOW)

    assert await login.register(store) == o.Completed(login.request)


async def test_nobody_registers_without_a_proven_phone(store: Store) -> None:
    login = await Login().begin(store)
    before_the_code = await login.register(store)
    await login.start(store, new_challenge(new_phone()))

    assert before_the_code == await login.register(store) == o.Unknown()


async def test_another_phone_must_be_proven_anew(store: Store) -> None:
    login = await proven(store, new_phone())

    await login.start(store, new_challenge(new_phone()))

    assert await login.register(store) == o.Unknown()


async def test_another_browser_does_not_register(store: Store) -> None:
    login = await proven(store, new_phone())

    assert await replace(login, browser="other").register(store) == o.OtherBrowser()


async def test_nobody_registers_too_late(store: Store) -> None:
    login = await proven(store, new_phone())
    late = NOW + LIFETIMES.interaction

    assert await login.register(store, late) == o.Expired(login.request)
    assert isinstance(await login.register(store, late - 1), o.SignedIn)


async def test_a_customer_of_a_test_number_is_a_test_customer(store: Store, owner: Owner) -> None:
    login = await Login().begin(store)
    await login.start(store, new_challenge(new_phone(), test=True))
    await login.enter(store, RIGHT)
    await login.register(store)

    assert await owner.eval("return box.space.customer:get(...).test", login.new_sub) is True


# OpenID Connect Core 3.1.2.1: `id_token_hint` names who must sign in.


async def test_the_required_customer_signs_in(store: Store) -> None:
    customer = await open_grant(store)
    login = Login(request=new_request(required_sub=customer.sub))

    assert isinstance(await login.prove(store, customer.phone), o.SignedIn)


async def test_another_customer_than_the_required_one_is_refused(
    store: Store, owner: Owner
) -> None:
    required, other = await open_grant(store), await open_grant(store)
    login = Login(request=new_request(required_sub=required.sub))
    sessions = await owner.count("session")

    answer = await login.prove(store, other.phone)

    assert answer == o.OtherCustomer(login.request)
    assert await owner.count("session") == sessions
    assert await code_of(login).redeem(store) == o.Unknown()


async def test_nobody_new_registers_where_a_customer_is_required(
    store: Store, owner: Owner
) -> None:
    required = await open_grant(store)
    login = Login(request=new_request(required_sub=required.sub))
    customers = await owner.count("customer")

    assert await login.prove(store, new_phone()) == o.OtherCustomer(login.request)
    assert await login.register(store) == o.Unknown()
    assert await owner.count("customer") == customers


async def test_refusing_another_customer_again_has_the_same_answer(store: Store) -> None:
    required, other = await open_grant(store), await open_grant(store)
    login = Login(request=new_request(required_sub=required.sub))
    refused = await login.prove(store, other.phone)

    assert await login.enter(store, RIGHT) == refused
