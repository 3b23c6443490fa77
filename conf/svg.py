"""Which drawings may be logos: plain shapes that load nothing and run nothing."""

import re
from collections.abc import Iterator
from typing import Final
from xml.etree import ElementTree as ET

MAX_CHARACTERS: Final = 20_000

_NAMESPACE: Final = "{http://www.w3.org/2000/svg}"
_ELEMENTS: Final = re.compile(
    "svg|g|title|desc|defs|path|rect|circle|ellipse|line|polyline|polygon|text|tspan"
    "|linearGradient|radialGradient|stop|clipPath|mask"
)


def svg_faults(svg: str) -> Iterator[str]:
    """Say what keeps the text `svg` from being a logo that is safe on the server's own origin."""
    if len(svg) > MAX_CHARACTERS:
        yield f"must have at most {MAX_CHARACTERS} characters"
        return
    # A document type brings entities: text that this check does not see, but a browser does.
    if "<!" in svg or "<?" in svg:
        yield "must have no document type, comment, CDATA or processing instruction"
        return
    try:
        root = ET.fromstring(svg)  # noqa: S314 - no document type, so no entities
    except ET.ParseError as error:
        yield f"is not well-formed: {error}"
        return
    if root.tag != f"{_NAMESPACE}svg" or "viewBox" not in root.attrib:
        yield "must be an svg element in the SVG namespace with a viewBox"
    for element in root.iter():
        yield from _element_faults(element)


def _element_faults(element: ET.Element) -> Iterator[str]:
    tag = str(element.tag).removeprefix(_NAMESPACE)
    if not _ELEMENTS.fullmatch(tag):
        yield f"must not have the element {tag}"
    for name, value in element.attrib.items():
        # The page's Content-Security-Policy has no inline style, so `style` would do nothing.
        if name.lower().startswith("on") or name in {"style", "href"} or name.startswith("{"):
            yield f"must not have the attribute {name} (on {tag})"
        elif "\\" in value or "url(" in value.lower().replace("url(#", ""):
            yield f"must refer to nothing outside itself (attribute {name} on {tag})"
