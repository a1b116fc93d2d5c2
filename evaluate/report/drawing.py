"""What figures are drawn of: scales, axes, marks, legends, as elements of SVG. Coordinates in pixels.

What a colour says, a shape or a number says too; the colours are told apart by the colour-blind (after Okabe and Ito
2008) and have a contrast of 3 to 1 with their background.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

from evaluate.report.markup import element

STYLE = Path(__file__).with_name("figures.css")
MARKERS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
    "M-3.6-3.6h7.2v7.2h-7.2z",
    "M0-4.8 4.6 3.4h-9.2z",
    "M0-5.4 5 0 0 5.4-5 0z",
    "M0 4.8 4.6-3.4h-9.2z",
    "M-1.6-4.6h3.2v3h3v3.2h-3v3h-3.2v-3h-3v-3.2h3z",
    "M0-5 4.8-1.6 2.9 4h-5.8L-4.8-1.6z",
    "M-4.4-2.6-2.6-4.4 0-1.8 2.6-4.4 4.4-2.6 1.8 0 4.4 2.6 2.6 4.4 0 1.8-2.6 4.4-4.4 2.6-1.8 0z",
    "M-4.2-4.4h8.4l-8.4 8.8h8.4z",
    "M-1.9-5h3.8v10h-3.8z",
)  # as many as figures.css has colours
CHARACTER = 6.4  # width of one at 12 pixels, on average
PLOT = 230.0  # width of the area that holds the marks
ROW = 26.0
COLUMN = 440.0  # a wider figure scrolls rather than shrinks
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2)  # between ticks; each divides 1
ROUNDING = 1e-9


class Scale(NamedTuple):
    """A linear map of numbers to pixels, with its ticks."""

    low: float
    high: float
    start: float
    end: float
    step: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        return [self.low + n * self.step for n in range(round((self.high - self.low) / self.step) + 1)]


def scale(values: Sequence[float], start: float, end: float) -> Scale:
    """For proportions: from a round number not above any of the values to one not below any, 1 at most."""
    low, high = min(values), max(values)
    step = next(step for step in STEPS if 5 * step >= high - low - ROUNDING)
    last = max(1, math.ceil(high / step - ROUNDING))
    first = min(math.floor(low / step + ROUNDING), last - 1)
    return Scale(first * step, last * step, start, end, step)


def number(value: float) -> str:
    """As a tick shows it: .85, 1,200, 3.5."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == round(value) else f"{value:.6g}"


def canvas(width: float, height: float, label: str) -> Element:
    box = f"0 0 {math.ceil(width)} {math.ceil(height)}"
    size = {"width": math.ceil(width), "height": math.ceil(height)}
    kind = "figure wide" if width > COLUMN else "figure"
    return element("svg", class_=kind, viewBox=box, role="img", aria_label=label, **size)


def write(text: str, x: float, y: float, anchor: str = "start", quiet: bool = False, **more: object) -> Element:
    return element("text", text, x=x, y=y, text_anchor=anchor, class_="quiet" if quiet else None, **more)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Element:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def mark(style: int, x: float, y: float) -> Element:
    return element("path", d=MARKERS[style], transform=f"translate({x:.1f} {y:.1f})", class_=f"s{style}")


def bar(style: int, low: float, high: float, at: float, upright: bool = False) -> Element:
    """An interval, with caps at its ends."""
    if upright:
        path = f"M{at - 3:.1f} {low:.1f}h6m-3 0V{high:.1f}m-3 0h6"
    else:
        path = f"M{low:.1f} {at - 3:.1f}v6m0-3H{high:.1f}m0-3v6"
    return element("path", d=path, class_=f"interval s{style}")


def horizontal_axis(axis: Scale, top: float, bottom: float, name: str) -> list[Element]:
    lines = [line(axis(tick), top, axis(tick), bottom, "grid") for tick in axis.ticks]
    texts = [write(number(tick), axis(tick), bottom + 16, "middle", True) for tick in axis.ticks]
    return [*lines, *texts, write(name, (axis.start + axis.end) / 2, bottom + 34, "middle")]


def upright_axis(axis: Scale, left: float, right: float, name: str) -> list[Element]:
    lines = [line(left, axis(tick), right, axis(tick), "grid") for tick in axis.ticks]
    texts = [write(number(tick), left - 6, axis(tick) + 4, "end", True) for tick in axis.ticks]
    return [*lines, *texts, write(name, left, min(axis.start, axis.end) - 10, "start")]


def legend(names: Sequence[str], styles: Sequence[int], width: float, top: float) -> tuple[list[Element], float]:
    """The marks with their names, in as many lines as it takes, and where they end."""
    made, x, y = [], 8.0, top
    for name, style in zip(names, styles, strict=True):
        needed = 26 + CHARACTER * len(name)
        if x > 8 and x + needed > width:
            x, y = 8.0, y + 18
        made += [mark(style, x, y - 4), write(name, x + 9, y)]
        x += needed
    return made, y + 18


def label_room(names: Sequence[str]) -> float:
    return 12 + CHARACTER * max(map(len, names))


def to_file(svg: Element) -> Element:
    """The figure with its style in it, so that it stands alone."""
    style = element("style", STYLE.read_text(encoding="utf-8"))
    alone = element("svg", style, xmlns="http://www.w3.org/2000/svg")
    alone.attrib.update(svg.attrib)
    alone.extend(list(svg))
    return alone
