"""Readable colours for any brand colour: what a channel chose, made safe for AA contrast.

A channel names one colour. From it come the button (with its text colour), and the accent that
links and focus rings use, once for the light and once for the dark appearance.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

AA_TEXT = 4.5  # WCAG 2.2 1.4.3
WHITE = "#ffffff"
BLACK = "#000000"

# The same values as in style.css: text and focus rings in the accent colour lie on these.
LIGHT_CARD, LIGHT_PAGE = "#ffffff", "#f4f5f7"
DARK_CARD, DARK_PAGE = "#17181c", "#0e0f12"

_COLOR = re.compile(r"#[0-9a-fA-F]{6}\Z")
_NEARLY_READABLE = 3.4
_VISIBLE_EDGE = 1.3
_SRGB_LINEAR_UP_TO = 0.04045


@dataclass(frozen=True, slots=True)
class Appearance:
    """Colours that differ between light and dark.

    `accent` reads as text on the card and on the page; `edge` is the button's border, which
    differs from its fill only where the fill would vanish into the card.
    """

    accent: str
    edge: str


@dataclass(frozen=True, slots=True)
class Palette:
    """All colours computed from one brand colour, each as `#rrggbb`."""

    fill: str
    fill_hover: str
    on_fill: str
    light: Appearance
    dark: Appearance

    def css(self) -> str:
        """The custom properties that style.css reads."""
        return (
            f":root{{--fill:{self.fill};--fill-hover:{self.fill_hover};--on-fill:{self.on_fill};"
            f"{_properties(self.light)}}}"
            f"@media (prefers-color-scheme:dark){{:root{{{_properties(self.dark)}}}}}"
        )


def is_color(text: str) -> bool:
    """Whether the text is a colour as `#rrggbb`."""
    return _COLOR.match(text) is not None


@lru_cache(maxsize=256)
def palette(brand: str) -> Palette:
    """Compute the colours for a brand colour given as `#rrggbb`."""
    on_fill = WHITE if contrast(brand, WHITE) >= _NEARLY_READABLE else BLACK
    # A colour that nearly carries white text is deepened by a shade rather than given black text.
    fill = _readable(brand, BLACK, (WHITE,)) if on_fill == WHITE else brand.lower()
    return Palette(
        fill=fill,
        fill_hover=mix(fill, BLACK if on_fill == WHITE else WHITE, 0.12),
        on_fill=on_fill,
        light=_appearance(brand, fill, BLACK, LIGHT_CARD, LIGHT_PAGE),
        dark=_appearance(brand, fill, WHITE, DARK_CARD, DARK_PAGE),
    )


def contrast(one: str, other: str) -> float:
    """The WCAG 2 contrast ratio of two colours, 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def mix(color: str, target: str, share: float) -> str:
    """The colour moved towards the target by a share of 0 to 1."""
    channels = zip(_channels(color), _channels(target), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in channels)


def _appearance(brand: str, fill: str, target: str, card: str, page: str) -> Appearance:
    accent = _readable(brand, target, (card, page))
    visible = contrast(fill, card) >= _VISIBLE_EDGE
    return Appearance(accent=accent, edge=fill if visible else accent)


def _readable(color: str, target: str, surfaces: tuple[str, ...]) -> str:
    candidates = (mix(color, target, step / 100) for step in range(101))
    return next(c for c in candidates if all(contrast(c, s) >= AA_TEXT for s in surfaces))


def _properties(appearance: Appearance) -> str:
    return f"--accent:{appearance.accent};--edge:{appearance.edge}"


def _channels(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _luminance(color: str) -> float:
    red, green, blue = (_linear(channel / 255) for channel in _channels(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(value: float) -> float:
    if value <= _SRGB_LINEAR_UP_TO:
        return value / 12.92
    return float(((value + 0.055) / 1.055) ** 2.4)
