"""The figures show what the results say: positions are computed back to values; files are well-formed and alone."""

import json
import random
import re
from xml.etree import ElementTree

import pytest

from evaluate.reading import read_results
from evaluate.registry import KINDS
from evaluate.report import figures
from evaluate.report.drawing import MARKERS, STEPS, STYLE, scale, to_file
from evaluate.report.markup import element, to_xml
from evaluate.report.page import ReportConfig, write_report
from evaluate.report.sections import sections_of

NUMBER = r"-?[\d.]+"


@pytest.fixture
def section(write_results, tmp_path):
    write_results(tmp_path / "results")
    (section,) = sections_of(read_results([str(tmp_path)]))
    return section


def places(svg, style):
    """Of the marks of a style, (x, y)."""
    marks = [node for node in svg.iter("path") if node.get("class") == f"s{style}"]
    return [tuple(map(float, re.findall(NUMBER, node.get("transform")))) for node in marks]


def ends(svg, style):
    """Of the horizontal intervals of a style, (x of the low end, x of the high end)."""
    found = [node.get("d") for node in svg.iter("path") if node.get("class") == f"interval s{style}"]
    return [tuple(map(float, re.fullmatch(rf"M({NUMBER}) .*H({NUMBER})m.*", path).groups())) for path in found]


def value_at(svg, axis_name):
    """A function from x to the value that the axis has there, by two of its ticks."""
    texts = [node for node in svg.iter("text") if node.get("text-anchor") == "middle"]
    bottom = next(float(node.get("y")) for node in texts if node.text == axis_name) - 18
    ticks = [(float(node.get("x")), float(node.text)) for node in texts if float(node.get("y")) == bottom]
    (x0, v0), (x1, v1) = ticks[0], ticks[-1]
    return lambda x: v0 + (x - x0) / (x1 - x0) * (v1 - v0)


def test_accuracy_stands_at_its_value(section):
    svg = figures.accuracy(section)
    value = value_at(svg, "accuracy, 95 % interval")
    for style, result in zip((0, 1, 2, 4), section.results, strict=True):
        ((x, _),), (interval,) = places(svg, style), ends(svg, style)
        assert value(x) == pytest.approx(result.accuracy, abs=2e-3)
        assert tuple(map(value, interval)) == pytest.approx(result.accuracy_interval, abs=2e-3)


def test_f1_stands_at_its_value(section):
    svg = figures.f1(section, range(4))
    value = value_at(svg, "F1, 95 % interval")
    for style, values in zip((0, 1, 2, 4), section.class_f1, strict=True):
        of_legend, *marks = places(svg, style)
        assert of_legend[1] < min(y for _, y in marks)
        assert [value(x) for x, _ in marks] == pytest.approx([f1.value for f1 in values], abs=2e-3)


def test_confusion_matrix_counts(section):
    result = section.results[3]
    svg = figures.confusion(result, "generate")
    cells = result.confusion.flatten().tolist()
    shown = [int(node.text) for node in svg.iter("text") if (node.get("class") or "").startswith("small")]
    assert shown == [count for count in cells if count]
    shares = (result.confusion / result.confusion.sum(-1, keepdims=True)).flatten().tolist()
    heat = [float(node.get("fill-opacity")) for node in svg.iter("rect") if node.get("class") == "heat"]
    assert heat == pytest.approx(shares, abs=6e-3)
    columns = [node.text for node in svg.iter("text") if "rotate" in node.get("transform", "")]
    assert columns == [*result.classes, "no answer"]


def test_reliability_has_a_mark_for_each_bin(section):
    result = section.results[0]
    svg = figures.reliability(result, "direct")
    full = [bin for bin in result.reliability if bin.count]
    marks = places(svg, 0)
    assert [(x - 44) / 240 for x, _ in marks] == pytest.approx([bin.confidence for bin in full], abs=1e-3)
    assert [(270 - y) / 240 for _, y in marks] == pytest.approx([bin.accuracy for bin in full], abs=1e-3)
    heights = [float(node.get("height")) for node in svg.iter("rect")]
    assert [h / max(heights) for h in heights] == pytest.approx(
        [bin.count / max(bin.count for bin in full) for bin in full], abs=1e-3
    )


def test_accuracy_over_k(write_results, tmp_path):
    """A line for each method through as many points as it has k's, more k's to the right."""
    for k in (8, 0, 2):
        write_results(tmp_path / str(k), ["direct", "channel"], 40, k=k)
    (section,) = sections_of(read_results([str(tmp_path)]))
    (curve,) = section.curves()
    svg = figures.over_k(section, curve)
    lines = [[tuple(map(float, p.split(","))) for p in node.get("points").split()] for node in svg.iter("polyline")]
    assert [len(points) for points in lines] == [3, 3]
    for points, style in zip(lines, (0, 2), strict=True):
        assert points == sorted(points)
        assert points == places(svg, style)[1:]
    assert [kind for kind, _, _ in figures.draw(section)].count("accuracy over k") == 1


def test_systems_are_told_apart(write_results, tmp_path):
    """A method has its mark wherever it stands; systems that are no method of ours have others, each its own."""
    write_results(tmp_path / "a", ["channel", "lora", "layoutlmv3", "majority"], 10)
    write_results(tmp_path / "b", [f"system {n}" for n in range(12)], 11)
    few, many = sections_of(read_results([str(tmp_path)]))
    assert figures.styles_of(few)[0] == 2
    assert len(set(figures.styles_of(few))) == 4
    assert set(figures.styles_of(many)) == set(range(len(MARKERS)))
    assert all(f".s{style} {{" in STYLE.read_text() for style in range(len(MARKERS)))
    assert len(MARKERS) > len(KINDS)  # each method has its own, and one is left for others


def test_cost_is_as_long_as_it_is_high(section):
    svg = figures.cost(section)
    assert len({node.get("width") for node in svg.iter("rect")}) == 1  # the same for all in these files
    assert [node.text for node in svg.iter("text")].count("1,234") == 4
    assert [node.text for node in svg.iter("text")].count("61.5") == 4


def test_nothing_is_drawn_of_what_is_not_known(tmp_path):
    (tmp_path / "outputs_x.json").write_text(json.dumps([{"prediction": "a", "correct": True}]))
    (section,) = sections_of(read_results([str(tmp_path)]))
    assert [figure.kind for figure in figures.draw(section)] == ["accuracy"]


def test_files_are_well_formed_and_alone(made, attacks):
    files = sorted((made.folder / "figures").iterdir())
    assert len(files) == 2 + 1 + 4 + 3 + 2 + 1 + 1 + 1
    assert all(re.fullmatch(r"[\w-]+\.svg", file.name) for file in files)
    for file in files:
        svg = ElementTree.parse(file).getroot()
        assert svg.tag == "{http://www.w3.org/2000/svg}svg"
        assert svg[0].text == STYLE.read_text()
        assert not {"script", "image", "i", "b"} & {node.tag.partition("}")[2] for node in svg.iter()}
        box = list(map(float, svg.get("viewBox").split()))
        for node in svg.iter("{http://www.w3.org/2000/svg}text"):
            assert -1 <= float(node.get("x")) <= box[2], file.name


def test_figures_only_where_asked_for(write_results, tmp_path, capsys):
    write_results(tmp_path / "results", ["direct"], 10)
    for figures_folder, lines in (("", 1), (str(tmp_path / "figures/of/paper"), 2)):
        write_report(ReportConfig((str(tmp_path / "results"),), str(tmp_path / "r.html"), figures_folder))
        assert len(capsys.readouterr().out.splitlines()) == lines
    assert {path.name for path in tmp_path.iterdir()} == {"results", "r.html", "figures"}
    assert len(list((tmp_path / "figures/of/paper").iterdir())) == 5


def test_text_is_escaped_and_well_formed():
    label = "a < b & c > d \" ' \x00\x1b \ud83d \ufffe ]]> ü"
    root = ElementTree.fromstring(to_xml(to_file(element("svg", element("text", label), aria_label=label))))
    kept = "a < b & c > d \" ' \ufffd\ufffd \ufffd \ufffd ]]> ü"
    assert root[1].text == kept
    assert root.get("aria-label") == kept


def test_scale_holds_all_values():
    draw = random.Random(0)
    cases = [[draw.random() ** draw.choice([0.01, 1, 3]) for _ in range(draw.randint(1, 5))] for _ in range(2000)]
    for values in [*cases, [0.0], [1.0], [0.0, 1.0], [1.0, 0.99], [0.3, 0.3], [1 / 3]]:
        axis = scale(values, 100, 300)
        assert 0 <= axis.low <= min(values) + 1e-9
        assert max(values) - 1e-9 <= axis.high <= 1 + 1e-9
        assert axis.step in STEPS
        assert 2 <= len(axis.ticks) <= 8
        assert 100 - 1e-6 <= axis(min(values)) <= axis(max(values)) <= 300 + 1e-6
