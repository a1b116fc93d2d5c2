"""Figures of single methods, and F1 of each class for a few: confusion matrices, reliability diagrams."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from evaluate import metrics
from evaluate.methods import Method
from evaluate.report.charts import DASHED, LINE, POINTS, WIDTH, around, legend, mark
from evaluate.report.sections import Section
from evaluate.report.style import TURN, Style, heat_map, label, light

NARROW = 195  # points, width of a reliability diagram
CELL = 25  # points, of a confusion matrix


def f1(section: Section, places: Sequence[int], styles: dict[str | None, Style]) -> Figure | None:
    """F1 of each class, mean over draws with 95 % interval. Each row has one mark for each of a few methods."""
    classes, methods = section.frequent_classes, [section.methods[place] for place in places]
    if not classes:
        return None
    lane = 0.8 / len(methods)
    height = len(classes) * (9.5 * len(methods) + 7) + 48 + LINE * ((len(methods) + 1) // 2)
    figure = Figure(figsize=(WIDTH / POINTS, height / POINTS), layout="constrained")
    axes, handles = figure.subplots(), []
    for number, method in enumerate(methods):
        style = styles[method.name]
        y = np.arange(len(classes)) - 0.4 + lane * (number + 0.5)
        found = [(at, one) for at, one in zip(y, map(method.class_f1, classes), strict=True) if one]
        for at, one in found:
            if one.interval:
                around(axes, one.value, at, one.interval, light(style.colour))
        mark(axes, [one.value for _, one in found], [at for at, _ in found], style)
        handles.append(axes.lines[-1])
    for border in np.arange(len(classes) - 1) + 0.5:
        axes.axhline(border, color=light("rule"), linewidth=0.75)
    axes.set_yticks(range(len(classes)), [label(word) for word in classes])
    axes.set_ylim(len(classes) - 0.5, -0.5)
    axes.set_xlim(-0.004, 1.004)
    axes.grid(visible=False, axis="y")
    axes.spines.left.set_visible(False)
    axes.set_xlabel("F1, line: 95 % interval")
    legend(figure, handles, [section.names[place] for place in places])
    return figure


def confusion(classes: Sequence[str], counts: np.ndarray) -> Figure:
    """Confusion matrix: counts as numbers, share of the true class as colour.

    Args:
        classes: Its C classes.
        counts: (C, C + 1), see `evaluate.metrics.confusion_matrix`.
    """
    columns = [*classes, *(["no answer"] if counts[:, -1].any() else [])]
    counts = counts[:, : len(columns)]
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    size = (CELL * len(columns) / POINTS, CELL * len(classes) / POINTS)
    figure = Figure(figsize=size)  # without labels; the file is cropped to what is drawn
    axes = figure.add_axes((0, 0, 1, 1))
    cells = axes.pcolormesh(shares, cmap=heat_map(), vmin=0, vmax=1, edgecolors="w", linewidth=1)
    for (row, column), count in np.ndenumerate(counts):
        colour = light("on-heat" if shares[row, column] >= TURN else "on-frame")
        if count:
            axes.text(column + 0.5, row + 0.5, f"{count:,}", ha="center", va="center", size=8, color=colour)
    middles = {"x": np.arange(len(columns)) + 0.5, "y": np.arange(len(classes)) + 0.5}
    turned = {"rotation": 40, "ha": "left", "rotation_mode": "anchor"}
    axes.set_xticks(middles["x"], [label(word) for word in columns], **turned)
    axes.set_yticks(middles["y"], [label(word) for word in classes])
    axes.xaxis.set_ticks_position("top")
    axes.xaxis.set_label_position("top")
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("prediction")
    axes.set_ylabel("ground truth")
    beside = axes.inset_axes((1 + 0.4 / len(columns), 0, 0.3 / len(columns), 1))
    bar = figure.colorbar(cells, cax=beside, ticks=[0, 0.5, 1], format="{x:.0%}")
    bar.set_label("share of the true class", size=8)
    bar.outline.set_visible(False)
    return figure


def reliability(method: Method, style: Style) -> Figure | None:
    """Reliability diagram: accuracy over confidence in bins (Guo et al. 2017, figure 1), and the number of examples in
    each bin. Draws are pooled. One draw has Wilson's intervals; several draws have a line each."""
    together = bins_of(method)
    if together is None:
        return None
    figure = Figure(figsize=(NARROW / POINTS, 215 / POINTS), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    colour = light(style.colour)
    axes.plot([0, 1], [0, 1], color=light("quiet"), linestyle=DASHED, linewidth=1)
    if len(method.draws) > 1:
        for draw in method.draws:
            own = [one for one in draw.reliability if one.count]
            axes.plot([b.confidence for b in own], [b.accuracy for b in own], color=colour, alpha=0.35, linewidth=0.9)
    full = [one for one in together if one.count]
    x, y = [one.confidence for one in full], [one.accuracy for one in full]
    if len(method.draws) == 1:
        ends = [metrics.wilson_interval(round(one.accuracy * one.count), one.count) for one in full]
        size = [[max(0, v - low), max(0, high - v)] for v, (low, high) in zip(y, ends, strict=True)]
        axes.errorbar(x, y, yerr=np.transpose(size), color=colour, elinewidth=1, linestyle="")
    mark(axes, x, y, style, markersize=4)
    width = 1 / len(together)
    below.bar((np.arange(len(together)) + 0.5) * width, [one.count for one in together], width * 0.86, color=colour)
    axes.set_ylim(-0.02, 1.02)
    axes.tick_params(labelsize=8.5)
    axes.set_ylabel("accuracy")
    below.set_xlim(-0.02, 1.02)
    below.set_xticks([0, 0.5, 1])
    below.set_yticks([])
    below.grid(visible=False)
    below.spines.left.set_visible(False)
    below.set_xlabel("confidence")
    below.set_ylabel("examples")
    return figure


def bins_of(method: Method) -> list[metrics.Bin] | None:
    """Bins of the pooled draws; None if a draw has no scores."""
    if any(draw.distributions is None for draw in method.draws):
        return None
    confidences = [p.max() for draw in method.draws for p in draw.distributions]
    return metrics.reliability(np.array(confidences), np.concatenate([draw.correct for draw in method.draws]))
