"""How channels and clients differ from what they were, member by member, and what that breaks."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from flows.channel import Channel
from flows.channel_secrets import forget_end
from flows.claims import CLAIMS, SCOPES
from flows.clients import ClientDocument, ClientSecret
from keys.hashing import sha256
from storage.records import ChannelRow, ClientRow

Row = ChannelRow | ClientRow
Breaks = Callable[[Any, Any], str | None]
"""What breaks when a member goes from one value to the other, one of them None, as a sentence."""


@dataclass(frozen=True, slots=True)
class Member:
    """One value of a member that goes, comes or becomes another; of a list, one of its values."""

    name: str
    old: Any
    new: Any
    breaks: str | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """What becomes of one channel or client; `channel_id` is where it is, or was."""

    kind: Literal["channel", "client"]
    id: str
    channel_id: str
    what: Literal["added", "changed", "removed"]
    members: tuple[Member, ...] = ()
    breaks: str | None = None  # of the whole

    @property
    def sentences(self) -> tuple[str, ...]:
        """What running clients would notice, and not get over."""
        found = (self.breaks, *(member.breaks for member in self.members))
        return tuple(f"{self.kind} {self.id}: {it}" for it in found if it is not None)


def difference(old: Row | None, new: Row | None) -> Difference | None:
    """How one row becomes the other; None if they say the same."""
    known = old or new
    if known is None:
        return None
    client = isinstance(known, ClientRow)
    if new is None:
        members: tuple[Member, ...] = ()
    elif old is None:
        members = tuple(Member(name, None, value) for name, value in members_of(new).items())
    else:
        members = tuple(_compared(_members(old), _members(new), _CLIENT if client else _CHANNEL))
        if not members:
            return None
    return Difference(
        kind="client" if client else "channel",
        id=known.client_id if isinstance(known, ClientRow) else known.channel_id,
        channel_id=(new or known).channel_id,
        what="added" if old is None else "removed" if new is None else "changed",
        members=members,
        breaks=None if new is not None else _REMOVED[client],
    )


def members_of(row: Row) -> dict[str, Any]:
    """What a row says, by member, as people may see it: of a secret only that there is one."""
    return {name: value for name, value in _members(row).items() if value not in (None, "", [])}


def _members(row: Row) -> dict[str, Any]:
    if isinstance(row, ChannelRow):
        channel = msgspec.json.decode(row.document, type=Channel)
        said = msgspec.to_builtins(channel)
        for name in ("logo", "favicon"):
            said[name] = _drawing(said[name])
        del said["channel_id"]
        return dict(_flat(said))
    document = msgspec.json.decode(row.document, type=ClientDocument)
    said = msgspec.to_builtins(document.metadata)
    for name in ("scope", "service_scope"):
        said[name] = said[name].split()
    said["jwks"] = [_key(key) for key in (document.metadata.jwks or {}).get("keys", [])]
    return {
        "channel": row.channel_id,
        "managed_by": row.source,
        "platform": document.platform,
        "disabled": document.disabled,
        "secrets": [_secret(secret) for secret in document.secrets],
        **dict(_flat(said)),
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", list(value) if isinstance(value, tuple) else value


def _drawing(svg: str) -> str:
    return f"drawing {sha256(svg).hex()[:12]}" if svg else ""


def _key(key: Any) -> str:
    kid = key.get("kid", "") if isinstance(key, dict) else ""
    return f"key {kid} ({sha256(msgspec.json.encode(key, order='sorted').decode()).hex()[:12]})"


def _secret(secret: ClientSecret) -> str:
    """A name for a secret that says nothing about it: a hash of its hash, or of what is sealed."""
    kept = msgspec.json.encode(forget_end(secret)).decode()
    form = "argon2id" if secret.argon2id else "sealed" if secret.sealed else "SHA-256"
    return f"{form} {sha256(kept).hex()[:6]}" + (" (running out)" if secret.expires_at else "")


def _compared(
    before: Mapping[str, Any], after: Mapping[str, Any], rules: Mapping[str, Breaks]
) -> Iterator[Member]:
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        breaks = _rule(name, rules)
        if name in _ALL and rules is _CHANNEL:
            # Where nothing is said all are meant: to begin to say so can take something away.
            old, new = (_ALL[name] if it is None else it for it in (old, new))
        if not isinstance(old or new, list):
            yield Member(name, old, new, breaks(old, new))
            continue
        gone = [it for it in old or () if it not in (new or ())]
        come = [it for it in new or () if it not in (old or ())]
        if name == "secrets":
            yield from _secrets(old or [], new or [])
        elif not gone and not come:
            yield Member(name, before.get(name), after.get(name))
        else:
            yield from (Member(name, it, None, breaks(it, None)) for it in gone)
            yield from (Member(name, None, it, breaks(None, it)) for it in come)


def _secrets(old: list[str], new: list[str]) -> Iterator[Member]:
    for secret in old:
        if secret not in new:
            # The newest is the one in use; one that runs out has somebody's word for it.
            at_once = secret == old[0] and not any(it.startswith(secret) for it in new)
            yield Member(
                "secrets",
                secret,
                None,
                "its secret is taken away at once; let both be good for a while (previous_secret)"
                if at_once
                else None,
            )
    yield from (Member("secrets", None, secret) for secret in new if secret not in old)


# What breaks running clients


def _gone(sentence: str) -> Breaks:
    return lambda old, new: sentence.format(old) if new is None and old is not None else None


def _other(sentence: str) -> Breaks:
    return lambda old, new: sentence.format(old, new) if old is not None else None


def _fixed(old: Any, new: Any) -> str:
    old, new = (it or "nothing" for it in (old, new))
    return f"the client has to change at the very moment when {old} becomes {new}"


def _nothing(_old: Any, _new: Any) -> None:
    return None


def _policy(old: Any, new: Any) -> str | None:
    if (old, new) != ("always", "offline_access"):
        return None
    return "refresh tokens are no longer issued without offline_access"


def _native(old: Any, _new: Any) -> str | None:
    return "its sign-ins without a browser are refused" if old else None


def _rule(name: str, rules: Mapping[str, Breaks]) -> Breaks:
    if name in rules:
        return rules[name]
    fixed = name.endswith(("_alg", "_enc")) and rules is _CLIENT
    return _fixed if fixed else _nothing


_REMOVED = {
    True: "nobody can sign in with it any more, and its tokens are worth nothing",
    False: "its clients lose what they look like",
}
_CLIENT: Mapping[str, Breaks] = {
    "channel": _other("it belongs to the channel {} so far, and would to {}"),
    "managed_by": _other("it is managed by {} so far, and would be by {}"),
    "redirect_uris": _gone("sign-ins that come back to {} are refused"),
    "post_logout_redirect_uris": _gone("signing out does not come back to {} any more"),
    "grant_types": _gone("its requests with the grant type {} are refused"),
    "response_types": _gone("its requests with the response type {} are refused"),
    "scope": _gone("its requests for the scope {} are refused"),
    "jwks": _gone("what it proves with its {} is refused"),
    "jwks_uri": _other("its keys are looked for elsewhere than at {}"),
    "token_endpoint_auth_method": _fixed,
    "application_type": _fixed,
    "subject_type": _other("its customers come under other names: {} subjects become {}"),
    "sector_identifier_uri": lambda _old, _new: "its customers may come under other names",
    "first_party_native": _native,
    "refresh_token_policy": _policy,
    "resource": _other("its tokens are not for {} any more"),
    "resources": _gone("it gets no tokens for {} any more"),
    "service_scope": _gone("its requests in its own name for the scope {} are refused"),
}
_ALL = {"claims": [claim.name for claim in CLAIMS], "scopes": list(SCOPES)}
_CHANNEL: Mapping[str, Breaks] = {
    "scopes": _gone("no client of it may ask for the scope {} any more"),
    "claims": _gone("no client of it learns {} any more"),
    "android.package_name": _other("{} opens its links and keeps its customers' passkeys no more"),
    "android.sha256_cert_fingerprints": _gone("the app signed with {} opens its links no more"),
    "ios.app_id": _other("{} opens its links and keeps its customers' passkeys no more"),
}


def sentences(differences: Iterable[Difference]) -> tuple[str, ...]:
    """All that the differences break."""
    return tuple(sentence for it in differences for sentence in it.sentences)
