"""The report page, rendered from templates. Results are HTML; the examples are packed JSON that a script shows.

The page runs only its own script, which loads nothing but the examples of a large page: its content security policy has
the hashes of script and style.
"""

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from evaluate.columns import COLUMNS
from evaluate.reading import read_results
from evaluate.report import tables
from evaluate.report.figures import TRAINING, Drawn, draw, files, on_page
from evaluate.report.folder import folder_of, write_page
from evaluate.report.parts import pack
from evaluate.report.sections import LARGE, Section, sections_of
from evaluate.report.style import COLOURS, LEVELS, TURN, styles_of
from evaluate.table import explanations
from preprocess.errors import InputError
from preprocess.files import PathFlag, check_writable, write_bytes

TEMPLATES = Path(__file__).with_name("templates")
SCRIPTS = ("tables.js", "parts.js", "examples.js", "details.js", "filters.js")
OVERVIEW = ("Accuracy", "Accuracy over k", "Sensitivity to the draw", "Cost")


@dataclass(frozen=True)
class ReportConfig:
    """Write one HTML page of predictions files: methods with intervals and tests, figures, and all examples.

    Args:
        paths: Predictions files, or folders that contain outputs_*.json at any depth.
        output: The page, NAME.html, a self-contained file unless it is large.
        figures: Folder for the figures as SVG and PDF files; by default no files are written.
        max_page_mb: Largest size of a self-contained page in MB. The examples of a larger one are in a folder
            NAME.examples-HASH beside it, from which the page loads what is shown.
    """

    paths: tuple[PathFlag, ...] = ("results",)
    output: PathFlag = "report.html"
    figures: PathFlag = ""
    max_page_mb: float = 10

    def __post_init__(self) -> None:
        if not self.output.endswith(".html"):
            raise InputError(f"--output {self.output}: expected a file name that ends in .html")
        if not self.max_page_mb >= 0:
            raise InputError(f"--max_page_mb {self.max_page_mb}: expected 0 or more")


def write_report(config: ReportConfig) -> None:
    """Read the results and write the report.

    Raises:
        InputError: See `read_results`; or an output cannot be written.
    """
    check_writable(config.output, "--output")
    if config.figures:
        check_writable(Path(config.figures) / "figure.svg", "--figures")
    sections = sections_of(read_results(config.paths))
    styles = styles_of([method for section in sections for method in section.methods])
    drawn = [draw(section, styles, bool(config.figures)) for section in sections]
    packed = pack(sections)
    content, folder = page(sections, drawn, packed, config)
    made = files(sections, drawn) if config.figures else {}
    size = write_page(Path(config.output), content, folder, packed)
    methods, draws = (sum(map(len, parts)) for parts in zip(*((s.methods, s.draws) for s in sections), strict=True))
    print(f"{config.output}: methods {methods}, draws {draws}, data sets {len(sections)}, {len(content) / 1e6:.1f} MB")
    if folder:
        print(f"{folder}: the examples, {size / 1e6:.1f} MB; keep it beside the page")
    for name, figure in made.items():
        write_bytes(Path(config.figures) / name, figure)
    if config.figures:
        print(f"{config.figures}: figures {len(made) // 2}, each as SVG and PDF")


def page(
    sections: Sequence[Section], drawn: Sequence[Sequence[Drawn]], packed: Mapping[str, str], config: ReportConfig
) -> tuple[bytes, Path | None]:
    """The whole file, and the folder from which it loads the examples, if it would be too large with them."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    levels = {"levels": LEVELS, "turn": round(TURN * LEVELS)}
    style = environment.get_template("style.css").render(colours=COLOURS, **levels)
    script = "\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS)
    template = environment.get_template("page.html")
    variables = levels | {
        "title": "Classification: " + ", ".join(dict.fromkeys(section.title for section in sections)),
        "style": style,
        "style_hash": content_hash(style),
        "script": script,
        "script_hash": content_hash(script),
        "parts": [part(number, *pair) for number, pair in enumerate(zip(sections, drawn, strict=True))],
        "files": tables.files(result for section in sections for result in section.results),
    }
    folder = folder_of(Path(config.output), packed)
    address = quote(os.fsencode(folder.name))
    alone = template.render(variables, examples="", folder=folder.name, address=address).encode("utf-8", "replace")
    if len(alone) + sum(map(len, packed.values())) > config.max_page_mb * 1e6:
        return alone, folder
    examples = "\n".join(f"{name} {text}" for name, text in packed.items())
    return template.render(variables, examples=examples, folder="", address="").encode("utf-8", "replace"), None


def part(number: int, section: Section, drawn: Sequence[Drawn]) -> dict[str, Any]:
    """Variables of the template of a section."""
    figures = [one for one in drawn if one.kind != "Confusion matrix"]
    drawings = on_page(section, figures, f"f{number}")
    shown = [one._asdict() | {"svg": drawing} for one, drawing in zip(figures, drawings, strict=True)]
    places = range(len(section.methods)) if section.classes else ()
    is_large = len(section.classes) > LARGE
    return {
        "section": section,
        "several": any(len(method.draws) > 1 for method in section.methods),
        "facts": facts(section),
        "summary": tables.summary(section),
        "notes": explanations(section.methods, section.against)[1:],  # the facts have the first
        "overview": [one for one in shown if one["kind"] in OVERVIEW],
        "training": training(shown),
        "reliability": [one for one in shown if one["kind"] == "Reliability"],
        "f1": [one for one in shown if one["kind"] == "F1 of each class"],
        "class_f1": tables.class_f1(section),
        "matrices": [] if is_large else [(place, tables.matrix(section, section.methods[place])) for place in places],
        "confusions": [
            (place, tables.largest_confusions(section, section.methods[place])) for place in places if is_large
        ],
        "differences": tables.differences(section),
        "draws": tables.draws(section),
        "counted_draws": counted(len(section.draws), "draw"),
    }


def training(shown: Sequence[dict[str, Any]]) -> dict[str, list[tuple[str, str]]]:
    """Name of each training run -> caption and figure of its curves."""
    runs: dict[str, list[tuple[str, str]]] = {}
    for one in shown:
        if one["kind"].startswith(TRAINING):
            runs.setdefault(one["about"], []).append((one["kind"].removeprefix(f"{TRAINING}, "), one["svg"]))
    return runs


def facts(section: Section) -> list[tuple[str, str, str]]:
    """Name, value and detail of each fact above the table."""
    best, groups = section.methods[section.best], section.groups
    found = [
        ("Best method", f"{best.accuracy:.4f}", section.names[section.best]),
        ("Majority", f"{section.majority:.4f}", "the most frequent class") if section.majority is not None else None,
        ("Examples", f"{len(section.first.ids):,}", f"on {len(groups.sizes):,} pages" if groups.are_pages else ""),
        ("Classes", f"{len(section.classes):,}", "") if section.classes else None,
        ("Methods", str(len(section.methods)), counted(len(section.draws), "draw")),
    ]
    for key, name, detail in (("k", "k", "demonstrations of each class"), ("checkpoint", "Checkpoint", "")):
        values = {COLUMNS[key].cell(method) for method in section.methods}
        if len(values) == 1 and COLUMNS[key].value(section.first) is not None:
            found.append((name, values.pop(), detail))
    return [fact for fact in found if fact]


def counted(number: int, name: str) -> str:
    """A number with a noun, in the plural if needed."""
    return f"{number:,} {name}{'s' * (number != 1)}"


def content_hash(text: str) -> str:
    """Hash of an inline script or style, for a content security policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
