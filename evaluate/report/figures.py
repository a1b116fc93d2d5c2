"""Figures of a section: on the page, with their numbers as text alternative, and as files."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from evaluate.columns import COLUMNS
from evaluate.methods import Method
from evaluate.report import charts, curves, panels
from evaluate.report.sections import LARGE, Section
from evaluate.report.style import Style, drawing
from evaluate.report.svg import part_of_page, save

FORMATS = ("svg", "pdf")
TRAINING = "Training"  # begins the kind of its figures
LONGEST_PART = 60  # bytes; a file name has three parts and at most 255 bytes


class Drawn(NamedTuple):
    """A figure.

    Args:
        kind: What it shows.
        about: The checkpoint or method, if each has its own figure.
        place: Index of that method.
        figure: The figure.
        words: Its numbers, as text.
    """

    kind: str
    about: str
    place: int | None
    figure: Figure
    words: str

    def title(self, section: Section) -> str:
        """The title of the figure in a file of its own."""
        return f"{self.kind}: {self.about or section.title}"


def draw(section: Section, styles: dict[str | None, Style], with_matrices: bool) -> list[Drawn]:
    """All figures of a section.

    Args:
        with_matrices: Include confusion matrices, which the page shows as tables.
    """
    with drawing():
        found = [*overview(section, styles), *of_methods(section, styles, with_matrices), *of_training(section)]
    return [one for one in found if one.figure is not None]


def overview(section: Section, styles: dict[str | None, Style]) -> Iterator[Drawn]:
    """The figures that show all methods."""
    yield Drawn("Accuracy", "", None, charts.accuracy(section, styles), words(section, ("accuracy", "interval")))
    for checkpoint, lines in section.curves().items():
        name = (checkpoint or "no checkpoint") if len(section.curves()) > 1 else ""
        numbers = "; ".join(f"{line[0].name}: {', '.join(map(at_k, line))}" for line in lines)
        yield Drawn("Accuracy over k", name, None, charts.over_k(section, lines, styles), numbers)
    of_draws = ("worst", "best", "disagreement", "orders", "order_sd")
    yield Drawn("Sensitivity to the draw", "", None, charts.sensitivity(section, styles), words(section, of_draws))
    yield Drawn("Cost", "", None, charts.cost(section, styles), words(section, ("tokens", "time")))
    yield Drawn("F1 of each class", "", None, panels.f1(section, section.shown, styles), "The table has the numbers.")


def of_methods(section: Section, styles: dict[str | None, Style], with_matrices: bool) -> Iterator[Drawn]:
    """The figures of each method."""
    for place, (method, name) in enumerate(zip(section.methods, section.names, strict=True)):
        diagram = panels.reliability(method, styles[method.name])
        yield Drawn("Reliability", name, place, diagram, reliability_words(method))
        if with_matrices and 0 < len(section.classes) <= LARGE:
            matrix = panels.confusion(section.classes, section.confusion(method))
            yield Drawn("Confusion matrix", name, place, matrix, "")


def of_training(section: Section) -> Iterator[Drawn]:
    for run in curves.runs_of(section):
        for name, lines in run.curves.items():
            kind = name.replace("_", " ")
            yield Drawn(
                f"{TRAINING}, {kind}", run.name, run.place, curves.draw_curves(lines, kind), curves.words(lines)
            )


def at_k(method: Method) -> str:
    """k and accuracy of a method, as text."""
    return f"k = {method.k} {COLUMNS['accuracy'].cell(method)}"


def words(section: Section, keys: Sequence[str]) -> str:
    """Some columns of the results table as text."""
    lines = []
    for name, method in zip(section.names, section.methods, strict=True):
        columns = [COLUMNS[key] for key in keys if COLUMNS[key].value(method) is not None]
        values = [f"{column.header} {column.cell(method)}" for column in columns]
        lines += [f"{name}: {', '.join(values)}"] if values else []
    return "; ".join(lines)


def reliability_words(method: Method) -> str:
    """The numbers of a reliability diagram, as text."""
    bins = [one for one in panels.bins_of(method) or () if one.count]
    numbers = (f"{one.confidence:.2f}, {one.accuracy:.2f}, {one.count}" for one in bins)
    return f"Confidence, accuracy, examples: {'; '.join(numbers)}"


def on_page(section: Section, drawn: Sequence[Drawn], name: str) -> list[str]:
    """Each figure as an HTML element; ids begin with `name`."""
    with drawing():
        return [
            part_of_page(one.figure, f"{name}-{number}", one.title(section), one.words)
            for number, one in enumerate(drawn)
        ]


def files(sections: Sequence[Section], drawn: Sequence[Sequence[Drawn]]) -> dict[str, bytes]:
    """File name -> content. A name consists of data set, figure and method, numbered if it would occur twice."""
    found: dict[str, bytes] = {}
    with drawing():
        for section, figures in zip(sections, drawn, strict=True):
            for one in figures:
                stem = "_".join(filter(None, map(part, (section.title, one.kind.lower(), one.about))))
                numbered = (stem if n == 1 else f"{stem}_{n}" for n in range(1, len(found) + 2))
                name = next(name for name in numbered if f"{name}.svg" not in found)
                found |= {f"{name}.{form}": save(one.figure, form) for form in FORMATS}
    return found


def part(name: str) -> str:
    """`name` as part of a file name."""
    text = "-".join(re.findall(r"\w+", name))
    return text.encode()[:LONGEST_PART].decode(errors="ignore")
