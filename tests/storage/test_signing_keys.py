"""The life of a key, as the store enforces it: one active, one next, and no unsafe order."""

from collections.abc import Awaitable, Callable

import msgspec
import pytest

from storage import outcomes as o
from storage.records import By, KeyPolicy, KeyState, SigningKeyRow
from storage.store import Store
from tests.storage.builders import MANY, NOW, at_once, new

POLICY = KeyPolicy(publish_ahead=300, propagation=5)
SERVER = By()
OPERATOR = By("anna@bastion", "drill")
LIFETIME = 600
PERIOD = 30 * 86_400
READY = NOW + POLICY.publish_ahead


def new_key(alg: str = "ES256", *, at: int = NOW, use: str = "sig") -> SigningKeyRow:
    kid = new("kid")
    return SigningKeyRow(
        kid=kid,
        alg=alg,
        use="enc" if use == "enc" else "sig",
        public_jwk={"kty": "EC", "kid": kid},
        created_at=at,
        token_lifetime=LIFETIME,
        activates_at=at + PERIOD,
        sealed_public=new("public"),
        sealed_private=new("private"),
    )


async def keys_of(store: Store, alg: str = "ES256") -> dict[KeyState, list[SigningKeyRow]]:
    by_state: dict[KeyState, list[SigningKeyRow]] = {}
    for row in await store.signing_keys():
        if row.alg == alg:
            by_state.setdefault(row.state, []).append(row)
    return by_state


async def the(store: Store, state: KeyState, alg: str = "ES256") -> SigningKeyRow:
    (row,) = (await keys_of(store, alg))[state]
    return row


async def begin(
    store: Store, alg: str = "ES256", use: str = "sig"
) -> tuple[SigningKeyRow, SigningKeyRow]:
    await store.signing_keys_begin(
        new_key(alg, use=use), new_key(alg, use=use), policy=POLICY, now=NOW
    )
    return await the(store, "active", alg), await the(store, "next", alg)


async def schedule(
    store: Store, kid: str, at: int | None, *, now: int = READY, force: bool = False
) -> o.KeyChange:
    return await store.signing_key_schedule(
        kid,
        activates_at=at,
        ordered=True,
        force=force,
        policy=POLICY,
        by=OPERATOR,
        now=now,
    )


async def turn(
    store: Store, kid: str, now: int, successor: SigningKeyRow | None = None
) -> o.KeyChange:
    return await store.signing_key_turn(
        kid, successor=successor or new_key(at=now), policy=POLICY, by=SERVER, now=now
    )


async def retire(
    store: Store,
    kid: str,
    now: int,
    *,
    force: bool = False,
    withdrawn: bool = False,
    successor: SigningKeyRow | None = None,
) -> o.KeyChange:
    return await store.signing_key_retire(
        kid,
        successor=successor,
        withdrawn=withdrawn,
        force=force,
        policy=POLICY,
        by=OPERATOR,
        now=now,
    )


async def revoke(
    store: Store, kid: str, now: int, successor: SigningKeyRow | None = None
) -> o.KeyChange:
    return await store.signing_key_revoke(
        kid, successor=successor, policy=POLICY, by=OPERATOR, now=now
    )


async def test_an_empty_store_has_no_keys(fresh_store: Store) -> None:
    assert await fresh_store.signing_keys() == []


async def test_an_algorithm_begins_with_an_active_and_a_next_key(fresh_store: Store) -> None:
    active, waiting = new_key(), new_key()

    rows = await fresh_store.signing_keys_begin(active, waiting, policy=POLICY, now=NOW)

    assert sorted(rows, key=lambda row: row.state) == [
        msgspec.structs.replace(active, state="active", activated_at=NOW),
        msgspec.structs.replace(waiting, state="next"),
    ]


async def test_many_begin_at_once_and_all_see_the_keys_of_the_one_that_won(
    fresh_store: Store,
) -> None:
    answers = await at_once(
        fresh_store.signing_keys_begin(new_key(), new_key(), policy=POLICY, now=NOW)
        for _ in range(MANY)
    )

    assert len(answers[0]) == 2
    assert answers == [answers[0]] * MANY


async def test_an_algorithm_that_lost_its_next_key_gets_one_beside_its_active_key(
    fresh_store: Store,
) -> None:
    active, waiting = await begin(fresh_store)
    await retire(fresh_store, active.kid, NOW, withdrawn=True)

    await fresh_store.signing_keys_begin(new_key(), new_key(), policy=POLICY, now=NOW)

    states = {state: len(rows) for state, rows in (await keys_of(fresh_store)).items()}
    assert states == {"active": 1, "next": 1, "retiring": 1, "retired": 1}
    assert (await the(fresh_store, "retired")).kid == waiting.kid


async def test_a_next_key_is_never_planned_before_it_is_published_long_enough(
    fresh_store: Store,
) -> None:
    hasty = msgspec.structs.replace(new_key(), activates_at=NOW + 1)

    await fresh_store.signing_keys_begin(new_key(), hasty, policy=POLICY, now=NOW)

    assert (await the(fresh_store, "next")).activates_at == READY


@pytest.mark.parametrize(
    ("now", "wanted", "earliest"),
    [
        (NOW, NOW + 299, NOW + 300),
        (NOW + 299, NOW + 308, NOW + 309),
        (READY, READY, READY + 10),
        (READY, READY + 9, READY + 10),
    ],
)
async def test_an_activation_waits_for_the_caches_and_for_twice_the_propagation(
    fresh_store: Store, now: int, wanted: int, earliest: int
) -> None:
    _, waiting = await begin(fresh_store)

    assert await schedule(fresh_store, waiting.kid, wanted, now=now) == o.TooSoon(earliest)
    assert await the(fresh_store, "next") == waiting
    assert await schedule(fresh_store, waiting.kid, earliest, now=now) == o.Changed()
    assert (await the(fresh_store, "next")).activates_at == earliest


async def test_an_unsafe_activation_can_be_forced_and_says_so_in_the_audit_trail(
    fresh_store: Store,
) -> None:
    _, waiting = await begin(fresh_store)

    assert await schedule(fresh_store, waiting.kid, NOW, now=NOW, force=True) == o.Changed()

    event = (await fresh_store.audit_read())[-1]
    assert (event.event, event.by, event.reason) == (
        "signing_key_scheduled",
        "anna@bastion",
        "drill",
    )
    assert event.detail is not None
    assert '"forced":true' in event.detail
    assert await turn(fresh_store, waiting.kid, NOW) == o.Changed()


async def test_nothing_is_forced_without_a_reason(fresh_store: Store) -> None:
    _, waiting = await begin(fresh_store)

    refused = await fresh_store.signing_key_schedule(
        waiting.kid,
        activates_at=NOW,
        ordered=True,
        force=True,
        policy=POLICY,
        by=By("anna@bastion"),
        now=NOW,
    )

    assert refused == o.TooSoon(READY)


async def test_abandoning_revokes_every_key_and_is_one_event(fresh_store: Store) -> None:
    active, waiting = await begin(fresh_store)
    await turn(fresh_store, waiting.kid, NOW + PERIOD)

    async def abandon() -> int:
        return await fresh_store.keys_abandon(by=OPERATOR, now=NOW + PERIOD)

    assert await abandon() == 3
    assert await abandon() == 0
    rows = await fresh_store.signing_keys()
    assert {active.kid, waiting.kid} < {row.kid for row in rows}
    assert {(row.state, row.sealed_private, row.sealed_public) for row in rows} == {
        ("revoked", None, None)
    }
    event = (await fresh_store.audit_read())[-1]
    assert (event.event, event.by, event.reason) == ("keys_abandoned", "anna@bastion", "drill")


async def test_only_a_next_key_is_scheduled(fresh_store: Store) -> None:
    active, _ = await begin(fresh_store)

    refused = await schedule(fresh_store, active.kid, READY + 10, force=True)

    assert refused == o.WrongState("active")
    assert await schedule(fresh_store, "nobody", READY + 10) == o.Unknown()


async def test_scheduling_twice_is_one_event(fresh_store: Store) -> None:
    _, waiting = await begin(fresh_store)
    await schedule(fresh_store, waiting.kid, READY + 10)
    revisions = await fresh_store.revisions_read()

    await schedule(fresh_store, waiting.kid, READY + 10)

    assert await fresh_store.revisions_read() == revisions


async def test_a_key_turns_when_it_is_due_and_not_a_second_earlier(fresh_store: Store) -> None:
    active, waiting = await begin(fresh_store)
    due = NOW + PERIOD

    assert await turn(fresh_store, waiting.kid, due - 1) == o.TooSoon(due)
    successor = new_key(at=due)
    assert await turn(fresh_store, waiting.kid, due, successor) == o.Changed()

    assert await the(fresh_store, "active") == msgspec.structs.replace(
        waiting, state="active", activated_at=due
    )
    assert await the(fresh_store, "next") == successor
    # The private part is destroyed when the key leaves; it verifies as long as its tokens live.
    assert await the(fresh_store, "retiring") == msgspec.structs.replace(
        active, state="retiring", sealed_private=None, retires_at=due + LIFETIME + 10
    )


async def test_a_key_without_a_plan_does_not_turn(fresh_store: Store) -> None:
    unplanned = msgspec.structs.replace(new_key(), activates_at=None)
    await fresh_store.signing_keys_begin(new_key(), unplanned, policy=POLICY, now=NOW)

    refused = await turn(fresh_store, unplanned.kid, NOW + 10 * PERIOD)

    assert isinstance(refused, o.TooSoon)


async def test_of_many_nodes_that_turn_a_key_one_wins_and_the_others_see_it(
    fresh_store: Store,
) -> None:
    active, waiting = await begin(fresh_store)
    due = NOW + PERIOD

    answers = await at_once(turn(fresh_store, waiting.kid, due) for _ in range(MANY))

    assert answers.count(o.Changed()) == 1
    assert answers.count(o.WrongState("active")) == MANY - 1
    assert len(await fresh_store.signing_keys()) == 3
    assert (await the(fresh_store, "active")).kid == waiting.kid
    assert (await the(fresh_store, "retiring")).kid == active.kid


async def test_turning_an_unknown_key_changes_nothing(fresh_store: Store) -> None:
    await begin(fresh_store)
    before = await fresh_store.signing_keys()

    assert await turn(fresh_store, "nobody", NOW + PERIOD) == o.Unknown()

    assert await fresh_store.signing_keys() == before


async def test_a_retiring_key_retires_when_its_last_token_has_expired(fresh_store: Store) -> None:
    active, waiting = await begin(fresh_store)
    due = NOW + PERIOD
    await turn(fresh_store, waiting.kid, due)
    retires_at = due + LIFETIME + 10

    assert (
        await fresh_store.signing_keys_tend(
            token_lifetime=LIFETIME, policy=POLICY, now=retires_at - 1
        )
        == 0
    )
    assert (
        await fresh_store.signing_keys_tend(token_lifetime=LIFETIME, policy=POLICY, now=retires_at)
        == 1
    )

    retired = await the(fresh_store, "retired")
    assert (retired.kid, retired.ended_at) == (active.kid, retires_at)
    assert retired.sealed_public == active.sealed_public


async def test_a_key_remembers_its_longest_lived_tokens_when_lifetimes_become_shorter(
    fresh_store: Store,
) -> None:
    _, waiting = await begin(fresh_store)
    for lifetime in (3600, 60):
        await fresh_store.signing_keys_tend(token_lifetime=lifetime, policy=POLICY, now=NOW)
    due = NOW + PERIOD

    await turn(fresh_store, waiting.kid, due)

    assert (await the(fresh_store, "retiring")).retires_at == due + 3600 + 10


async def test_an_encryption_key_keeps_its_private_part_until_it_is_retired(
    fresh_store: Store,
) -> None:
    active, waiting = await begin(fresh_store, "ECDH-ES", use="enc")
    due = NOW + PERIOD
    await turn(fresh_store, waiting.kid, due, new_key("ECDH-ES", at=due, use="enc"))

    assert (await the(fresh_store, "retiring", "ECDH-ES")).sealed_private == active.sealed_private
    await fresh_store.signing_keys_tend(token_lifetime=LIFETIME, policy=POLICY, now=due + PERIOD)
    assert (await the(fresh_store, "retired", "ECDH-ES")).sealed_private is None


async def test_a_next_key_is_replaced_and_its_successor_waits_anew(fresh_store: Store) -> None:
    _, waiting = await begin(fresh_store)
    hasty = msgspec.structs.replace(new_key(at=READY), activates_at=READY)

    for _ in range(2):
        replaced = await fresh_store.signing_key_replace(
            hasty, policy=POLICY, by=OPERATOR, now=READY
        )
        assert replaced == o.Changed()

    assert (await the(fresh_store, "next")).activates_at == READY + POLICY.publish_ahead
    retired = await the(fresh_store, "retired")
    assert (retired.kid, retired.sealed_private) == (waiting.kid, None)


async def test_a_key_that_has_left_never_comes_back(fresh_store: Store) -> None:
    active, _ = await begin(fresh_store)
    await revoke(fresh_store, active.kid, NOW, new_key())

    again = await fresh_store.signing_key_replace(active, policy=POLICY, by=OPERATOR, now=NOW)

    assert again == o.WrongState("revoked")


async def test_no_key_is_for_two_algorithms(fresh_store: Store) -> None:
    _, waiting = await begin(fresh_store, "RS256")
    await begin(fresh_store, "PS256")
    same = msgspec.structs.replace(waiting, alg="PS256")

    refused = await fresh_store.signing_key_replace(same, policy=POLICY, by=OPERATOR, now=NOW)

    assert refused == o.WrongState("next")


async def test_there_is_nothing_to_replace_for_an_algorithm_without_keys(
    fresh_store: Store,
) -> None:
    refused = await fresh_store.signing_key_replace(new_key(), policy=POLICY, by=OPERATOR, now=NOW)

    assert refused == o.Unknown()
    assert await fresh_store.signing_keys() == []


async def test_a_retiring_key_is_not_retired_early_unless_forced(fresh_store: Store) -> None:
    active, waiting = await begin(fresh_store)
    due = NOW + PERIOD
    await turn(fresh_store, waiting.kid, due)

    assert await retire(fresh_store, active.kid, due) == o.TooSoon(due + LIFETIME + 10)
    assert await retire(fresh_store, active.kid, due, force=True) == o.Changed()
    assert (await the(fresh_store, "retired")).kid == active.kid
    assert await retire(fresh_store, active.kid, due) == o.Changed()


async def test_a_next_key_is_retired_only_for_a_successor(fresh_store: Store) -> None:
    _, waiting = await begin(fresh_store)
    successor = new_key()

    assert await retire(fresh_store, waiting.kid, NOW) == o.WrongState("next")
    assert await retire(fresh_store, waiting.kid, NOW, successor=successor) == o.Changed()

    assert (await the(fresh_store, "next")).kid == successor.kid
    assert (await the(fresh_store, "retired")).kid == waiting.kid


async def test_an_active_key_is_not_retired_while_its_algorithm_is_in_use(
    fresh_store: Store,
) -> None:
    active, _ = await begin(fresh_store)

    assert await retire(fresh_store, active.kid, NOW, force=True) == o.WrongState("active")


async def test_both_keys_of_a_withdrawn_algorithm_leave(fresh_store: Store) -> None:
    active, waiting = await begin(fresh_store)

    assert await retire(fresh_store, active.kid, NOW, withdrawn=True) == o.Changed()

    assert (await the(fresh_store, "retiring")).kid == active.kid
    assert (await the(fresh_store, "retired")).kid == waiting.kid


async def test_in_the_place_of_a_revoked_active_key_the_published_next_one_signs_at_once(
    fresh_store: Store,
) -> None:
    active, waiting = await begin(fresh_store)
    successor = new_key(at=NOW + 7)

    assert await revoke(fresh_store, active.kid, NOW + 7, successor) == o.Changed()

    revoked = await the(fresh_store, "revoked")
    assert revoked.kid == active.kid
    # Nobody can bring it back: neither who writes rows, nor who has the key-encryption key.
    assert (revoked.sealed_private, revoked.sealed_public) == (None, None)
    assert (await the(fresh_store, "active")) == msgspec.structs.replace(
        waiting, state="active", activated_at=NOW + 7
    )
    assert (await the(fresh_store, "next")).kid == successor.kid


async def test_many_revoke_a_key_at_once_and_one_step_is_taken(fresh_store: Store) -> None:
    active, waiting = await begin(fresh_store)

    answers = await at_once(revoke(fresh_store, active.kid, NOW, new_key()) for _ in range(MANY))

    assert answers == [o.Changed()] * MANY
    assert (await the(fresh_store, "active")).kid == waiting.kid
    assert len(await fresh_store.signing_keys()) == 3


async def test_a_key_is_revoked_from_every_state(fresh_store: Store) -> None:
    active, waiting = await begin(fresh_store)
    due = NOW + PERIOD
    await turn(fresh_store, waiting.kid, due)  # active -> retiring, waiting -> active
    after = (await the(fresh_store, "next")).kid
    await revoke(fresh_store, after, due, new_key(at=due))
    await revoke(fresh_store, active.kid, due)
    await revoke(fresh_store, waiting.kid, due, new_key(at=due))
    later = (await the(fresh_store, "active")).kid
    await turn(fresh_store, (await the(fresh_store, "next")).kid, due + 2 * PERIOD)
    await fresh_store.signing_keys_tend(
        token_lifetime=LIFETIME, policy=POLICY, now=due + 3 * PERIOD
    )
    assert (await the(fresh_store, "retired")).kid == later
    await revoke(fresh_store, later, due)

    by_state = await keys_of(fresh_store)
    assert {row.kid for row in by_state["revoked"]} == {active.kid, waiting.kid, after, later}
    assert len(by_state["active"]) == len(by_state["next"]) == 1
    assert await revoke(fresh_store, "nobody", due) == o.Unknown()


async def test_a_turn_and_a_revocation_that_race_leave_one_active_and_one_next_key(
    fresh_store: Store,
) -> None:
    active, waiting = await begin(fresh_store)
    due = NOW + PERIOD

    await at_once(
        step
        for _ in range(MANY // 2)
        for step in (
            turn(fresh_store, waiting.kid, due),
            revoke(fresh_store, active.kid, due, new_key(at=due)),
            revoke(fresh_store, waiting.kid, due, new_key(at=due)),
        )
    )

    by_state = await keys_of(fresh_store)
    assert len(by_state["active"]) == len(by_state["next"]) == 1
    assert {row.kid for row in by_state["revoked"]} == {active.kid, waiting.kid}


async def test_every_change_is_told_to_the_workers(fresh_store: Store) -> None:
    active, waiting = await begin(fresh_store)
    seen = [(await fresh_store.revisions_read())["keys"]]
    steps: tuple[Callable[[], Awaitable[o.KeyChange]], ...] = (
        lambda: schedule(fresh_store, waiting.kid, READY + 10),
        lambda: turn(fresh_store, waiting.kid, READY + 10),
        lambda: retire(fresh_store, active.kid, READY + 10, force=True),
        lambda: revoke(fresh_store, waiting.kid, READY + 10, new_key()),
    )

    for step in steps:
        assert await step() == o.Changed()
        seen.append((await fresh_store.revisions_read())["keys"])

    assert len(set(seen)) == len(steps) + 1


async def test_a_key_in_the_module_is_forgotten_once_it_has_left(fresh_store: Store) -> None:
    in_module = msgspec.structs.replace(new_key(), hsm=True, sealed_private=None)
    await fresh_store.signing_keys_begin(in_module, new_key(), policy=POLICY, now=NOW)
    waiting = await the(fresh_store, "next")

    await fresh_store.signing_key_forgotten(in_module.kid, found=True, now=NOW)
    assert (await the(fresh_store, "active")).hsm

    await turn(fresh_store, waiting.kid, NOW + PERIOD)
    await fresh_store.signing_key_forgotten(in_module.kid, found=False, now=NOW + PERIOD)
    assert not (await the(fresh_store, "retiring")).hsm
    assert (await fresh_store.audit_read())[-1].event == "signing_key_missing"
