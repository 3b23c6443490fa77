"""What the store must answer, said once more in plain Python for one caller at a time.

Times are Unix seconds, tokens and codes are themselves instead of their hashes.
"""

import math
from dataclasses import dataclass, field

from conf.settings import Lifetimes, Limit
from storage import outcomes as o
from tests.storage.builders import CLIENT, RIGHT, Grant, successor

LIFETIMES = Lifetimes(
    code=60,
    access_token=300,
    refresh_idle=1000,
    refresh_absolute=2500,
    refresh_grace=30,
    session_idle=1500,
    session_absolute=4000,
)
WRONG_TRIES = Limit(burst=7, period=700)
TRIES, VALIDITY, RESEND_AFTER, LONGEST = 5, 180, 30, 600
REPLAY_MEMORY = 3600
TOUCH_EVERY = 60


@dataclass
class SessionRow:
    sub: str
    created_at: int
    seen_at: int
    expires_at: int


@dataclass
class GrantRow:
    sub: str
    sid: str
    offline: bool
    created_at: int
    expires_at: int


@dataclass
class CodeRow:
    grant_id: str
    expires_at: int
    attempt: str | None = None


@dataclass
class FamilyRow:
    current: str
    attempt: str
    rotated_at: int
    expires_at: int
    previous: str | None = None


@dataclass
class ChallengeRow:
    challenge_id: str
    attempt: str
    created_at: int
    resend_at: int
    expires_at: int
    tries_left: int = TRIES
    wrong_attempt: str | None = None
    spent_by: str | None = None
    grant_id: str | None = None
    sends: int = 0


@dataclass
class BlockRow:
    at: int
    lifted_at: int | None = None


@dataclass
class Model:
    now: int
    sessions: dict[str, SessionRow] = field(default_factory=dict)
    grants: dict[str, GrantRow] = field(default_factory=dict)
    codes: dict[str, CodeRow] = field(default_factory=dict)
    families: dict[str, FamilyRow] = field(default_factory=dict)
    challenges: dict[str, ChallengeRow] = field(default_factory=dict)
    arrivals: dict[str, int] = field(default_factory=dict)
    subs: dict[str, str] = field(default_factory=dict)  # by phone
    blocks: dict[str, BlockRow] = field(default_factory=dict)

    def open(self, grant: Grant, attempt: str, *, offline: bool) -> None:
        """Open a session, and a grant on it with its first refresh token."""
        self.subs[grant.phone] = grant.sub
        self.sessions[grant.sid] = SessionRow(
            grant.sub, self.now, self.now, self.now + LIFETIMES.session_idle
        )
        self.grants[grant.grant_id] = GrantRow(
            grant.sub, grant.sid, offline, self.now, self.now + LIFETIMES.refresh_absolute
        )
        self._begin_family(grant.grant_id, grant.token, attempt)

    def block(self, sub: str) -> type[o.Outcome]:
        row = self.blocks.get(sub)
        if row is not None and row.lifted_at is None:
            return o.Blocked if row.at == self.now else o.AlreadyBlocked
        self.blocks[sub] = BlockRow(self.now)
        self.revoke(sub)
        return o.Blocked

    def unblock(self, sub: str) -> type[o.Outcome]:
        row = self.blocks.get(sub)
        if row is None or row.lifted_at not in (None, self.now):
            return o.NotBlocked
        row.lifted_at = self.now
        return o.Unblocked

    def revoke(self, sub: str | None, since: int = 0, before: int | None = None) -> None:
        """End all that a customer has, or everybody; with the times, what began between them."""

        def ends(row: SessionRow | GrantRow) -> bool:
            in_time = since <= row.created_at and (before is None or row.created_at < before)
            return in_time and sub in (None, row.sub)

        for grant_id in [k for k, row in self.grants.items() if ends(row)]:
            self._kill(grant_id)
        self.sessions = {k: row for k, row in self.sessions.items() if not ends(row)}

    def alive(self, grant_id: str) -> bool:
        grant = self.grants.get(grant_id)
        if grant is None or self.now >= grant.expires_at:
            return False
        return grant.offline or self._session_lives(grant.sid)

    def end_session(self, sid: str) -> None:
        for grant_id, grant in list(self.grants.items()):
            if grant.sid == sid and not grant.offline:
                self._kill(grant_id)
        self.sessions.pop(sid, None)

    def issue(self, sid: str, grant_id: str, code: str, *, offline: bool) -> type[o.Outcome]:
        if not self._session_lives(sid):
            return o.SessionEnded
        self._touch(sid)
        expires_at = self.now + LIFETIMES.code
        sub = self.sessions[sid].sub
        self.grants[grant_id] = GrantRow(sub, sid, offline, self.now, expires_at)
        self.codes[code] = CodeRow(grant_id, expires_at)
        return o.Issued

    def redeem(self, code: str, client_id: str, token: str, attempt: str) -> type[o.Outcome]:
        row = self.codes.get(code)
        if row is None:
            return o.Unknown
        if client_id != CLIENT:
            return o.Mismatch
        if row.attempt == attempt:
            return o.Redeemed if self.alive(row.grant_id) else o.Unknown
        if row.attempt is not None:
            self._kill(row.grant_id)
            return o.Replayed
        if self.now >= row.expires_at:
            return o.Expired
        if not self.alive(row.grant_id):
            return o.Unknown
        row.attempt, row.expires_at = attempt, self.now + REPLAY_MEMORY
        self.grants[row.grant_id].expires_at = self.now + LIFETIMES.refresh_absolute
        self._begin_family(row.grant_id, token, attempt)
        return o.Redeemed

    def rotate(self, grant_id: str, client_id: str, token: str, attempt: str) -> type[o.Outcome]:
        family = self.families.get(grant_id)
        if family is None or not self.alive(grant_id):
            return o.Unknown
        if client_id != CLIENT:
            return o.Mismatch
        if self.now >= family.expires_at:
            return o.Expired
        grant = self.grants[grant_id]
        if token == family.current:
            idle_end = self.now + LIFETIMES.refresh_idle
            expires_at = min(idle_end, grant.expires_at)
            self.families[grant_id] = FamilyRow(
                successor(token), attempt, self.now, expires_at, previous=token
            )
            if not grant.offline:
                self._touch(grant.sid)
            return o.Rotated
        in_grace = self.now < family.rotated_at + LIFETIMES.refresh_grace
        if token == family.previous and (attempt == family.attempt or in_grace):
            return o.Rotated
        self._kill(grant_id)
        return o.Replayed

    def start(self, journey: str, challenge_id: str, attempt: str) -> bool:
        """Begin a challenge or go on with the running one, and say whether a message is due."""
        running = self.challenges.get(journey)
        if running is None or self._is_over(running):
            running = ChallengeRow(challenge_id, attempt, self.now, self.now, self.now)
            self.challenges[journey] = running
        elif running.attempt == attempt:
            return True
        if self.now < running.resend_at:
            return False
        if self.now + VALIDITY > running.created_at + LONGEST:
            running = ChallengeRow(challenge_id, attempt, self.now, self.now, self.now)
            self.challenges[journey] = running
        running.attempt = attempt
        running.resend_at = self.now + RESEND_AFTER * 2 ** min(running.sends, 3)
        running.sends += 1
        running.expires_at = self.now + VALIDITY
        return True

    def enter(self, journey: str, phone: str, code: str, attempt: str) -> o.Outcome | None:
        """Refuse a one-time code; None if it is right, for the first time or once more."""
        row = self.challenges.get(journey)
        if row is None:
            return o.Unknown()
        if self.now >= row.expires_at:
            return o.CodeExpired()
        if row.spent_by is not None:
            again = code == RIGHT and row.spent_by == attempt
            if again and self._is_blocked(phone):
                return o.CustomerBlocked()
            return None if again and self.alive(row.grant_id or "") else o.Spent()
        if row.tries_left > 0 and attempt != row.wrong_attempt:
            limited = self._wait(phone)
            if limited is not None and row.wrong_attempt is not None:
                return limited
            if code == RIGHT and self._is_blocked(phone):
                row.spent_by = attempt
                return o.CustomerBlocked()
            if code == RIGHT:
                return None
            if limited is None:
                self.arrivals[phone] = self._next_arrival(phone)
            row.tries_left, row.wrong_attempt = row.tries_left - 1, attempt
        return o.Wrong(row.tries_left) if row.tries_left else o.Exhausted()

    def spend(self, journey: str, attempt: str, grant_id: str) -> None:
        self.challenges[journey].spent_by = attempt
        self.challenges[journey].grant_id = grant_id

    def sweep(self) -> None:
        for sid, session in list(self.sessions.items()):
            if self.now >= session.expires_at:
                self.end_session(sid)
        ended = [k for k, row in self.families.items() if self.now >= row.expires_at]
        ended += [k for k, row in self.grants.items() if self.now >= row.expires_at]
        for grant_id in ended:
            self._kill(grant_id)
        self.codes = {k: row for k, row in self.codes.items() if self.now < row.expires_at}
        self.challenges = {
            k: row for k, row in self.challenges.items() if self.now < row.expires_at
        }

    def _is_blocked(self, phone: str) -> bool:
        block = self.blocks.get(self.subs.get(phone, ""))
        return block is not None and block.lifted_at is None

    def _begin_family(self, grant_id: str, token: str, attempt: str) -> None:
        expires_at = self.now + min(LIFETIMES.refresh_idle, LIFETIMES.refresh_absolute)
        self.families[grant_id] = FamilyRow(token, attempt, self.now, expires_at)

    def _session_lives(self, sid: str) -> bool:
        return sid in self.sessions and self.now < self.sessions[sid].expires_at

    def _touch(self, sid: str) -> None:
        session = self.sessions[sid]
        if self.now - session.seen_at >= TOUCH_EVERY:
            session.seen_at = self.now
            session.expires_at = min(
                self.now + LIFETIMES.session_idle,
                session.created_at + LIFETIMES.session_absolute,
            )

    def _kill(self, grant_id: str) -> None:
        self.grants.pop(grant_id, None)
        self.families.pop(grant_id, None)

    def _is_over(self, challenge: ChallengeRow) -> bool:
        spent = challenge.spent_by is not None or challenge.tries_left == 0
        return spent or self.now >= challenge.expires_at

    def _next_arrival(self, phone: str) -> int:
        return max(self.arrivals.get(phone, 0), self.now) + WRONG_TRIES.period // WRONG_TRIES.burst

    def _wait(self, phone: str) -> o.Limited | None:
        wait = math.ceil(self._next_arrival(phone) - self.now - WRONG_TRIES.period)
        return o.Limited(wait) if wait > 0 else None
