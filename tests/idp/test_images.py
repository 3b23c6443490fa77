"""Which of strangers' images may stand on a page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.outbound.images import MEDIA_TYPES, is_shown
from tests.idp.pictures import JPEG, WEBP_EXTENDED, WEBP_LOSSLESS, WEBP_LOSSY, png

PNG = png()
GOOD = [
    (PNG, "image/png"),
    (JPEG, "image/jpeg"),
    (WEBP_LOSSY, "image/webp"),
    (WEBP_LOSSLESS, "image/webp"),
    (WEBP_EXTENDED, "image/webp"),
]
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HUGE = 2_049
# Where the size stands in each: 24 x 16 pixels in the good ones.
ENLARGED = [
    (PNG.replace(b"\0\0\0\x18\0\0\0\x10", b"\0\0\0\x18\0\0\x08\x01"), "image/png"),
    (JPEG.replace(b"\x08\0\x10\0\x18", b"\x08\x08\x01\0\x18"), "image/jpeg"),
    (WEBP_LOSSY.replace(b"\x18\0\x10\0", b"\x18\0\x01\x08"), "image/webp"),
    (WEBP_LOSSLESS.replace(b"\x2f\x17\xc0\x03", b"\x2f\xff\xff\x03"), "image/webp"),
    (WEBP_EXTENDED.replace(b"\x17\0\0\x0f\0\0", b"\x17\0\0\0\x08\0"), "image/webp"),
]


@pytest.mark.parametrize(("body", "media_type"), GOOD)
def test_each_kind_is_known_by_its_bytes(body: bytes, media_type: str) -> None:
    assert [it for it in MEDIA_TYPES if is_shown(body, it)] == [media_type]


@pytest.mark.parametrize("body", [b"", SVG, b"<!doctype html><p>not found", b"GIF89a\x18\0\x10\0"])
def test_anything_else_is_not_shown(body: bytes) -> None:
    assert not any(is_shown(body, it) for it in (*MEDIA_TYPES, "image/svg+xml", "image/gif"))


@pytest.mark.parametrize(("body", "media_type"), ENLARGED)
def test_a_small_file_of_many_pixels_is_not_shown(body: bytes, media_type: str) -> None:
    assert body not in [good for good, _ in GOOD]
    assert not is_shown(body, media_type)


def test_the_largest_has_2048_pixels_on_each_side() -> None:
    assert is_shown(png(HUGE - 1, 1), "image/png")
    assert is_shown(png(1, HUGE - 1), "image/png")
    assert not is_shown(png(HUGE, 1), "image/png")
    assert not is_shown(png(0, 1), "image/png")


@pytest.mark.parametrize(("body", "media_type"), GOOD)
def test_what_ends_before_its_size_is_not_shown(body: bytes, media_type: str) -> None:
    shown = [is_shown(body[:length], media_type) for length in range(len(body) + 1)]
    assert not any(shown[:20])
    assert shown == sorted(shown)


@given(st.sampled_from(GOOD), st.data())
def test_no_bytes_make_it_stumble(good: tuple[bytes, str], data: st.DataObject) -> None:
    body, media_type = bytearray(good[0]), good[1]
    for at, byte in data.draw(
        st.lists(st.tuples(st.integers(0, len(body) - 1), st.integers(0, 255)), max_size=8)
    ):
        body[at] = byte
    assert is_shown(bytes(body), media_type) in (True, False)
