"""Figures of a training run from its log: losses, learning rate, and metrics on held-out pages."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evaluate.report.charts import POINTS, WIDTH, legend, mark
from evaluate.report.style import drawing, series
from evaluate.report.svg import save
from preprocess.files import write_bytes

Curve = list[tuple[float, float]]  # step, value
HEIGHT = 210  # points


def write_curves(folder: Path) -> list[Path]:
    """Write `folder`/figures/*.svg from `folder`/log.csv. A figure without values is left out."""
    with (folder / "log.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {name: curve_of(rows, name) for name in rows[0] if name not in ("step", "seconds")} if rows else {}
    columns = {name: curve for name, curve in columns.items() if curve}
    losses = {name: curve for name, curve in columns.items() if name == "loss" or name.endswith("_loss")}
    proportions = {
        name: curve
        for name, curve in columns.items()
        if name.startswith("eval_") and name not in losses and all(0 <= value <= 1 for _, value in curve)
    }
    rates = {name: columns[name] for name in ("learning_rate",) if name in columns}
    written = []
    with drawing():
        for name, curves in (("loss", losses), ("learning_rate", rates), ("held_out", proportions)):
            if curves:
                path = folder / "figures" / f"{name}.svg"
                write_bytes(path, save(draw_curves(curves, name.replace("_", " ")), "svg"))
                written.append(path)
    return written


def curve_of(rows: Sequence[dict[str, str]], name: str) -> Curve:
    """The finite values of a column, by step."""
    curve = []
    for row in rows:
        try:
            value = float(row[name])
        except (TypeError, ValueError):
            continue
        if math.isfinite(value):
            curve.append((float(row["step"]), value))
    return curve


def draw_curves(curves: dict[str, Curve], title: str) -> Figure:
    """Values over steps, one line for each curve."""
    figure = Figure(figsize=(WIDTH / POINTS, HEIGHT / POINTS), layout="constrained")
    axes = figure.subplots()
    for curve, style in zip(curves.values(), series(), strict=False):
        steps, values = zip(*curve, strict=True)
        mark(axes, steps, values, style, linestyle="-", markersize=3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("step")
    axes.set_ylabel(title)
    legend(figure, axes.lines, list(curves))
    return figure
