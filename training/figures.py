"""The figures of a training run, from its log: losses, learning rate, and what was measured on held-out pages."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from evaluate.report.charts import POINTS, WIDTH, legend, mark
from evaluate.report.style import series
from evaluate.report.svg import draw_svg
from preprocess.files import write_bytes

Curve = list[tuple[float, float]]  # step, value
HEIGHT = 210  # points


def write_curves(folder: Path) -> list[Path]:
    """`folder`/figures/*.svg of `folder`/log.csv; what was not logged is not drawn."""
    with (folder / "log.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {name: curve_of(rows, name) for name in rows[0] if name not in ("step", "seconds")} if rows else {}
    columns = {name: curve for name, curve in columns.items() if curve}
    losses = {name: curve for name, curve in columns.items() if name == "loss" or name.endswith("_loss")}
    shares = {
        name: curve
        for name, curve in columns.items()
        if name.startswith("eval_") and name not in losses and all(0 <= value <= 1 for _, value in curve)
    }
    rates = {name: columns[name] for name in ("learning_rate",) if name in columns}
    written = []
    for name, curves in (("loss", losses), ("learning_rate", rates), ("held_out", shares)):
        if curves:
            path = folder / "figures" / f"{name}.svg"
            write_bytes(path, draw_svg(draw_curves, curves, name.replace("_", " ")))
            written.append(path)
    return written


def curve_of(rows: Sequence[dict[str, str]], name: str) -> Curve:
    """The values of a column, by step; where there is none, or no number, nothing."""
    found = []
    for row in rows:
        try:
            value = float(row[name])
        except (TypeError, ValueError):
            continue
        if math.isfinite(value):
            found.append((float(row["step"]), value))
    return found


def draw_curves(curves: dict[str, Curve], title: str) -> Figure:
    """Values over steps, a line for each curve with a mark at its end."""
    figure = Figure(figsize=(WIDTH / POINTS, HEIGHT / POINTS), layout="constrained")
    axes = figure.subplots()
    for curve, style in zip(curves.values(), series(), strict=False):
        mark(axes, *zip(*curve, strict=True), style, linestyle="-", markevery=[-1])
    axes.set_xlabel("step")
    axes.set_ylabel(title)
    legend(figure, axes.lines, list(curves))
    return figure
