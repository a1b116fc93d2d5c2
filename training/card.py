"""The training section of a model card: options, metrics from the log, versions."""

import csv
from collections.abc import Sequence
from pathlib import Path

from preprocess.files import read_json

ROWS = 12  # last evaluations of the log that are shown


def training_section(folder: Path) -> list[str]:
    """Lines of Markdown about the run in a folder; empty if it has no configuration.json."""
    record = folder / "configuration.json"
    if not record.is_file():
        return []
    content = read_json(record, "--output_dir")
    options = content["configuration"].get("training", {})
    lines = ["## Training", "", "| option | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in options.items() if value is not None]
    lines += ["", *log_rows(folder / "log.csv")]
    versions = ", ".join(f"{name} {version}" for name, version in content.get("versions", {}).items())
    return [*lines, versions, ""]


def log_rows(path: Path) -> Sequence[str]:
    """The last evaluations of a log as a Markdown table."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("eval_loss")]
    if not rows:
        return []
    names = [name for name in rows[0] if name.startswith("eval_") and rows[-1][name]]
    lines = [f"| step | {' | '.join(name.removeprefix('eval_') for name in names)} |", f"|---:{'|---:' * len(names)}|"]
    for row in rows[-ROWS:]:
        lines.append(f"| {row['step']} | {' | '.join(short(row[name]) for name in names)} |")
    return [*lines, ""]


def short(text: str) -> str:
    """A number with four decimals; other text unchanged."""
    try:
        return f"{float(text):.4f}"
    except ValueError:
        return text
