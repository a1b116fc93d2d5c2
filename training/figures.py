"""Figures of a training run, in its folder."""

from pathlib import Path

from evaluate.report.curves import LOG, draw_curves, read_curves
from evaluate.report.style import drawing
from evaluate.report.svg import save
from preprocess.files import write_bytes


def write_curves(folder: Path) -> list[Path]:
    """Write `folder`/figures/*.svg from `folder`/log.csv. A figure without values is left out."""
    written = []
    with drawing():
        for name, curves in read_curves(folder / LOG).items():
            path = folder / "figures" / f"{name}.svg"
            write_bytes(path, save(draw_curves(curves, name.replace("_", " ")), "svg"))
            written.append(path)
    return written
