"""How a text travels by SMS: in which alphabet, and in how many segments."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Alphabet = Literal["gsm-7", "ucs-2"]

# 3GPP TS 23.038 6.2.1: each character stands at the place of its code; ESC is no character.
_DEFAULT: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_ESCAPE: Final = b"\x1b"
_EXTENSION: Final = {  # 6.2.1.1: ESC, and then this code
    "\f": b"\x0a",
    "^": b"\x14",
    "{": b"\x28",
    "}": b"\x29",
    "\\": b"\x2f",
    "[": b"\x3c",
    "~": b"\x3d",
    "]": b"\x3e",
    "|": b"\x40",
    "€": b"\x65",
}
_GSM_7: Final = {
    character: bytes([code]) for code, character in enumerate(_DEFAULT) if character != "\x1b"
} | {character: _ESCAPE + code for character, code in _EXTENSION.items()}

# 3GPP TS 23.040 9.2.3.24.1: 140 octets, of which the header of a longer text takes six. Seven bits
# are a character of the default alphabet, and an octet here as it is one in SMPP.
_ALONE: Final = {"gsm-7": 160, "ucs-2": 140}
_TOGETHER: Final = {"gsm-7": 153, "ucs-2": 134}
_PLACE: Final = {"gsm-7": 1, "ucs-2": 2}


@dataclass(frozen=True, slots=True)
class Segmented:
    """A text as its segments: octets with one septet each, or UTF-16 with the high octet first.

    `excess` is by how many places it is too long for one: a character has one place, but two if it
    is of the extension table or beyond the basic multilingual plane.
    """

    alphabet: Alphabet
    segments: tuple[bytes, ...]
    excess: int


def segmented(text: str) -> Segmented:
    """Divide a text as phones put it together again; no character is cut in two."""
    if all(character in _GSM_7 for character in text):
        return _divided("gsm-7", [_GSM_7[character] for character in text])
    return _divided("ucs-2", [character.encode("utf-16-be") for character in text])


def _divided(alphabet: Alphabet, characters: Sequence[bytes]) -> Segmented:
    over = sum(map(len, characters)) - _ALONE[alphabet]
    if over <= 0:
        return Segmented(alphabet, (b"".join(characters),), 0)
    segments = tuple(_filled(characters, _TOGETHER[alphabet]))
    return Segmented(alphabet, segments, over // _PLACE[alphabet])


def _filled(characters: Sequence[bytes], most: int) -> Iterator[bytes]:
    segment = b""
    for character in characters:
        if len(segment) + len(character) > most:
            yield segment
            segment = b""
        segment += character
    yield segment
