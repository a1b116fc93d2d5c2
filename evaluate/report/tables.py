"""A section as HTML: its tables, and its figures with their numbers as tables for who cannot see them."""

import re
from collections.abc import Iterable, Iterator, Sequence
from xml.etree.ElementTree import Element

from evaluate.columns import COLUMNS
from evaluate.formats import UNKNOWN, four_digits, signed
from evaluate.report.figures import Figure
from evaluate.report.markup import Child, element, scroller, table
from evaluate.report.sections import SIGNIFICANT, Section
from evaluate.result import Result

OF_DRAWS = ("draws", "worst", "best", "disagreement", "orders", "order_sd", "order_worst")  # a row is one draw
NOT_SHOWN = ("dataset", "method", "majority", *OF_DRAWS)  # the heading says one, the first column the other
LAST = ("num_examples", "k", "seed", "checkpoint")  # often the same for all
PAIRS_OPEN = 10  # more are folded
FILE_FIELDS = ("method", "checkpoint_path", "fingerprint", "dtype", "device", "git_commit", "prompt_path")


def section_html(number: int, section: Section, drawn: Sequence[Figure]) -> Element:
    """Everything of the examples of one data set."""
    parts = [
        element("h2", section.title, id=f"set-{number}"),
        element("p", introduction(section)),
        results_table(section),
        element("p", explanation(section), class_="note"),
        figure_grid(drawn, ("accuracy", "accuracy over k", "cost")),
        *differences(section),
    ]
    for heading, kind, numbers in (
        ("F1 of each class", "F1", f1_tables(section)),
        ("Confusion matrices", "confusion", confusion_tables(section)),
        ("Reliability", "reliability", reliability_tables(section)),
    ):
        if any(figure.kind == kind for figure in drawn):
            parts += [element("h3", heading), figure_grid(drawn, (kind,)), folded(f"{heading}: the numbers", numbers)]
    return element("section", *parts, aria_labelledby=f"set-{number}")


def introduction(section: Section) -> str:
    first = section.results[0]
    text = f"{len(first.rows):,} examples, {len(section.results)} results."
    if section.majority is not None:
        text += f" {len(first.classes)} classes; always naming the most frequent one is right {section.majority:.4f}."
    if section.groups.are_pages:
        text += f" The examples stand on {len(section.groups.sizes):,} pages."
    return text


def explanation(section: Section) -> str:
    if section.groups.too_few:
        return f"{section.groups.too_few} for an interval or a test."
    test, intervals = (
        "McNemar's exact test",
        "of accuracy Wilson's, of F1 from each example's part in it",
    )
    if section.groups.are_pages:
        test = "a t test of the paired differences, clustered by page (Bell and McCaffrey 2002)"
        intervals = "clustered by page (Bell and McCaffrey 2002)"
    return (
        f"Intervals: 95 %, {intervals}. “p vs. best”: how probable a difference"
        f" from the best accuracy as large as this is if there is none, by {test}, Holm-adjusted for all pairs of this"
        f" data set; bold below {SIGNIFICANT}. Reliability diagrams: intervals of independent examples (Wilson)."
    )


def results_table(section: Section) -> Element:
    """The columns of the results table, accuracy and its test first; without those of which no file tells."""
    told = {
        key: column
        for key, column in COLUMNS.items()
        if key not in NOT_SHOWN and any(column.value(method) is not None for method in section.methods)
    }
    first = [told.pop(key) for key in ("accuracy", "interval")]
    last = [told.pop(key) for key in LAST if key in told]
    rows: list[list[Child]] = []
    for place, (name, method) in enumerate(zip(section.names, section.methods, strict=True)):
        p = section.against_best(place)
        test = ["best" if place == section.best else UNKNOWN if p is None else p_cell(p)] if section.pairs else []
        cells = [[column.cell(method) for column in columns] for columns in (first, told.values(), last)]
        rows.append([name, *cells[0], *test, *cells[1], *cells[2]])
    headers = [[column.header for column in columns] for columns in (first, told.values(), last)]
    test = ["p vs. best"] if section.pairs else []
    return table(f"Results on {section.title}", ["result", *headers[0], *test, *headers[1], *headers[2]], rows)


def p_cell(p: float) -> Child:
    text = "<0.001" if p < 0.001 else f"{p:.3f}"
    return element("strong", text) if p < SIGNIFICANT else text


def differences(section: Section) -> Iterator[Element]:
    if not section.pairs:
        return
    rows = [
        [
            f"{section.names[pair.first]} − {section.names[pair.second]}",
            signed(pair.comparison.difference),
            " to ".join(map(signed, pair.comparison.interval or ())) or UNKNOWN,
            UNKNOWN if pair.p is None else p_cell(pair.p),
            pair.comparison.test,
        ]
        for pair in section.pairs
    ]
    header = ["first − second", "accuracy", "95 % interval", "p", "test"]
    pairs = table(f"Differences of accuracy on {section.title}, p Holm-adjusted", header, rows)
    yield element("h3", "Differences")
    yield folded(f"{len(rows)} pairs" if len(rows) > 1 else "One pair", [pairs], len(rows) <= PAIRS_OPEN)


def f1_tables(section: Section) -> Iterator[Element]:
    for name, result, values in zip(section.names, section.results, section.class_f1, strict=True):
        if result.confusion is None:
            continue
        counts = zip(result.confusion.sum(1).tolist(), result.confusion.sum(0).tolist(), strict=False)
        rows = [
            [f1.name, str(occurs), str(predicted), f"{f1.value:.4f}", from_to(f1.interval)]
            for f1, (occurs, predicted) in zip(values, counts, strict=True)
        ]
        yield table(f"Classes: {name}", ["class", "occurs", "predicted", "F1", "95 % interval"], rows)


def from_to(interval: tuple[float, float] | None) -> str:
    return "–".join(map(four_digits, interval or ())) or UNKNOWN


def confusion_tables(section: Section) -> Iterator[Element]:
    for name, result in zip(section.names, section.results, strict=True):
        if result.confusion is not None:
            counts = zip(result.classes, result.confusion.tolist(), strict=True)
            header = ["ground truth \\ prediction", *result.classes, "no answer"]
            yield table(f"Confusion matrix: {name}", header, [[word, *map(str, row)] for word, row in counts])


def reliability_tables(section: Section) -> Iterator[Element]:
    for name, result in zip(section.names, section.results, strict=True):
        bins = result.reliability or []
        rows = [
            [f"{n / len(bins):.3f}-{(n + 1) / len(bins):.3f}", str(b.count), f"{b.confidence:.4f}", f"{b.accuracy:.4f}"]
            for n, b in enumerate(bins)
            if b.count
        ]
        if rows:
            header = ["confidence", "examples", "its mean", "accuracy"]
            yield table(f"Reliability: {name}; ECE {result.calibration_error:.4f}", header, rows)


def figure_grid(drawn: Iterable[Figure], kinds: Sequence[str]) -> Element:
    """Figures side by side, each with its caption, as many as there is room for."""
    boxes = []
    for svg in (figure.svg for figure in drawn if figure.kind in kinds):
        label = svg.get("aria-label", "")
        inside = scroller(label, svg) if "wide" in svg.get("class", "") else svg
        boxes.append(element("figure", element("figcaption", label), inside))
    return element("div", *boxes, class_="figures")


def folded(summary: str, content: Iterable[Element], is_open: bool = False) -> Element:
    return element("details", element("summary", summary), *content, open="open" if is_open else None)


def files_table(results: Sequence[Result]) -> Element:
    """Where the numbers come from."""
    rows = [[str(result.path), *(shortened(result.meta.get(field)) for field in FILE_FIELDS)] for result in results]
    header = ["predictions", *(field.replace("_", " ") for field in FILE_FIELDS)]
    return table("Files", header, rows, len(header))


def shortened(value: object) -> str:
    """Of a hash the beginning."""
    text = UNKNOWN if value is None else str(value)
    return text[:12] if re.fullmatch("[0-9a-f]{40,64}", text) else text
