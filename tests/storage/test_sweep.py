"""The sweep removes what has expired, in batches, and nothing that anybody could still ask for."""

from storage import outcomes as o
from storage.records import KeyedLimit
from storage.store import Store
from tests.storage.builders import (
    CLIENT,
    LIFETIMES,
    NOW,
    RIGHT,
    Login,
    Owner,
    PhoneGrant,
    is_alive,
    issue_code,
    new_challenge,
    new_phone,
    open_grant,
)

FOREVER = NOW + 10**12
EVERYTHING = 1_000_000
STAYS = KeyedLimit("begin", 1_000, 10**13)  # its row expires long after all others
KEPT = {"consent", "customer", "audit", "heartbeat", "revision", "schema_version"}
OF_SEVERAL_NODES = {"leadership", "promise"}


async def store_requests(store: Store, how_many: int) -> None:
    for number in range(how_many):
        await store.authorization_request_store(
            f"request-{number}", {}, expires_at=NOW + number, limit=STAYS, now=NOW
        )


async def test_what_is_not_expired_stays(fresh_store: Store) -> None:
    await store_requests(fresh_store, 10)

    assert await fresh_store.sweep(limit=EVERYTHING, now=NOW - 1) == 0
    assert await fresh_store.sweep(limit=EVERYTHING, now=NOW + 4) == 5
    kept = await fresh_store.authorization_request_read("request-5", now=NOW)
    assert isinstance(kept, o.FoundRequest)


async def test_a_batch_is_as_big_as_its_limit_and_the_next_goes_on(fresh_store: Store) -> None:
    await store_requests(fresh_store, 25)

    batches = [await fresh_store.sweep(limit=10, now=NOW + 100) for _ in range(4)]

    assert batches == [10, 10, 5, 0]


async def test_a_batch_counts_what_a_session_takes_along(fresh_store: Store) -> None:
    for _ in range(3):
        await open_grant(fresh_store)
    late = NOW + LIFETIMES.session_idle

    # Two sessions, each with its grant and that grant's family.
    assert await fresh_store.sweep(limit=4, now=late) == 6


async def test_in_the_end_only_what_has_no_end_is_left(
    fresh_store: Store, fresh_owner: Owner
) -> None:
    grant = await open_grant(fresh_store)
    await issue_code(fresh_store, grant)
    await (await issue_code(fresh_store, grant, offline=True)).redeem(fresh_store)
    await store_requests(fresh_store, 3)
    await Login().prove(fresh_store, new_phone())
    await fresh_store.access_token_revoke(
        grant_id=grant.grant_id, jti="jti", client_id=CLIENT, expires_at=NOW, now=NOW
    )

    while await fresh_store.sweep(limit=4, now=FOREVER):
        pass

    count = "local n = {} for _, s in pairs(box.space) do n[s.name] = s:count() end return n"
    rows = await fresh_owner.eval(count)
    own = {name: count for name, count in rows.items() if not name.startswith("_")}
    assert {name for name, count in own.items() if count} <= KEPT | OF_SEVERAL_NODES


async def test_a_swept_session_takes_its_grants_along_but_not_offline_access(
    fresh_store: Store,
) -> None:
    online, offline = await open_grant(fresh_store), await open_grant(fresh_store, offline=True)
    late = NOW + LIFETIMES.session_idle

    await fresh_store.sweep(limit=EVERYTHING, now=late)

    assert not await is_alive(fresh_store, online.grant_id)
    assert isinstance(await offline.rotate(fresh_store, offline.token, now=late), o.Rotated)


async def test_an_idle_family_takes_its_grant_along(fresh_store: Store) -> None:
    offline = await open_grant(fresh_store, offline=True)

    await fresh_store.sweep(limit=EVERYTHING, now=NOW + LIFETIMES.refresh_idle)

    assert not await offline.alive(fresh_store)


async def test_a_code_that_nobody_redeemed_takes_its_grant_along(
    fresh_store: Store, fresh_owner: Owner
) -> None:
    session = await open_grant(fresh_store)
    codes, grants = await fresh_owner.count("code"), await fresh_owner.count("grant")
    await issue_code(fresh_store, session)

    await fresh_store.sweep(limit=EVERYTHING, now=NOW + LIFETIMES.code)

    assert await fresh_owner.count("code") == codes
    assert await fresh_owner.count("grant") == grants


async def test_a_spent_code_is_remembered_for_an_hour(fresh_store: Store) -> None:
    code = await issue_code(fresh_store)
    await code.redeem(fresh_store)

    await fresh_store.sweep(limit=EVERYTHING, now=NOW + 3599)
    assert await code.redeem(fresh_store, now=NOW + 3599) == o.Replayed()

    await fresh_store.sweep(limit=EVERYTHING, now=NOW + 3600)
    assert await code.redeem(fresh_store, now=NOW + 3600) == o.Unknown()


async def test_an_expired_login_is_remembered_for_an_hour(fresh_store: Store) -> None:
    login = await Login().begin(fresh_store)
    swept = NOW + LIFETIMES.interaction + 3600

    await fresh_store.sweep(limit=EVERYTHING, now=swept - 1)
    assert await login.read(fresh_store, swept - 1) == o.Expired(login.request)

    await fresh_store.sweep(limit=EVERYTHING, now=swept)
    assert await login.read(fresh_store, swept) == o.Unknown()


async def test_a_redemption_again_after_the_sweep_redeems_nothing(fresh_store: Store) -> None:
    journey = PhoneGrant()
    await journey.start(fresh_store, new_challenge(new_phone()))
    await journey.enter(fresh_store, RIGHT)

    await fresh_store.sweep(limit=EVERYTHING, now=NOW + 180)

    assert await journey.enter(fresh_store, RIGHT, NOW + 180) == o.Unknown()
