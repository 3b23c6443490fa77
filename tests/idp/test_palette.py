import re

import pytest

from idp.pages import STATIC
from idp.palette import (
    AA_TEXT,
    DARK_CARD,
    DARK_PAGE,
    LIGHT_CARD,
    LIGHT_PAGE,
    contrast,
    palette,
)

BRAND_COLORS = [
    *("#ffffff", "#000000", "#ffd500", "#ffff00", "#e52322", "#d7263d", "#00923f", "#5faf2d"),
    *("#0033a0", "#123456", "#777777", "#808080", "#ff6a00", "#00ffff", "#ff00ff", "#fefefe"),
]


@pytest.mark.parametrize("color", BRAND_COLORS)
def test_any_brand_color_gives_readable_text(color: str) -> None:
    computed = palette(color)
    pairs = [
        (computed.on_fill, computed.fill),
        (computed.on_fill, computed.fill_hover),
        (computed.light.accent, LIGHT_CARD),
        (computed.light.accent, LIGHT_PAGE),
        (computed.dark.accent, DARK_CARD),
        (computed.dark.accent, DARK_PAGE),
    ]
    assert [pair for pair in pairs if contrast(*pair) < AA_TEXT] == []
    assert contrast(computed.light.edge, LIGHT_CARD) >= 1.3
    assert contrast(computed.dark.edge, DARK_CARD) >= 1.3


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


def test_the_style_sheet_is_readable_in_both_appearances() -> None:
    css = (STATIC / "style.css").read_text()
    light, dark = (
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))
        for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    )
    assert (light["card"], light["page"]) == (LIGHT_CARD, LIGHT_PAGE)
    assert (dark["card"], dark["page"]) == (DARK_CARD, DARK_PAGE)
    for colors in (light, dark):
        for text, ground in (
            ("ink", "card"),
            ("ink", "field"),
            ("ink", "soft-hover"),
            ("muted", "card"),
            ("muted", "page"),
            ("muted", "field"),
            ("muted", "soft"),
            ("danger", "danger-soft"),
        ):
            assert contrast(colors[text], colors[ground]) >= AA_TEXT, (text, ground)
        assert contrast(colors["border"], colors["card"]) >= 3  # WCAG 2.2 1.4.11
        assert contrast(colors["border"], colors["field"]) >= 3
