"""Proof of work: what whoever asks from a doubtful source does first (hashcash, with SHA-256).

A challenge needs no memory: it is signed, and bound to the phone and the journey. Its answer is a
number for which SHA-256 of "challenge:number" begins with so many zero bits.
"""

from dataclasses import dataclass
from hmac import compare_digest

from flows.provider import Provider
from keys.hashing import b64url, derive, random_id, sha256
from storage.records import Proof

_VALIDITY = 300  # seconds
_MAX_LENGTH = 200


@dataclass(frozen=True, slots=True)
class ProofWanted:
    """The work: a challenge, and the number of zero bits."""

    challenge: str
    bits: int
    expires_in: int = _VALIDITY

    def members(self) -> dict[str, str | int]:
        """As apps and bots are told of it (docs/phone-codes.md)."""
        return {
            "algorithm": "sha-256",
            "challenge": self.challenge,
            "bits": self.bits,
            "expires_in": self.expires_in,
        }


def wanted(provider: Provider, journey: str, phone: str) -> ProofWanted:
    """A new challenge for whoever asks for a code."""
    bits = provider.settings.sending.proof_of_work_bits
    stem = f"{random_id()}.{provider.clock() + _VALIDITY}.{bits}"
    return ProofWanted(f"{stem}.{_mac(provider, stem, journey, phone)[0]}", bits)


def read(provider: Provider, presented: str | None, journey: str, phone: str) -> Proof | None:
    """The proof in what was presented as "challenge:number"; None where it is no good one.

    Whether it was shown before, the store knows.
    """
    if presented is None or len(presented) > _MAX_LENGTH or not presented.isascii():
        return None
    challenge, _, number = presented.partition(":")
    if not number.isdigit() or not _is_ours(provider, challenge, journey, phone):
        return None
    proof_id, expires_at, bits, _ = challenge.split(".")
    if int.from_bytes(sha256(presented), "big") >> (256 - int(bits)):
        return None
    return Proof(proof_id, int(expires_at))


def is_answer(provider: Provider, presented: str, journey: str, phone: str) -> bool:
    """Whether it is an answer to a challenge for this phone and journey, right or wrong."""
    challenge, _, _ = presented.partition(":")
    return challenge.isascii() and _is_ours(provider, challenge, journey, phone)


def _is_ours(provider: Provider, challenge: str, journey: str, phone: str) -> bool:
    stem, _, mac = challenge.rpartition(".")
    return any(compare_digest(mac, it) for it in _mac(provider, stem, journey, phone))


def _mac(provider: Provider, stem: str, journey: str, phone: str) -> list[str]:
    # One for each version of the secret: it may rotate meanwhile.
    secrets = provider.keys.secrets("otp").values()
    return [b64url(derive(it, "proof of work", stem, journey, phone)) for it in secrets]
