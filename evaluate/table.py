"""The results table, made from predictions files and their meta files alone."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluate.metrics import accuracy, macro_f1, wilson_interval
from evaluate.predictions import Predictions, read_predictions, sha256
from preprocess.errors import InputError
from preprocess.files import read_json

METHODS = {"direct": "direct", "direct_calibrate": "calibrated", "channel": "channel", "generate": "generate"}
COLUMNS = (
    "dataset",
    "num_examples",
    "k",
    "method",
    "accuracy",
    "95 % interval",
    "macro-F1",
    "unanswered",
    "inference time",
    "checkpoint",
)
NUMBERS = ("num_examples", "k", "accuracy", "95 % interval", "macro-F1", "unanswered", "inference time")  # set right
UNKNOWN = "-"


@dataclass(frozen=True)
class TableConfig:
    """Print the results table of predictions files: accuracy with Wilson's 95 % interval, macro-F1, time.

    Args:
        paths: Predictions files, or folders that hold outputs_*.json at any depth.
        format: markdown, latex or csv.
    """

    paths: tuple[str, ...] = ("results",)
    format: str = "markdown"

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise InputError(f"--format {self.format}: expected {', '.join(FORMATS)}")


def print_table(config: TableConfig) -> None:
    """Read, check and print, sorted by data set, checkpoint, k and method."""
    found = [read_checked(path) for path in find_files(config.paths)]
    rows = [table_row(predictions) for predictions in sorted(found, key=sort_key)]
    print(FORMATS[config.format](rows))


def find_files(paths: Sequence[str]) -> list[Path]:
    """The predictions files that `paths` name.

    Raises:
        InputError: A path that does not exist, or a folder without predictions.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(file for file in path.rglob("outputs_*.json") if not file.name.endswith(".meta.json"))
            if not inside:
                raise InputError(f"{path}: no outputs_*.json in it")
            files += inside
        elif path.is_file():  # a shell's outputs_*.json names the meta files as well
            files += [] if path.name.endswith(".meta.json") else [path]
        else:
            raise InputError(f"{path}: no such file or folder")
    return list(dict.fromkeys(files))


def read_checked(path: Path) -> Predictions:
    """A predictions file that belongs together with its meta file and, where that is at hand, with its input.

    Raises:
        InputError: Says what does not fit.
    """
    predictions = read_predictions(path, "FILES")
    meta = predictions.meta
    if meta is None:
        return predictions
    if meta.get("num_examples") != len(predictions.rows):
        raise InputError(f"{path}: {len(predictions.rows)} rows, its meta file says {meta.get('num_examples')}")
    inputs = Path(meta.get("prompt_path") or "")
    if inputs.is_file():
        if sha256(inputs) != meta.get("prompt_sha256"):
            raise InputError(f"{path}: was made from another version of {inputs}; evaluate again or restore that file")
        prompts = read_json(inputs, "FILES")
        if len(prompts) != len(predictions.rows):
            raise InputError(f"{path}: {len(predictions.rows)} rows for {len(prompts)} examples of {inputs}")
        for number, (prompt, row) in enumerate(zip(prompts, predictions.rows, strict=True)):
            expected = prompt.get("id", str(number)), prompt["ground_truth"]
            found = row["id"], row.get("ground_truth", prompt["ground_truth"])
            if found != expected:
                raise InputError(f"{path}: row {number} is {found}, in {inputs} it is {expected}")
    return predictions


def sort_key(predictions: Predictions) -> tuple:
    meta = predictions.meta or {}
    prompt = meta.get("prompt") or {}
    method = list(METHODS).index(meta["method"]) if meta.get("method") in METHODS else len(METHODS)
    return (prompt.get("dataset", "~"), meta.get("checkpoint", "~"), prompt.get("k", -1), method, str(predictions.path))


def table_row(predictions: Predictions) -> dict[str, str]:
    """The columns of one file, as text; what the files do not tell is `-`."""
    rows, meta = predictions.rows, predictions.meta or {}
    prompt = meta.get("prompt") or {}
    right = sum(row["correct"] for row in rows)
    low, high = wilson_interval(right, len(rows))
    answers, truths = [row["prediction"] for row in rows], [row.get("ground_truth") for row in rows]
    method = meta.get("method")
    return {
        "dataset": prompt.get("dataset", UNKNOWN),
        "num_examples": str(len(rows)),
        "k": str(prompt.get("k", UNKNOWN)),
        "method": METHODS.get(method, method or UNKNOWN),
        "accuracy": f"{right / len(rows):.4f}" if None in truths else f"{accuracy(answers, truths):.4f}",
        "95 % interval": f"{low:.4f}-{high:.4f}",
        "macro-F1": UNKNOWN if None in truths else f"{macro_f1(answers, truths):.4f}",
        "unanswered": str(answers.count(None)),
        "inference time": UNKNOWN if meta.get("seconds") is None else clock(meta["seconds"]),
        "checkpoint": meta.get("checkpoint", UNKNOWN),
    }


def clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest:02d}"


def to_markdown(rows: Sequence[dict[str, str]]) -> str:
    """A table that reads well as plain text too."""
    widths = {name: max(len(name), *(len(row[name].replace("|", "\\|")) for row in rows)) for name in COLUMNS}

    def line(cells: dict[str, str]) -> str:
        padded = (
            cells[name].replace("|", "\\|").rjust(width)
            if name in NUMBERS
            else cells[name].replace("|", "\\|").ljust(width)
            for name, width in widths.items()
        )
        return f"| {' | '.join(padded)} |"

    rule = "|".join("-" * (width + 1) + (":" if name in NUMBERS else "-") for name, width in widths.items())
    return "\n".join([line({name: name for name in COLUMNS}), f"|{rule}|", *map(line, rows)])


def to_latex(rows: Sequence[dict[str, str]]) -> str:
    """A tabular environment, without any package."""
    alignment = "".join("r" if name in NUMBERS else "l" for name in COLUMNS)
    lines = [[escape(name) for name in COLUMNS], *([escape(row[name]) for name in COLUMNS] for row in rows)]
    header, *body = (" & ".join(cells) + r" \\" for cells in lines)
    return "\n".join(
        [rf"\begin{{tabular}}{{{alignment}}}", r"\hline", header, r"\hline", *body, r"\hline", r"\end{tabular}"]
    )


def escape(text: str) -> str:
    """`text` with LaTeX's special characters made plain."""
    special = {character: "\\" + character for character in "&%$#_{}"}
    special |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(character, character) for character in text)


def to_csv(rows: Sequence[dict[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


FORMATS = {"markdown": to_markdown, "latex": to_latex, "csv": to_csv}
