"""Curves of a training run from its log.csv: losses, learning rate, and metrics on held-out examples over steps."""

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evaluate.report.charts import POINTS, WIDTH, legend, mark
from evaluate.report.sections import Section
from evaluate.report.style import label, series

LOG = "log.csv"  # in the run folder, next to the predictions
STEP = "step"  # its first column
HELD_OUT = "eval_"  # prefix of columns whose values are from held-out examples
UNANSWERED = "eval_unanswered"  # a count
HEIGHT = 210  # points
MOST_LINES = 12  # in a figure
MOST_POINTS = 400  # of a line; more are thinned out evenly
NUMBER = ".4g"

Curve = list[tuple[float, float]]  # step, value


class Run(NamedTuple):
    """A training run whose predictions a section contains.

    Args:
        place: Index of the method in the section.
        name: Of the method, with the seed if it has several draws.
        curves: Figure name -> column -> values.
    """

    place: int
    name: str
    curves: dict[str, dict[str, Curve]]


def read_curves(path: Path) -> dict[str, dict[str, Curve]]:
    """The curves of a log by figure (loss, learning_rate, held_out) and column. Figures without values are left out; a
    file that is not a training log has none."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            if (rows.fieldnames or [""])[0] != STEP:
                return {}
            rows = list(rows)
    except (OSError, UnicodeDecodeError, csv.Error):
        return {}
    columns = {name: curve_of(rows, name) for name in (rows[0] if rows else ()) if name not in (STEP, "seconds", None)}
    columns = {name: curve for name, curve in columns.items() if curve}
    losses = {name: curve for name, curve in columns.items() if name == "loss" or name.endswith("_loss")}
    losses = dict(sorted(losses.items(), key=lambda item: (item[0].removeprefix(HELD_OUT), item[0])))
    metrics = {name for name in columns if name.startswith(HELD_OUT)} - {*losses, UNANSWERED}
    proportions = {
        name: curve for name, curve in columns.items() if name in metrics and all(0 <= value <= 1 for _, value in curve)
    }
    rates = {name: columns[name] for name in ("learning_rate",) if name in columns}
    named = {"loss": losses, "learning_rate": rates, "held_out": proportions}
    return {name: dict(list(curves.items())[:MOST_LINES]) for name, curves in named.items() if curves}


def curve_of(rows: Sequence[dict[str, str]], name: str) -> Curve:
    """The finite values of a column, by step."""
    curve = []
    for row in rows:
        try:
            step, value = float(row[STEP]), float(row[name])
        except (TypeError, ValueError):
            continue
        if math.isfinite(step) and math.isfinite(value):
            curve.append((step, value))
    return curve


def draw_curves(curves: dict[str, Curve], title: str) -> Figure:
    """Values over steps, one line for each curve. The curves of train examples (dashed) and of held-out examples have
    one colour."""
    figure = Figure(figsize=(WIDTH / POINTS, HEIGHT / POINTS), layout="constrained")
    axes = figure.subplots()
    styles = dict(zip(dict.fromkeys(name.removeprefix(HELD_OUT) for name in curves), series(), strict=False))
    for name, curve in curves.items():
        steps, values = zip(*thinned(curve), strict=True)
        dashed = HELD_OUT + name in curves and len(steps) > 1  # a dash of one point would be invisible
        look = {"linestyle": "--", "marker": ""} if dashed else {"linestyle": "-", "markersize": 3}
        mark(axes, steps, values, styles[name.removeprefix(HELD_OUT)], **look)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("step")
    axes.set_ylabel(title)
    legend(figure, axes.lines, list(curves))
    return figure


def thinned(curve: Curve) -> Curve:
    """At most MOST_POINTS + 1 of the points, among them the first and the last."""
    every = math.ceil(len(curve) / MOST_POINTS)
    return curve[:-1:every] + curve[-1:]


def words(curves: dict[str, Curve]) -> str:
    """The ends of each curve, as text."""
    return "; ".join(
        f"{label(name)}: {curve[0][1]:{NUMBER}} at step {curve[0][0]:.0f}, "
        f"{curve[-1][1]:{NUMBER}} at step {curve[-1][0]:.0f}"
        for name, curve in curves.items()
    )


def runs_of(section: Section) -> Iterator[Run]:
    """The training runs of a section. Baselines in a run folder were not trained: they have no checkpoint."""
    for place, method in enumerate(section.methods):
        for draw in method.draws:
            curves = read_curves(draw.path.parent / LOG) if draw.checkpoint is not None else {}
            if curves:
                seed = f", seed {draw.seed}" if len(method.draws) > 1 else ""
                yield Run(place, section.names[place] + seed, curves)
