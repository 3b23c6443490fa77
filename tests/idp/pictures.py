"""Small pictures of every kind that a partner's logo may be."""

import base64
import struct
import zlib


def png(width: int = 24, height: int = 16, *, color: str = "c2410c", ballast: int = 0) -> bytes:
    """A square of one colour, with `ballast` bytes that mean nothing to a browser."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    rows = (b"\0" + bytes.fromhex(color) * width) * height
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
            chunk(b"tEXt", b"ballast\0" + b"x" * ballast),
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        ]
    )


# 24 x 16 pixels, as Chromium writes and reads them.
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAFA3PEY8MlBGQUZaVVBfeMiCeG5uePWvuZHI////////////////////////"
    "////////////////////////////2wBDAVVaWnhpeOuCguv/////////////////////////////////////////////"
    "////////////////////////////wAARCAAQABgDASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAT/xAAUEAEA"
    "AAAAAAAAAAAAAAAAAAAA/8QAFAEBAAAAAAAAAAAAAAAAAAAAAP/EABQRAQAAAAAAAAAAAAAAAAAAAAD/2gAMAwEAAhED"
    "EQA/ALQAAAf/2Q=="
)
WEBP_LOSSY = base64.b64decode(
    "UklGRjAAAABXRUJQVlA4ICQAAACwAgCdASoYABAAP3Ggxli0q6ejsAgCkC4JaQAAeyAA/u2tYAA="
)
WEBP_LOSSLESS = base64.b64decode("UklGRh4AAABXRUJQVlA4TBEAAAAvF8ADAAfQ//73v/+BiOh/AAA=")
WEBP_EXTENDED = base64.b64decode(
    "UklGRkIAAABXRUJQVlA4WAoAAAAAAAAAFwAADwAAVlA4ICQAAACwAgCdASoYABAAP3Ggxli0q6ejsAgCkC4JaQAAeyAA"
    "/u2tYAA="
)
