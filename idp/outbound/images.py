"""What strangers' images are, by their own first bytes: nothing is believed, and little decoded."""

import struct
from collections.abc import Callable

_SIDE = 2_048  # pixels; a small file can unfold into more than a phone has memory for
# Start of frame, of any kind (ITU-T T.81 table B.1); among them stand three that are none.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a length
_JPEG_SCAN = frozenset({0xD9, 0xDA})

_Size = tuple[int, int]


def is_shown(body: bytes, media_type: str) -> bool:
    """Whether `body` is an image of that type, and of a size that a page may show."""
    try:
        width, height = _SIZES[media_type](body)
    except (KeyError, ValueError, IndexError, struct.error):
        return False
    return 0 < width <= _SIDE and 0 < height <= _SIDE


def _png(body: bytes) -> _Size:
    """PNG 5.2 and 11.2.1: IHDR comes first."""
    _expect(body, 0, b"\x89PNG\r\n\x1a\n")
    _expect(body, 12, b"IHDR")
    width, height = struct.unpack_from(">II", body, 16)
    return width, height


def _jpeg(body: bytes) -> _Size:
    """ITU-T T.81 B.1 and B.2: the frame's header stands somewhere before the first scan."""
    _expect(body, 0, b"\xff\xd8\xff")
    at = 2
    while True:
        _expect(body, at, b"\xff")
        marker = body[at + 1]
        if marker == 0xFF or marker in _JPEG_ALONE:  # noqa: PLR2004 - B.1.1.2: fill bytes
            at += 1 if marker == 0xFF else 2  # noqa: PLR2004
            continue
        if marker in _JPEG_SCAN:
            raise ValueError("no frame")
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", body, at + 5)
            return width, height
        (length,) = struct.unpack_from(">H", body, at + 2)
        at += 2 + length


def _webp(body: bytes) -> _Size:
    """RFC 9649 2: one of three kinds of a first chunk."""
    _expect(body, 0, b"RIFF")
    _expect(body, 8, b"WEBP")
    match body[12:16]:
        case b"VP8 ":  # RFC 6386 9.1
            _expect(body, 23, b"\x9d\x01\x2a")
            width, height = struct.unpack_from("<HH", body, 26)
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            _expect(body, 20, b"\x2f")
            (bits,) = struct.unpack_from("<I", body, 21)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            if len(body) <= 30:  # noqa: PLR2004 - the size alone, and nothing of the image
                raise ValueError("cut off")
            width, height = (int.from_bytes(body[at : at + 3], "little") for at in (24, 27))
            return width + 1, height + 1
    raise ValueError("another chunk")


def _expect(body: bytes, at: int, text: bytes) -> None:
    if body[at : at + len(text)] != text:
        raise ValueError("other bytes")


_SIZES: dict[str, Callable[[bytes], _Size]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/webp": _webp,
}

# No SVG: it can hold scripts and links to other places.
MEDIA_TYPES = tuple(_SIZES)
