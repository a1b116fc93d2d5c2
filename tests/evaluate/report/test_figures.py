"""The figures show the values of the results in distinguishable colours; files are well-formed and self-contained."""

import json
import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from evaluate.reading import read_results
from evaluate.registry import KINDS
from evaluate.report import charts, panels
from evaluate.report.figures import draw, part
from evaluate.report.page import ReportConfig, write_report
from evaluate.report.sections import sections_of
from evaluate.report.style import (
    COLOURS,
    LONGEST_LABEL,
    MARK_COLOURS,
    TURN,
    Style,
    drawing,
    heat_map,
    label,
    styles_of,
)
from evaluate.report.svg import part_of_page, save

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def drawn_as_on_the_page():
    with drawing():
        yield


@pytest.fixture
def section(write_results, tmp_path):
    write_results(tmp_path / "results")
    (section,) = sections_of(read_results([str(tmp_path)]))
    return section


@pytest.fixture
def drawn(with_draws):
    (section,) = sections_of(read_results([str(with_draws.folder / "results")]))
    return section


def marks(axes) -> list[tuple[list[float], list[float]]]:
    """x and y of all marks."""
    lines = [line for line in axes.lines if line.get_marker() not in ("None", "|", None, "")]
    return [(list(map(float, line.get_xdata())), list(map(float, line.get_ydata()))) for line in lines]


def test_accuracy_is_drawn_at_its_value(drawn):
    """The mean, its interval, and the range of the draws, one row per method below the heading of its k."""
    (axes,) = charts.accuracy(drawn, styles_of(drawn.methods)).axes
    found = [(x[0], y[0]) for x, y in marks(axes)]
    assert [x for x, _ in found] == pytest.approx([method.accuracy for method in drawn.methods])
    assert [y for _, y in found] == [1, 2, 4, 5]
    assert " ".join(text.get_text() for text in axes.get_yticklabels()) == "k = 0 direct channel k = 1 direct channel"
    ends = [segment[:, 0].tolist() for lines in axes.collections for segment in lines.get_segments()]
    for method in drawn.methods:
        assert any(end == pytest.approx(method.accuracy_interval) for end in ends)
        several = [method.accuracies.min(), method.accuracies.max()]
        assert any(end == pytest.approx(several) for end in ends) == (len(method.draws) > 1)
    assert any(list(line.get_xdata()) == [drawn.majority] * 2 for line in axes.lines)


def test_accuracy_over_k(drawn):
    """A line for each method through its means, with a band of one standard deviation."""
    (lines,) = drawn.curves().values()
    (axes,) = charts.over_k(drawn, lines, styles_of(drawn.methods)).axes
    expected = [[method.accuracy for method in line] for line in lines]
    assert [y for _, y in marks(axes)] == [pytest.approx(means) for means in expected]
    assert [x for x, _ in marks(axes)] == [[0, 1]] * 2  # logarithm of k + 1
    band = axes.collections[0].get_paths()[0].vertices
    spread = np.std(lines[0][1].accuracies, ddof=1)
    assert band[:, 1].max() == pytest.approx(max(expected[0][0], expected[0][1] + spread))


def test_sensitivity_has_a_mark_for_each_draw_and_order(drawn):
    (axes,) = charts.sensitivity(drawn, styles_of(drawn.methods)).axes
    direct = drawn.methods[2]
    assert marks(axes)[0][0] == pytest.approx(direct.accuracies.tolist())
    (orders,) = [line for line in axes.lines if line.get_marker() == "|"]
    assert list(orders.get_xdata()) == pytest.approx(direct.order_accuracies)
    told = [text.get_text() for text in axes.texts]
    assert told[:2] == [f"{100 * method.disagreement:.0f} %" for method in drawn.methods[2:]]


def test_bars_of_costs_have_the_right_length(section):
    tokens, seconds = charts.cost(section, styles_of(section.methods)).axes
    assert [bar.get_width() for bar in tokens.patches] == [1234] * 4
    assert [bar.get_width() for bar in seconds.patches] == [61.5] * 4
    assert [text.get_text() for text in tokens.texts] == ["1.2k"] * 4


def test_f1_is_drawn_at_its_value(section):
    (axes,) = panels.f1(section, range(4), styles_of(section.methods)).axes
    for (x, _), method in zip(marks(axes), section.methods, strict=True):
        assert x == pytest.approx([method.class_f1(word).value for word in section.classes])


def test_confusion_matrix_counts(section):
    method = section.methods[3]
    counts = section.confusion(method)
    axes = panels.confusion(section.classes, counts).axes[0]
    (cells,) = [mesh for mesh in axes.collections if isinstance(mesh, QuadMesh)]
    assert np.asarray(cells.get_array()) == pytest.approx(counts / counts.sum(1, keepdims=True))
    assert [int(text.get_text()) for text in axes.texts] == [count for count in counts.flatten() if count]
    assert [text.get_text() for text in axes.get_xticklabels()] == [*map(label, section.classes), "no answer"]


def test_reliability_has_a_mark_for_each_bin(section, drawn):
    method = section.methods[0]
    axes, below = panels.reliability(method, Style("blue", "o")).axes
    full = [one for one in method.first.reliability if one.count]
    assert marks(axes)[-1] == ([one.confidence for one in full], [one.accuracy for one in full])
    assert [bar.get_height() for bar in below.patches] == [one.count for one in method.first.reliability]
    axes, below = panels.reliability(drawn.methods[2], Style("blue", "o")).axes
    assert sum(bar.get_height() for bar in below.patches) == 3 * 60
    assert len(axes.lines) == 1 + 3 + 1  # the diagonal, each draw, all together
    assert panels.reliability(section.methods[3], Style("ochre", "v")) is None


def test_unknown_values_are_not_drawn(tmp_path):
    (tmp_path / "outputs_x.json").write_text(json.dumps([{"prediction": "a", "correct": True}]))
    (section,) = sections_of(read_results([str(tmp_path)]))
    assert [one.kind for one in draw(section, styles_of(section.methods), True)] == ["Accuracy"]


def test_methods_have_styles_of_their_own(tmp_path, write_results):
    """A method has the same style in all figures; variants and other systems have different ones, in any number."""
    assert len({kind.colour for kind in KINDS.values()}) == len({kind.mark for kind in KINDS.values()}) == len(KINDS)
    assert {kind.colour for kind in KINDS.values()} <= MARK_COLOURS.keys()
    channel = Style(KINDS["channel"].colour, KINDS["channel"].mark)
    write_results(tmp_path / "a", ["channel", "lora", "layoutlmv3", "majority"], 10)
    write_results(tmp_path / "b", [f"system {n}" for n in range(200)], 5)
    few, many = sections_of(read_results([str(tmp_path)]))
    styles = styles_of(few.methods)
    assert styles["channel"] == channel
    assert len(set(styles.values())) == 4
    styles = styles_of(few.methods + many.methods)
    assert styles["channel"] == channel
    assert len({styles[f"system {n}"] for n in range(200)}) >= 100
    assert len({style.colour for style in list(styles.values())[3:15]}) == len(MARK_COLOURS)


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255


def luminance(parts: np.ndarray) -> float:
    """Relative luminance of red, green and blue from 0 to 1 (WCAG 2.2)."""
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(scheme):
    """4.5 to 1 for text (WCAG 2.2, 1.4.3), 3 to 1 for marks (1.4.11)."""
    colours = {name: rgb(getattr(colour, scheme)) for name, colour in COLOURS.items()}
    for name in ("ink", "quiet", "link", "right", "wrong"):
        for ground in ("paper", "raised", "best"):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
    assert contrast(colours["ink"], colours["shown"]) >= 4.5
    for name in MARK_COLOURS:
        assert contrast(colours[name], colours["paper"]) >= 3, name
    for share in np.linspace(0, 1, 21):
        under = share * colours["heat"] + (1 - share) * colours["frame"]
        text = colours["on-heat" if share >= TURN else "on-frame"]
        assert contrast(text, under) >= 4.5, share


def test_colours_have_distinct_values():
    """Drawings on the page look up a colour's name by its value."""
    values = [colour.light for colour in COLOURS.values()]
    assert len(set(values)) == len(values)
    assert all(re.fullmatch("#[0-9a-f]{6}", value) for colour in COLOURS.values() for value in colour)
    assert matplotlib.colors.to_hex(heat_map()(1.0)) == COLOURS["heat"].light


HOSTILE = [
    "$\\frac{1}{",
    "_hidden",
    "a < b & ]]> \" ' \x00\x1b \ud83d \ufffe ü",
    "x" * 500,
    "line\nbreak",
    "体育",
]


def hostile_figure() -> Figure:
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.set_yticks(range(len(HOSTILE)), list(map(label, HOSTILE)))
    handles = [axes.plot([0, 1], [n, n])[0] for n in range(len(HOSTILE))]
    charts.legend(figure, handles, HOSTILE)
    return figure


def test_hostile_labels_stay_text():
    figure = hostile_figure()
    root = ElementTree.fromstring(save(figure, "svg"))
    shown = [node.text for node in root.iter(f"{SVG}text")]
    for text in (
        "$\\frac{1}{",
        "a < b & ]]> \" ' \ufffd\ufffd \ufffd \ufffd ü",
        "x" * (LONGEST_LABEL - 1) + "…",
        "line break",
        "体育",
    ):
        assert shown.count(text) == 2, text
    assert "\u200b_hidden" in shown
    assert save(figure, "pdf").startswith(b"%PDF")


def test_figures_on_the_page_contain_no_style():
    title = "a < b & c > d \" ' \x00\x1b"
    html = part_of_page(hostile_figure(), "f1", title, "<b>words</b>")
    assert "style=" not in html
    assert "<style" not in html
    assert "#1f77b4" in html  # matplotlib's own; ours are variables
    assert "var(--quiet)" in html
    svg = ElementTree.fromstring(html)
    assert svg.get("aria-label") == "a < b & c > d \" ' \ufffd\ufffd"
    assert svg.find("desc").text == "<b>words</b>"
    ids = [node.get("id") for node in svg.iter() if node.get("id")]
    assert ids
    assert all(key.startswith("f1-") for key in ids)
    assert {node.get("href")[1:] for node in svg.iter() if node.get("href")} <= set(ids)


def test_files_are_well_formed_and_self_contained(made):
    files = sorted((made.folder / "figures").iterdir())
    kinds = ["accuracy", "cost", "f1-of-each-class", *["confusion-matrix_x"] * 4, *["reliability_x"] * 3]
    assert len(files) == 2 * (len(kinds) + 3 + 2)
    names = {file.name for file in files}
    assert {"news_accuracy.svg", "news_accuracy.pdf", "news_confusion-matrix_generate.svg"} <= names
    assert {"i-other-i_reliability_direct.pdf", "news_reliability_calibrated.svg"} <= names
    for file in files:
        if file.suffix == ".pdf":
            assert file.read_bytes().startswith(b"%PDF")
            continue
        svg = ElementTree.parse(file).getroot()
        assert svg.tag == f"{SVG}svg"
        assert not {"script", "image", "i", "b"} & {node.tag.partition("}")[2] for node in svg.iter()}
        assert all(node.get("{http://www.w3.org/1999/xlink}href", "#").startswith("#") for node in svg.iter())


def test_figures_only_on_request(write_results, tmp_path, capsys):
    write_results(tmp_path / "results", ["direct"], 10)
    for figures_folder, lines in (("", 1), (str(tmp_path / "figures/of/paper"), 2)):
        write_report(ReportConfig((str(tmp_path / "results"),), str(tmp_path / "r.html"), figures_folder))
        assert len(capsys.readouterr().out.splitlines()) == lines
    assert {path.name for path in tmp_path.iterdir()} == {"results", "r.html", "figures"}
    assert len(list((tmp_path / "figures/of/paper").iterdir())) == 2 * 5


def test_parts_of_file_names_are_short():
    assert part("../a b/<c>") == "a-b-c"
    assert len(part("体" * 500).encode()) <= 60
