"""The page: what was measured as HTML, made here; the browser of examples as JSON, shown by page.js.

It loads nothing and runs nothing but its own script: a policy in its head names the hashes of that and of its style.
"""

import base64
import hashlib
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluate.reading import read_results
from evaluate.report.drawing import to_file
from evaluate.report.examples import to_json
from evaluate.report.figures import Figure, draw
from evaluate.report.markup import element, to_html, to_xml
from evaluate.report.sections import Section, sections_of
from evaluate.report.tables import files_table, section_html
from preprocess.errors import InputError
from preprocess.files import PathFlag, check_writable, write_bytes

FOLDER = Path(__file__).parent
STYLES = ("page.css", "figures.css", "dark.css")


@dataclass(frozen=True)
class ReportConfig:
    """Write one HTML page of predictions files: the table with intervals and tests, figures, and every example.

    Args:
        paths: Predictions files, or folders that hold outputs_*.json at any depth.
        output: The page, a file that needs no other.
        figures: Folder for the figures as SVG files; none are written without it.
    """

    paths: tuple[PathFlag, ...] = ("results",)
    output: PathFlag = "report.html"
    figures: PathFlag = ""

    def __post_init__(self) -> None:
        if not self.output.endswith(".html"):
            raise InputError(f"--output {self.output}: expected a file name that ends in .html")


def write_report(config: ReportConfig) -> None:
    """Read, check, draw and write.

    Raises:
        InputError: See `read_results`; a place that cannot be written to.
    """
    check_writable(config.output, "--output")
    if config.figures:
        check_writable(Path(config.figures) / "figure.svg", "--figures")
    sections = sections_of(read_results(config.paths))
    drawn = [draw(section) for section in sections]
    content = page(sections, drawn).encode("utf-8", "replace")
    write_bytes(config.output, content)
    count = sum(len(section.results) for section in sections)
    print(f"{config.output}: results {count}, sets of examples {len(sections)}, {len(content) / 1e6:.1f} MB")
    if config.figures:
        files = figure_files(sections, drawn)
        for name, figure in files.items():
            write_bytes(Path(config.figures) / name, to_xml(to_file(figure.svg)))
        print(f"{config.figures}: figures {len(files)}")


def page(sections: Sequence[Section], drawn: Sequence[Sequence[Figure]]) -> str:
    """The whole file. The parts go into the template in one pass: nothing in them is taken for a place of it."""
    style = "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in STYLES)
    script = (FOLDER / "page.js").read_text(encoding="utf-8")
    links = [element("li", element("a", s.title, href=f"#set-{n}")) for n, s in enumerate(sections)]
    bodies = [section_html(n, *pair) for n, pair in enumerate(zip(sections, drawn, strict=True))]
    parts = {
        "style": style,
        "script": script,
        "style_hash": content_hash(style),
        "script_hash": content_hash(script),
        "title": html.escape("Classification: " + ", ".join(dict.fromkeys(section.title for section in sections))),
        "links": "\n".join(map(to_html, links)),
        "sections": "\n".join(map(to_html, bodies)),
        "files": to_html(files_table([result for section in sections for result in section.results])),
        "examples": to_json(sections),
    }
    template = (FOLDER / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], template)


def content_hash(text: str) -> str:
    """As a Content-Security-Policy names an inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def figure_files(sections: Sequence[Section], drawn: Sequence[Sequence[Figure]]) -> dict[str, Figure]:
    """File name -> figure; a number tells apart what would have the same name."""
    files: dict[str, Figure] = {}
    for section, figures in zip(sections, drawn, strict=True):
        for figure in figures:
            stem = "_".join(filter(None, map(slug, (section.title, figure.kind, figure.name))))
            numbered = (stem if n == 1 else f"{stem}_{n}" for n in range(1, len(files) + 2))
            files[next(f"{name}.svg" for name in numbered if f"{name}.svg" not in files)] = figure
    return files


def slug(name: str) -> str:
    """`name` as a part of a file name."""
    return "-".join(re.findall(r"\w+", name))[:80]
