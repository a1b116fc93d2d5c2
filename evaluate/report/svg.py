"""Figures of matplotlib as part of the page: colours become CSS variables, which follow light and dark mode, and styles
become attributes, since the page's policy forbids inline styles."""

import io
import re
import warnings
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from matplotlib.figure import Figure

from evaluate.report.style import COLOURS, plain

SVG, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
PIXELS = 96 / 72  # in a point
DROPPED = ("font-family", "stroke-linejoin", "stroke-linecap", "stroke-dashoffset", "stroke-miterlimit")
NO_TURN = re.compile(r"rotate\(-?0 [^)]*\)")
VARIABLES = {colour.light: f"var(--{name})" for name, colour in COLOURS.items()}


def save(figure: Figure, form: str) -> bytes:
    """A figure as svg or pdf, without a date. A figure without a layout engine is cropped to what is drawn."""
    file = io.BytesIO()
    without_time = {"Date" if form == "svg" else "CreationDate": None}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # missing from all installed fonts: matplotlib draws a box
        crop = None if figure.get_layout_engine() else "tight"
        figure.savefig(file, format=form, metadata=without_time, bbox_inches=crop)
    return file.getvalue()


def part_of_page(figure: Figure, name: str, title: str, description: str) -> str:
    """A figure as an HTML element.

    Args:
        name: Unique on the page; ids begin with it.
        title, description: Text alternative.
    """
    root = ElementTree.fromstring(save(figure, "svg"))
    width, height = (round(float(root.get(side).removesuffix("pt")) * PIXELS) for side in ("width", "height"))
    used = {reference for node in root.iter() for reference in references(node)}
    ids = {reference: f"{name}-{number}" for number, reference in enumerate(sorted(used))}
    made = Element("svg", {"class": "figure", "role": "img", "aria-label": plain(title)})
    made.attrib |= {"width": str(width), "height": str(height), "viewBox": root.get("viewBox")}
    description_of = ElementTree.SubElement(made, "desc")
    description_of.text = plain(description)
    for child in root:
        made.extend(slim(child, ids))
    return ElementTree.tostring(made, encoding="unicode")


def references(node: Element) -> list[str]:
    """The ids that an element refers to."""
    return [node.get(LINK, "#")[1:]] * (LINK in node.attrib) + re.findall(r"url\(#([^)]*)\)", node.get("clip-path", ""))


def slim(node: Element, ids: dict[str, str]) -> list[Element]:
    """The element for the page, without namespaces; only its children if it has no attributes itself."""
    tag = node.tag.removeprefix(SVG)
    if tag not in ("g", "defs", "path", "use", "text", "clipPath", "rect"):
        return []
    made = Element(tag, attributes(node, ids))
    made.text = node.text if tag == "text" else None
    for child in node:
        made.extend(slim(child, ids))
    if tag in ("g", "defs") and (not made.attrib or not len(made)):
        return list(made) if tag == "g" else [made] if len(made) else []
    nothing = made.get("fill") == "none" and made.get("stroke", "none") == "none" and tag == "path"
    return [] if nothing else [made]


def attributes(node: Element, ids: dict[str, str]) -> dict[str, str]:
    """Attributes for the page: styles as attributes, colours as CSS variables, coordinates rounded to .01."""
    found = {}
    styles = (entry.partition(":") for entry in node.get("style", "").split(";") if entry.strip())
    for key, value in [*node.attrib.items(), *((key.strip(), value.strip()) for key, _, value in styles)]:
        if key == "id" and value in ids:
            found["id"] = ids[value]
        elif key == LINK:
            found["href"] = f"#{ids[value[1:]]}"
        elif key == "clip-path":
            found[key] = re.sub(r"#([^)]*)", lambda match: f"#{ids[match[1]]}", value)
        elif key not in ("id", "style", *DROPPED) and not NO_TURN.fullmatch(value):
            found[key] = VARIABLES.get(value) or rounded(value)
    return found


def rounded(value: str) -> str:
    """An attribute with numbers of two decimals."""
    return re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", " ".join(value.split()))
