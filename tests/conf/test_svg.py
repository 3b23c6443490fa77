import pytest

from conf.svg import svg_faults

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8">{}</svg>'


@pytest.mark.parametrize(
    ("svg", "what"),
    [
        (SVG.format("<script>alert(1)</script>"), "must not have the element script"),
        (SVG.format("<foreignObject/>"), "must not have the element foreignObject"),
        (SVG.format('<image href="https://e.example/x"/>'), "must not have the element image"),
        (SVG.format('<g onload="x()"/>'), "must not have the attribute onload (on g)"),
        (SVG.format('<g style="fill:red"/>'), "must not have the attribute style (on g)"),
        (SVG.format('<g fill="url(https://e.example/)"/>'), "must refer to nothing outside itself"),
        (SVG.format('<g fill="URL(//e.example)"/>'), "must refer to nothing outside itself"),
        (SVG.format(r'<g fill="u\72l(//e.example)"/>'), "must refer to nothing outside itself"),
        (
            SVG.format('<g xmlns:x="http://www.w3.org/1999/xlink" x:href="//e.example"/>'),
            "must not have the attribute {http://www.w3.org/1999/xlink}href",
        ),
        (
            SVG.format('<g xmlns="http://www.w3.org/1999/xhtml"/>'),
            "must not have the element {http",
        ),
        ('<!DOCTYPE svg [<!ENTITY a "b">]>' + SVG.format("&a;"), "must have no document type"),
        (SVG.format("<![CDATA[x]]>"), "must have no document type"),
        ('<?xml-stylesheet href="//e.example"?>' + SVG.format(""), "must have no document type"),
        (SVG.format("<g>"), "is not well-formed"),
        ("<svg viewBox='0 0 8 8'/>", "must be an svg element in the SVG namespace with a viewBox"),
        (SVG.format(f'<path d="{"M0 0" * 5000}"/>'), "must have at most 20000 characters"),
    ],
)
def test_a_logo_neither_loads_nor_runs_anything(svg: str, what: str) -> None:
    assert any(fault.startswith(what) for fault in svg_faults(svg))


def test_a_logo_may_refer_to_its_own_gradient() -> None:
    gradient = '<linearGradient id="a"/><path fill="url(#a)" d="M0 0h8z"/>'
    assert list(svg_faults(SVG.format(gradient))) == []
