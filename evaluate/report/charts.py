"""Figures of all methods of a section: accuracy, learning curves, sensitivity to the draw, cost.

Figures are as wide as a column of a paper. A figure is None if the files lack its data.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from evaluate.columns import COLUMNS, deviation
from evaluate.methods import Method
from evaluate.report.sections import Section
from evaluate.report.style import Style, label, light

WIDTH = 312  # points
LINE = 14.5  # points, height of a row
POINTS = 72  # in an inch
TICKS = 7
DASHED = (0, (3, 2.5))
ROOM = 0.04  # share of the axis beyond the outermost value
SHORTEST = 0.05  # length of an axis of proportions


class Rows:
    """An empty figure with one row for each method, below headings of groups.

    Args:
        section: The section of the methods.
        places: Indices of the methods that have a row.
        panels: Number of axes side by side.
        below: Height in points below the rows.
    """

    def __init__(self, section: Section, places: Sequence[int], panels: int = 1, below: float = 52):
        self.section = section
        lines = [
            line
            for heading, members in section.groups_of().items()
            for line in (heading, *(place for place in members if place in places))
            if line != "" and (line != heading or set(members) & set(places))
        ]
        self.places = [line for line in lines if not isinstance(line, str)]
        self.at = {place: y for y, place in enumerate(lines) if not isinstance(place, str)}
        height = (len(lines) * LINE + below) / POINTS
        self.figure = Figure(figsize=(WIDTH / POINTS, height), layout="constrained")
        self.panels: list[Axes] = list(np.atleast_1d(self.figure.subplots(1, panels, sharey=True)))
        names = section.row_names()
        shown = [line if isinstance(line, str) else names[line] for line in lines]
        for axes in self.panels:
            axes.set_ylim(len(lines) - 0.4, -0.6)
            axes.grid(visible=False, axis="y")
            axes.spines.left.set_visible(False)
            axes.set_yticks(range(len(lines)), list(map(label, shown)))
        for text, line in zip(self.panels[0].get_yticklabels(), lines, strict=True):
            text.set_fontweight("bold" if isinstance(line, str) else "normal")
            text.set_color(light("quiet" if isinstance(line, str) else "ink"))

    def beside(self, text: Callable[[Method], str], heading: str = "") -> None:
        """Write a text to the right of each row."""
        axes = self.panels[-1]
        for place, y in self.at.items():
            write(axes, 1.03, y, text(self.section.methods[place]), size=8.5, color=light("quiet"))
        if heading:
            write(axes, 1.03, -1, heading, size=8.5, color=light("quiet"))


def write(axes: Axes, x: float, y: float, text: str, **settings: Any) -> None:
    """Write a text; `x` is a share of the width of the axes, `y` a value of the vertical axis."""
    axes.text(x, y, text, transform=axes.get_yaxis_transform(), va="center_baseline", **settings)


def mark(axes: Axes, x: object, y: object, style: Style, **settings: Any) -> None:
    """Plot points in the style of a method; `settings` are those of matplotlib's plot."""
    look = {"marker": style.mark, "color": light(style.colour), "markeredgewidth": 0, "linestyle": "", "clip_on": False}
    axes.plot(x, y, **look | settings)


def fit(axes: Axes, values: Sequence[float], along: str = "x") -> None:
    """Set the limits of an axis of proportions to the range of `values`, within 0 and 1."""
    middle, half = (max(values) + min(values)) / 2, max(max(values) - min(values), SHORTEST) * (0.5 + ROOM)
    getattr(axes, f"set_{along}lim")(max(middle - half, -0.004), min(middle + half, 1.004))
    getattr(axes, f"{along}axis").set_major_locator(MaxNLocator(TICKS, steps=[1, 2, 2.5, 5, 10]))


def reach(method: Method) -> list[float]:
    """Values that an axis of accuracy must contain."""
    return [*(method.accuracy_interval or ()), *method.accuracies]


def majority_line(section: Section, axes: Axes, across: bool = False) -> None:
    """Draw a dashed line at the accuracy of the most frequent class."""
    if section.majority is None:
        return
    draw = axes.axhline if across else axes.axvline
    draw(section.majority, color=light("quiet"), linestyle=DASHED, linewidth=1)


def accuracy(section: Section, styles: dict[str | None, Style]) -> Figure:
    """Mean accuracy over draws; the 95 % interval is a line, the range from the worst to the best draw a bar."""
    rows = Rows(section, range(len(section.methods)))
    (axes,) = rows.panels
    for place in rows.places:
        method, y = section.methods[place], rows.at[place]
        style = styles[method.name]
        colour = light(style.colour)
        if len(method.draws) > 1:
            axes.hlines(y, method.accuracies.min(), method.accuracies.max(), colour, linewidth=7, alpha=0.28)
        if method.accuracy_interval:
            around(axes, method.accuracy, y, method.accuracy_interval, colour)
        mark(axes, method.accuracy, y, style)
    majority_line(section, axes)
    fit(axes, [*(value for method in section.methods for value in reach(method)), *known([section.majority])])
    axes.set_xlabel("accuracy")
    key_of(rows.figure, section)
    rows.beside(lambda method: f"{method.accuracy:.3f}")
    return rows.figure


def key_of(figure: Figure, section: Section) -> None:
    """Add the legend of the lines in the figure of accuracy."""
    quiet, parts = light("quiet"), []
    if any(method.accuracy_interval for method in section.methods):
        parts.append(("95 % interval", Line2D([], [], color=quiet, linewidth=1.2)))
    if any(len(method.draws) > 1 for method in section.methods):
        bar = Line2D([], [], color=quiet, linewidth=7, alpha=0.28, solid_capstyle="butt")
        parts.append(("worst to best draw", bar))
    if section.majority is not None:
        parts.append(("majority", Line2D([], [], color=quiet, linestyle=DASHED, linewidth=1)))
    if not parts:
        return
    names, handles = zip(*parts, strict=True)
    figure.legend(handles, names, loc="outside lower right", ncols=3, columnspacing=1.2, handletextpad=0.5)


def around(axes: Axes, value: float, y: float, interval: tuple[float, float], colour: str) -> None:
    """Draw an interval as a line with caps."""
    low, high = interval
    axes.errorbar(value, y, xerr=[[max(0, value - low)], [max(0, high - value)]], color=colour, elinewidth=1.2)


def known(values: Sequence[float | None]) -> list[float]:
    """The values that are not None."""
    return [value for value in values if value is not None]


def over_k(section: Section, lines: Sequence[Sequence[Method]], styles: dict[str | None, Style]) -> Figure:
    """Learning curves: mean accuracy over draws, with a band of one standard deviation, over log2(k + 1)."""
    figure = Figure(figsize=(WIDTH / POINTS, (190 + LINE * ((len(lines) + 1) // 2)) / POINTS), layout="constrained")
    axes = figure.subplots()
    handles, ends = [], []
    for line in lines:
        style = styles[line[0].name]
        x, mean = np.log2([method.k + 1 for method in line]), np.array([method.accuracy for method in line])
        spread = np.array([deviation(method.accuracies) or 0 for method in line])
        if spread.any():
            axes.fill_between(x, mean - spread, mean + spread, color=light(style.colour), alpha=0.14, linewidth=0)
        mark(axes, x, mean, style, linestyle="-")
        handles.append(axes.lines[-1])
        ends += [*(mean - spread), *(mean + spread)]
    ks = sorted({method.k for line in lines for method in line})
    axes.set_xticks(np.log2(np.array(ks) + 1), [str(k) for k in ks])
    majority_line(section, axes, across=True)
    fit(axes, [min(max(end, 0), 1) for end in [*ends, *known([section.majority])]], "y")
    several = any(len(method.draws) > 1 for line in lines for method in line)
    axes.set_xlabel("k, demonstrations of each class" + ("\nband: ± standard deviation over draws" if several else ""))
    axes.set_ylabel("accuracy")
    legend(figure, handles, [line[0].name or "no method" for line in lines])
    return figure


def legend(figure: Figure, handles: Sequence[Any], names: Sequence[str]) -> None:
    """Add a legend below the axes. matplotlib would skip names that begin with an underscore."""
    shown = [f"\u200b{name}" if name.startswith("_") else name for name in map(label, names)]
    figure.legend(handles, shown, loc="outside lower left", ncols=2, columnspacing=1.2, handletextpad=0.5)


def sensitivity(section: Section, styles: dict[str | None, Style]) -> Figure | None:
    """Accuracy of each draw and of each order of demonstrations, and how often two draws disagree."""
    several = [n for n, method in enumerate(section.methods) if len(method.draws) > 1 or method.orders]
    if not several:
        return None
    rows = Rows(section, several, below=58)
    (axes,) = rows.panels
    for place in rows.places:
        method, y = section.methods[place], rows.at[place]
        values, orders = method.accuracies, method.order_accuracies
        style, both = styles[method.name], [*values, *orders]
        axes.hlines(y, min(both), max(both), light(style.colour), linewidth=1, alpha=0.5)
        mark(axes, values, [y - 0.14 * bool(orders)] * len(values), style, alpha=0.75)
        if orders:
            axes.plot(orders, [y + 0.2] * len(orders), "|", color=light(style.colour), markeredgewidth=1.2)
    methods = [section.methods[place] for place in several]
    fit(axes, [value for method in methods for value in (*method.accuracies, *method.order_accuracies)])
    with_orders = any(method.orders for method in methods)
    axes.set_xlabel("accuracy of each draw" + (" (marks), of each order (ticks)" if with_orders else ""))
    rows.beside(lambda method: "-" if method.disagreement is None else f"{100 * method.disagreement:.0f} %", "disagree")
    return rows.figure


def cost(section: Section, styles: dict[str | None, Style]) -> Figure | None:
    """Mean tokens and seconds over draws."""
    columns = (("tokens", "tokens"), ("seconds", "time"))
    found = {title: [COLUMNS[key].value(method) for method in section.methods] for title, key in columns}
    found = {title: values for title, values in found.items() if any(values)}
    if not found:
        return None
    rows = Rows(section, range(len(section.methods)), panels=len(found), below=30)
    for axes, (title, values) in zip(rows.panels, found.items(), strict=True):
        axes.set_title(title, loc="left", fontsize=8.5, color=light("quiet"))
        largest = max(value or 0 for value in values)
        axes.set_xlim(0, largest * 1.55)
        axes.set_xticks([])
        axes.spines.bottom.set_visible(False)
        for place in rows.places:
            value, y = values[place], rows.at[place]
            axes.barh(y, value or 0, 0.5, color=light(styles[section.methods[place].name].colour))
            shown = "-" if value is None else short(value)
            axes.text((value or 0) + largest * 0.04, y, shown, va="center_baseline", size=8, color=light("quiet"))
    return rows.figure


def short(value: float) -> str:
    """`value` with a unit prefix: 65.9k, 1.2M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.1f}{unit}"
    return f"{value:.1f}"
