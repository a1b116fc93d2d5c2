"""Elements of HTML and SVG. Text goes into the tree as text and is escaped where the tree is written, never before."""

import re
from collections.abc import Iterable, Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

Child = Element | str | None
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def element(tag: str, *children: Child, **attributes: object) -> Element:
    """An element; `class_` is the attribute class, `stroke_width` stroke-width; children and attributes of None are
    left out."""
    named = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    node = Element(tag, {key: attribute(value) for key, value in named.items()})
    for child in children:
        if isinstance(child, str):
            add_text(node, clean(child))
        elif child is not None:
            node.append(child)
    return node


def add_text(node: Element, text: str) -> None:
    if len(node):
        node[-1].tail = (node[-1].tail or "") + text
    else:
        node.text = (node.text or "") + text


def attribute(value: object) -> str:
    """Coordinates to a hundredth of a pixel."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else clean(str(value))


def clean(text: str) -> str:
    """With U+FFFD for what no XML file may hold: control characters, halves of surrogate pairs."""
    return NOT_IN_XML.sub("\ufffd", text)


def to_html(node: Element) -> str:
    return ElementTree.tostring(node, encoding="unicode", method="html")


def to_xml(node: Element) -> bytes:
    return ElementTree.tostring(node, encoding="utf-8", xml_declaration=True)


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[Child]], texts: int = 1) -> Element:
    """A table that scrolls in a container of its own, which the keyboard reaches; the first column heads the rows.

    Args:
        texts: The first so many columns hold words and are set left, the others numbers.
    """

    def cell(tag: str, place: int, child: Child, scope: str | None = None) -> Element:
        return element(tag, child, scope=scope, class_=None if place < texts else "number")

    head = element("tr", *(cell("th", place, text, "col") for place, text in enumerate(header)))
    body = [
        element("tr", *(cell("td" if n else "th", n, child, None if n else "row") for n, child in enumerate(row)))
        for row in rows
    ]
    inside = element("table", element("caption", caption), element("thead", head), element("tbody", *body))
    return scroller(caption, inside)


def scroller(label: str, inside: Element) -> Element:
    """A box that scrolls where its content is wider than a phone."""
    return element("div", inside, class_="scroll", role="group", tabindex=0, aria_label=label)
