"""The figures of a training run, from its log: losses, learning rate, and what was measured on held-out pages."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from evaluate.report.drawing import MARKERS, Scale, canvas, horizontal_axis, legend, mark, to_file, upright_axis
from evaluate.report.markup import element, to_xml
from preprocess.files import write_bytes

Curve = list[tuple[float, float]]  # step, value
LEFT, WIDTH, HEIGHT = 56.0, 340.0, 190.0
TICKS = 5  # at most, about


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
            write_bytes(path, to_xml(to_file(draw_curves(curves, name.replace("_", " ")))))
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


def draw_curves(curves: dict[str, Curve], title: str) -> Element:
    """Values over steps, a line each."""
    names = list(curves)[: len(MARKERS)]
    marks, top = legend(names, range(len(names)), LEFT + WIDTH, 14)
    bottom = top + 20 + HEIGHT
    steps = round_scale([step for name in names for step, _ in curves[name]], LEFT, LEFT + WIDTH)
    axis = round_scale([value for name in names for _, value in curves[name]], bottom, top + 20)
    svg = canvas(LEFT + WIDTH + 20, bottom + 44, title)
    svg.extend(
        [*upright_axis(axis, LEFT, LEFT + WIDTH, title), *horizontal_axis(steps, top + 20, bottom, "step"), *marks]
    )
    for style, name in enumerate(names):
        points = [(steps(step), axis(value)) for step, value in curves[name]]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        svg.append(element("polyline", points=path, class_=f"curve s{style}"))
        svg.append(mark(style, *points[-1]))
    return svg


def round_scale(values: Sequence[float], start: float, end: float) -> Scale:
    """From a round number not above any of the values to one not below any."""
    low, high = min(values), max(values)
    span = (high - low) or abs(high) or 1.0
    unit = 10 ** math.floor(math.log10(span / TICKS))
    step = next(unit * factor for factor in (1, 2, 5, 10) if span / (unit * factor) <= TICKS)
    first = math.floor(low / step) * step
    last = first + step * max(1, math.ceil((high - first) / step - 1e-9))
    return Scale(first, last, start, end, step)
