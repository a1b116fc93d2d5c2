"""The figures: each is a tree of SVG, for the page and, with the same marks, as a file for a paper.

A figure is as wide as a column of a paper, or a phone. None where the files do not tell what it shows.
"""

from collections.abc import Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

from evaluate.metrics import wilson_interval
from evaluate.registry import KINDS
from evaluate.report.drawing import (
    CHARACTER,
    MARKERS,
    PLOT,
    ROW,
    Scale,
    bar,
    canvas,
    horizontal_axis,
    label_room,
    legend,
    line,
    mark,
    number,
    scale,
    upright_axis,
    write,
)
from evaluate.report.markup import element
from evaluate.report.sections import Section
from evaluate.result import Result

TURN = 0.8  # the share from which white on a cell has more contrast than black, and the other way round in the dark


class Figure(NamedTuple):
    """What it shows, of which result where there is one for each, and the drawing."""

    kind: str
    name: str
    svg: Element


def draw(section: Section) -> list[Figure]:
    """All figures of a section."""
    named = list(zip(section.names, section.results, strict=True))
    panels = section.panels()
    curves = {section.results[places[0]].checkpoint or "": places for places in section.curves()}
    drawn = [
        ("accuracy", "", accuracy(section)),
        *(("accuracy over k", checkpoint, over_k(section, places)) for checkpoint, places in curves.items()),
        ("cost", "", cost(section)),
        *(("F1", str(n + 1) if len(panels) > 1 else "", f1(section, places)) for n, places in enumerate(panels)),
        *(("confusion", name, confusion(result, name)) for name, result in named),
        *(("reliability", name, reliability(result, name)) for name, result in named),
    ]
    return [Figure(kind, name, svg) for kind, name, svg in drawn if svg is not None]


def styles_of(section: Section) -> list[int]:
    """The mark and colour of each result: a method's own wherever it stands; another system's is one that is free."""
    shown = [result.method for result in section.results]
    own = {kind.name: place for place, kind in enumerate(KINDS.values())}
    others = [name for name in dict.fromkeys(shown) if name not in own]
    free = [place for place in range(len(MARKERS)) if place not in {own[name] for name in shown if name in own}]
    free = free[::-1] or [len(MARKERS) - 1]  # the last ones first: no method has them
    own |= {name: free[number % len(free)] for number, name in enumerate(others)}
    return [own[name] for name in shown]


def accuracy(section: Section) -> Element:
    """Accuracy of each result with its interval, a row each."""
    left = label_room(section.names)
    bottom = 8 + ROW * len(section.results)
    ends = [end for result in section.results for end in (*(result.accuracy_interval or ()), result.accuracy)]
    axis = scale(ends, left, left + PLOT)
    svg = canvas(left + PLOT + 52, bottom + 44, f"Accuracy with 95 % intervals: {section.title}")
    svg.extend(horizontal_axis(axis, 4, bottom, "accuracy, 95 % interval"))
    rows = zip(section.names, section.results, styles_of(section), strict=True)
    for place, (name, result, style) in enumerate(rows):
        y = 8 + ROW * (place + 0.5)
        svg.append(write(name, left - 8, y + 4, "end"))
        if result.accuracy_interval:
            svg.append(bar(style, *map(axis, result.accuracy_interval), y))
        svg.append(mark(style, axis(result.accuracy), y))
        svg.append(write(f"{result.accuracy:.4f}", left + PLOT + 8, y + 4, quiet=True))
    return svg


def f1(section: Section, places: Sequence[int]) -> Element | None:
    """F1 of each class, a row each, and in it a mark for each of the results."""
    found = [section.class_f1[place] for place in places]
    classes = list(dict.fromkeys(entry.name for values in found for entry in values))
    if not classes:
        return None
    left, lane = label_room(classes), 9.0
    all_styles = styles_of(section)
    styles = [all_styles[place] for place in places]
    marks, top = legend([section.names[place] for place in places], styles, left + PLOT, 14)
    row = lane * len(places) + 8
    bottom = top + row * len(classes)
    axis = Scale(0, 1, left, left + PLOT, 0.2)
    svg = canvas(left + PLOT + 16, bottom + 42, f"F1 of each class with 95 % intervals: {section.title}")
    svg.extend([*horizontal_axis(axis, top, bottom, "F1, 95 % interval"), *marks])
    for place, name in enumerate(classes):
        y = top + row * place
        svg.append(line(8, y, left + PLOT, y, "grid"))
        svg.append(write(name, left - 8, y + row / 2 + 4, "end"))
        for lane_place, (style, values) in enumerate(zip(styles, found, strict=True)):
            middle = y + 4 + lane * (lane_place + 0.5)
            for entry in (entry for entry in values if entry.name == name):
                if entry.interval:
                    svg.append(bar(style, *map(axis, entry.interval), middle))
                svg.append(mark(style, axis(entry.value), middle))
    return svg


def over_k(section: Section, places: Sequence[int]) -> Element:
    """Accuracy over the number of demonstrations of each class; the line goes through the mean of the seeds."""
    results = [section.results[place] for place in places if section.results[place].k is not None]
    methods = list(dict.fromkeys(result.method for result in results))
    ks = sorted({result.k for result in results})
    style_by_method = dict(zip((result.method for result in section.results), styles_of(section), strict=True))
    styles = [style_by_method[name] for name in methods]
    marks, top = legend([name or "no method" for name in methods], styles, 300, 14)
    left, width, height = 44.0, 280.0, 190.0
    ends = [end for result in results for end in (*(result.accuracy_interval or ()), result.accuracy)]
    axis = scale(ends, top + 20 + height, top + 20)
    across = {k: left + width * (place + 0.5) / len(ks) for place, k in enumerate(ks)}
    svg = canvas(left + width + 16, top + height + 64, f"Accuracy over demonstrations of each class: {section.title}")
    svg.extend([*upright_axis(axis, left, left + width, "accuracy, 95 % interval"), *marks])
    svg.extend(write(str(k), across[k], axis.start + 17, "middle", True) for k in ks)
    svg.append(write("demonstrations of each class (k)", left + width / 2, axis.start + 36, "middle"))
    for place, (name, style) in enumerate(zip(methods, styles, strict=True)):
        shift = 7 * (place - (len(methods) - 1) / 2)
        own: dict[int, list[Result]] = {k: [r for r in results if r.method == name and r.k == k] for k in ks}
        means = [(across[k] + shift, axis(mean([r.accuracy for r in own[k]]))) for k in ks if own[k]]
        svg.append(element("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in means), class_=f"curve s{style}"))
        for result in (result for k in ks for result in own[k]):
            x = across[result.k] + shift
            if result.accuracy_interval:
                svg.append(bar(style, *map(axis, result.accuracy_interval), x, upright=True))
            svg.append(mark(style, x, axis(result.accuracy)))
    return svg


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def confusion(result: Result, name: str) -> Element | None:
    """Counts, shaded by their share of the row: ground truth in rows, predictions in columns."""
    if result.confusion is None:
        return None
    columns = [*result.classes, *(["no answer"] if result.unanswered else [])]
    cell = 44.0 if len(columns) <= 6 else 30.0
    left, longest = label_room(result.classes), max(map(len, columns))
    top = 34 + 0.75 * CHARACTER * longest
    right = left + cell * len(columns) + max(12.0, 0.75 * CHARACTER * len(columns[-1]) - cell / 2 + 8)
    svg = canvas(right, top + cell * len(result.classes) + 12, f"Confusion matrix: {name}")
    svg.append(write("ground truth ↓ · prediction →", 4, 14, quiet=True))
    for place, word in enumerate(columns):
        x = left + cell * (place + 0.5)
        svg.append(write(word, 0, 0, transform=f"translate({x:.1f} {top - 8:.1f}) rotate(-45)"))
    for row, word in enumerate(result.classes):
        y = top + cell * row
        svg.append(write(word, left - 8, y + cell / 2 + 4, "end"))
        for column in range(len(columns)):
            count = int(result.confusion[row, column])
            share, x = count / max(1, int(result.confusion[row].sum())), left + cell * column
            size = {"width": cell - 2, "height": cell - 2, "fill_opacity": share}
            svg.append(element("rect", class_="frame", x=x + 1, y=y + 1, width=cell - 2, height=cell - 2))
            svg.append(element("rect", class_="heat", x=x + 1, y=y + 1, **size))
            if count:
                kind = "small on-heat" if share >= TURN else "small"
                middle = {"x": x + cell / 2, "y": y + cell / 2 + 4, "text_anchor": "middle", "class_": kind}
                svg.append(element("text", f"{count:,}", **middle))
    return svg


def reliability(result: Result, name: str) -> Element | None:
    """Accuracy over confidence, in bins (Guo et al. 2017, figure 1), and below how many examples are in each."""
    bins = result.reliability
    if bins is None:
        return None
    left, side, top, below = 44.0, 240.0, 30.0, 44.0
    across, up = Scale(0, 1, left, left + side, 0.2), Scale(0, 1, top + side, top, 0.2)
    floor = top + side + 14 + below
    svg = canvas(left + side + 16, floor + 42, f"Reliability diagram: {name}, ECE {result.calibration_error:.4f}")
    svg.extend(upright_axis(up, left, left + side, "accuracy, 95 % interval"))
    svg.extend(horizontal_axis(across, top, floor, "confidence; below, examples in each bin"))
    svg.append(line(across(0), up(0), across(1), up(1), "diagonal"))
    largest, width = max(bin.count for bin in bins), side / len(bins)
    for place, bin in enumerate(bins):
        if bin.count:
            x, height = left + width * place, below * bin.count / largest
            svg.append(element("rect", class_="count", x=x + 1, y=floor - height, width=width - 2, height=height))
            low, high = wilson_interval(round(bin.accuracy * bin.count), bin.count)
            svg.append(bar(0, up(low), up(high), across(bin.confidence), upright=True))
            svg.append(mark(0, across(bin.confidence), up(bin.accuracy)))
    return svg


def cost(section: Section) -> Element | None:
    """Tokens and seconds of each result, side by side."""
    columns = [
        ("tokens computed", [r.tokens for r in section.results]),
        ("seconds", [r.seconds for r in section.results]),
    ]
    columns = [(name, values) for name, values in columns if any(values)]
    if not columns:
        return None
    left, width, bottom = label_room(section.names), 84.0, 28 + ROW * len(section.results)
    styles = styles_of(section)
    svg = canvas(left + (width + 66) * len(columns), bottom + 6, f"Cost: {section.title}")
    for place, name in enumerate(section.names):
        svg.append(write(name, left - 8, 28 + ROW * (place + 0.5) + 4, "end"))
    for column, (name, values) in enumerate(columns):
        x, largest = left + (width + 66) * column, max(value or 0 for value in values)
        svg.append(write(name, x, 16))
        for place, value in enumerate(values):
            y, length = 28 + ROW * place, width * (value or 0) / largest
            svg.append(element("rect", class_=f"s{styles[place]}", x=x, y=y + 5, width=length, height=ROW - 10))
            shown = "-" if value is None else number(round(value, 1))
            svg.append(write(shown, x + length + 6, y + ROW / 2 + 4, quiet=True))
    return svg
