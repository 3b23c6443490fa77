"""Playing what is asked for against the store, second by second of the simulated time."""

import asyncio
import hashlib
import heapq
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from benchmarks.drill_sms.world import Ask
from conf.settings import Lifetimes, Limit, Otp
from conf.settings import Sending as SendingSettings
from flows.one_time_code import ACR, AMR
from storage import outcomes as o
from storage.records import KeyedLimit, NewChallenge, Proof, Sending, SignIn, Wanted
from storage.store import Store

BEGINNING: Final = 1_800_000_000
CLIENT: Final = "shop"
_CODE: Final = hashlib.sha256(b"right").digest()
_LIFETIMES: Final = Lifetimes()
_EASY: Final = Limit(1_000_000, 1)
_ids = itertools.count()


@dataclass
class Tally:
    """What became of what was asked for."""

    begins: int
    asked: int = 0
    asked_late: int = 0  # after the first minute of the attack
    sent: int = 0
    sent_late: int = 0
    honest: int = 0
    strangers: int = 0  # of the honest
    refused: int = 0
    proofs: int = 0  # that honest customers had to work for
    detected_after: float | None = None


class Simulation:
    """One world and one store."""

    def __init__(self, store: Store, otp: Otp, sending: SendingSettings, tally: Tally) -> None:
        self._store, self._otp, self._sending, self.tally = store, otp, sending, tally

    async def play(self, asks: Iterable[Ask]) -> None:
        """Everything in the order of time; what falls into one second happens at once."""
        waiting: list[tuple[float, int, Ask, str | None]] = []
        for ask in asks:
            heapq.heappush(waiting, (ask.at, next(_ids), ask, None))
        while waiting:
            second = int(waiting[0][0])
            batch = []
            while waiting and waiting[0][0] < second + 1:
                batch.append(heapq.heappop(waiting))
            later = await asyncio.gather(
                *(self._step(at, ask, session) for at, _, ask, session in batch)
            )
            for again in later:
                if again is not None:
                    heapq.heappush(waiting, (again[0], next(_ids), again[1], again[2]))

    async def _step(
        self, at: float, ask: Ask, session: str | None
    ) -> tuple[float, Ask, str | None] | None:
        if session is not None:
            await self._answer(at, session)
            return None
        sent = await self._ask(at, ask)
        if sent is None or ask.answers_after is None:
            return None
        return at + ask.answers_after, ask, sent

    async def _ask(self, at: float, ask: Ask) -> str | None:
        session = f"s{next(_ids)}"
        answer = await self._start(at, ask, session, None)
        proved = isinstance(answer, o.ProofWanted)
        if proved and ask.solves:
            answer = await self._start(at, ask, session, Proof(session, int(BEGINNING + at) + 300))
        sent = isinstance(answer, o.OtpStarted) and answer.send
        alarms = answer.alarms if isinstance(answer, o.OtpStarted) else ()
        self._count(at, ask, alarms, sent=sent, proved=proved)
        return session if sent else None

    def _count(
        self, at: float, ask: Ask, alarms: Iterable[object], *, sent: bool, proved: bool
    ) -> None:
        tally = self.tally
        if alarms and tally.detected_after is None and at >= tally.begins:
            tally.detected_after = at - tally.begins
        if ask.honest:
            tally.honest += 1
            tally.strangers += ask.stranger
            tally.proofs += proved
            if not sent:
                tally.refused += 1
            return
        late = at >= tally.begins + 60
        tally.asked += 1
        tally.asked_late += late
        tally.sent += sent
        tally.sent_late += sent and late

    async def _start(self, at: float, ask: Ask, session: str, proof: Proof | None) -> o.OtpStart:
        otp, sending = self._otp, self._sending
        device = f"send:device:{ask.phone}" if ask.device else None
        return await self._store.otp_start(
            session,
            client_id=CLIENT,
            locale="ru",
            challenge=NewChallenge(
                challenge_id=session,
                phone=ask.phone,
                otp_hash=_CODE,
                tries=5,
                validity=180,
                resend_after=30,
                test=False,
                attempt=session,
                send_limits=(
                    _keyed(f"send:phone:{ask.phone}", otp.sends_per_phone),
                    _keyed(f"send:network:{ask.network}", otp.sends_per_address),
                ),
                sending=Sending(
                    source=ask.network,
                    prefix=ask.prefix,
                    address=ask.address,
                    prefix_limit=_keyed(f"send:prefix:{ask.prefix}", otp.sends_per_prefix),
                    wrong_tries=_keyed(f"wrong:source:{ask.network}", otp.wrong_tries_per_address),
                    client_budget=sending.client_budget,
                    lowest_conversion=sending.lowest_conversion,
                    hold=sending.hold,
                    device=_keyed(device, otp.sends_per_device) if device else None,
                    proof=proof,
                ),
            ),
            resend=False,
            now=int(BEGINNING + at),
        )

    async def _answer(self, at: float, session: str) -> None:
        await self._store.otp_redeem(
            session,
            client_id=CLIENT,
            otp_hashes=[_CODE],
            new_sub=f"sub{session}",
            wanted=Wanted(CLIENT, "openid", offline=False, refresh=False),
            refresh_hash=_CODE,
            attempt=session,
            wrong_tries=_EASY,
            sign_in=SignIn(f"sid{session}", f"grant{session}", ACR, AMR, _LIFETIMES),
            now=int(BEGINNING + at),
        )


def _keyed(key: str, limit: Limit) -> KeyedLimit:
    return KeyedLimit(key, limit.burst, limit.period)
