"""All pairs of methods on the same examples and draws; others are left out and reported."""

import csv
import io
import json
import random

import numpy as np
import pytest
from scipy.stats import binomtest

from options import help_text
from evaluate.comparison import CompareConfig, print_comparison
from evaluate.intervals import grouped
from evaluate.predictions import write_predictions
from evaluate.statistics import compare, holm
from evaluate.table import TableConfig
from preprocess.errors import InputError


@pytest.fixture
def write_outputs(tmp_path):
    """A function that writes predictions of a system that is right so often: (name, share, ids=0 to 99, pages=0: no
    pages, **meta)."""

    def write(name, share, ids=range(100), pages=0, **meta):
        draw = random.Random(name)
        rows = [{"id": str(number), "ground_truth": "ab"[number % 2]} for number in ids]
        for row in rows if pages else ():
            row["group"] = f"page {int(row['id']) % pages}"
        for row in rows:
            right = draw.random() < share
            row["prediction"] = row["ground_truth"] if right else "c"
            row["correct"] = right
        known = {"method": "direct", "num_examples": len(rows), "prompt": {"dataset": "news", "k": 1}}
        write_predictions(tmp_path / f"outputs_{name}.json", rows, known | meta)
        return tmp_path / f"outputs_{name}.json"

    return write


@pytest.fixture
def printed(tmp_path, capsys):
    """A function that prints the pairs of a folder and reads them back: (baseline) -> rows; lines in its `notes`."""

    def read(baseline=""):
        print_comparison(CompareConfig((str(tmp_path),), "csv", baseline))
        said = capsys.readouterr()
        read.notes = said.err.splitlines()
        return list(csv.DictReader(io.StringIO(said.out)))

    return read


def correct(path):
    return {row["id"]: row["correct"] for row in json.loads(path.read_text())}


def test_every_pair_once(write_outputs, printed):
    """In the order of the table; Holm's correction for the three pairs of the data set."""
    paths = {
        "direct": write_outputs("one", 0.9),
        "channel": write_outputs("two", 0.7, reversed(range(100)), method="channel"),  # in another order
        "generate": write_outputs("three", 0.5, method="generate"),
    }
    rows = printed()
    assert [(row["first"], row["second"]) for row in rows] == [
        ("direct", "channel"),
        ("direct", "generate"),
        ("channel", "generate"),
    ]
    expected = []
    for row in rows:
        first, second = correct(paths[row["first"]]), correct(paths[row["second"]])
        gained = sum(first[key] and not second[key] for key in first)
        lost = sum(second[key] and not first[key] for key in first)
        assert float(row["difference"]) == pytest.approx((gained - lost) / 100)
        assert float(row["low"]) < float(row["difference"]) < float(row["high"])
        assert row["test"] == "McNemar"
        expected.append(binomtest(gained, gained + lost).pvalue)
    for row, p, adjusted in zip(rows, expected, holm(expected), strict=True):
        assert (float(row["p"]), float(row["Holm"])) == (pytest.approx(p, rel=1e-4), pytest.approx(adjusted, rel=1e-4))


def test_data_sets_are_separate(write_outputs, printed):
    write_outputs("a", 0.9)
    write_outputs("b", 0.7, method="channel")
    write_outputs("c", 0.9, range(5), prompt={"dataset": "pages", "k": 1})
    write_outputs("d", 0.7, range(5), method="channel", prompt={"dataset": "pages", "k": 1})
    assert [row["dataset"] for row in printed()] == ["news", "pages"]


def test_results_of_one_method_have_distinct_names(write_outputs, printed):
    """By their differences; by their files if there are none."""
    write_outputs("a", 0.9, checkpoint="7B")
    write_outputs("b", 0.7, checkpoint="13B")
    (row,) = printed()
    assert (row["first"], row["second"]) == ("direct, 13B", "direct, 7B")
    write_outputs("a", 0.9, checkpoint="13B", dtype="int8", settings={"dtype": "int8"})
    write_outputs("b", 0.7, checkpoint="13B", dtype="bfloat16", settings={"dtype": "bfloat16"})
    (row,) = printed()
    assert {row["first"], row["second"]} == {"direct, bfloat16", "direct, int8"}
    write_outputs("a", 0.9, checkpoint="7B")
    path = write_outputs("c", 0.7, checkpoint="13B")
    assert f"direct, 13B, {path}" in {row["second"] for row in printed()}


def test_results_on_other_examples_are_left_out_and_counted(write_outputs, printed):
    write_outputs("a", 0.9)
    write_outputs("b", 0.7, method="channel")
    write_outputs("c", 0.7, range(1, 101), method="generate")
    (row,) = printed()
    assert (row["first"], row["second"]) == ("direct", "channel")
    (note,) = printed.notes
    assert "outputs_c.json: left out, 99 of its 100 examples are among the 100 examples of " in note


def test_another_ground_truth_is_left_out(write_outputs, printed):
    for name, method in (("a", "direct"), ("b", "channel"), ("c", "generate")):
        path = write_outputs(name, 0.9, method=method)
    rows = json.loads(path.read_text())
    rows[3] |= {"ground_truth": "a", "correct": rows[3]["prediction"] == "a"}
    write_predictions(path, rows, json.loads(path.with_suffix(".meta.json").read_text()))
    assert len(printed()) == 1
    assert "outputs_c.json: left out, example '3' is 'a', not 'b' as in the examples of " in printed.notes[0]


def test_draws_of_a_method_are_one(write_outputs, printed):
    """Compared on common seeds, in the order of seeds; a method without demonstrations is compared with all draws."""
    paths = {}
    for method, share, seeds in (("direct", 0.8, (1, 2, 3)), ("channel", 0.6, (2, 3, 4))):
        for seed in seeds:
            meta = {"method": method, "prompt": {"dataset": "news", "k": 1, "seed": seed}}
            paths[method, seed] = write_outputs(f"{method}{seed}", share, **meta)
    paths["generate", 1] = write_outputs("zero", 0.5, method="generate", prompt={"dataset": "news", "k": 0, "seed": 1})
    rows = {(row["first"], row["second"]): row for row in printed()}
    assert {pair: row["draws"] for pair, row in rows.items()} == {
        ("generate, k = 0", "direct, k = 1"): "3",
        ("generate, k = 0", "channel, k = 1"): "3",
        ("direct, k = 1", "channel, k = 1"): "2",
    }

    def right(method, *seeds):
        return np.array([[correct(paths[method, seed])[str(n)] for n in range(100)] for seed in seeds])

    row = rows["direct, k = 1", "channel, k = 1"]
    expected = compare(right("direct", 2, 3), right("channel", 2, 3), grouped(None, 100))
    assert float(row["difference"]) == pytest.approx(expected.difference, rel=1e-4)
    assert float(row["p"]) == pytest.approx(expected.p, rel=1e-4)
    assert row["test"] == "CR2 t, draws"
    assert printed.notes == [
        "Fewer than 5 draws: their variance is poorly estimated, so intervals are wider and p-values larger."
    ]
    expected = compare(right("generate", 1), right("direct", 1, 2, 3), grouped(None, 100))
    assert float(rows["generate, k = 0", "direct, k = 1"]["p"]) == pytest.approx(expected.p, rel=1e-4)


def test_results_with_the_same_demonstrations_are_one_draw(write_outputs, printed):
    """Sampled answers and random words have a seed of their own: their mean is compared, and none counts twice."""
    paths = {}
    for method, share, own in (("direct", 0.8, (0,)), ("generate", 0.6, (1, 2, 3)), ("channel", 0.5, (4, 5))):
        for seed in (1, 2):
            for one in own:
                meta = {"method": method, "prompt": {"dataset": "news", "k": 1, "seed": seed}}
                meta |= {"settings": {"seed": one, "temperature": 1.0}}
                paths[method, seed, one] = write_outputs(f"{method}{seed}{one}", share, **meta)
    paths["zero"] = write_outputs("zero", 0.5, method="direct", prompt={"dataset": "news", "k": 0, "seed": 1})
    for one in (7, 8, 9):
        meta = {"settings": {"seed": one, "temperature": 1.0}, "prompt": {"dataset": "news", "k": 0, "seed": 42}}
        paths["sampled", one] = write_outputs(f"sampled{one}", 0.4, method="generate", **meta)
    rows = {(row["first"], row["second"]): row for row in printed()}

    def right(method, own):
        answers = [[correct(paths[method, seed, one]) for one in own] for seed in (1, 2)]
        return np.array([[np.mean([one[str(n)] for one in of_draw]) for n in range(100)] for of_draw in answers])

    means = {
        "direct": right("direct", (0,)),
        "generate": right("generate", (1, 2, 3)),
        "channel": right("channel", (4, 5)),
        "direct, k = 0": np.array([[correct(paths["zero"])[str(n)] for n in range(100)]]),
        "generate, k = 0": np.mean(
            [[[correct(paths["sampled", one])[str(n)] for n in range(100)]] for one in (7, 8, 9)], axis=0
        ),
    }
    means |= {f"{name}, k = 1": means[name] for name in ("direct", "generate", "channel")}
    for (first, second), row in rows.items():
        expected = compare(means[first], means[second], grouped(None, 100))
        assert row["draws"] == ("1" if first.endswith("k = 0") and second.endswith("k = 0") else "2")
        assert float(row["difference"]) == pytest.approx(means[first].mean() - means[second].mean(), rel=1e-4)
        assert float(row["p"]) == pytest.approx(expected.p, rel=1e-4)
    assert len(rows) == 10


def test_no_draw_in_common(write_outputs, printed):
    for method, seeds in (("direct", (1, 2)), ("channel", (3, 4)), ("generate", (1, 2))):
        for seed in seeds:
            meta = {"method": method, "prompt": {"dataset": "news", "k": 1, "seed": seed}}
            write_outputs(f"{method}{seed}", 0.8, **meta)
    assert [(row["first"], row["second"]) for row in printed()] == [("direct", "generate")]
    assert "direct and channel: not compared, no draw (--seed) in common" in printed.notes
    assert "channel and generate: not compared, no draw (--seed) in common" in printed.notes


def test_blocks_of_pages(write_outputs, printed):
    """With five pages or more, the test is clustered by page; with fewer, there is no interval and no p, but a reason.
    The pages in one file also apply to the other."""
    ten = {"prompt": {"dataset": "ten", "k": 1}}
    paths = [write_outputs("a", 0.9, pages=10, **ten), write_outputs("b", 0.7, method="channel", **ten)]
    three = {"prompt": {"dataset": "three", "k": 1}}
    write_outputs("c", 0.9, pages=3, **three), write_outputs("d", 0.7, pages=3, method="channel", **three)
    clustered, few = printed()
    pages = grouped([str(n % 10) for n in range(100)], 100)
    expected = compare(*(np.array([[correct(path)[str(n)] for n in range(100)]]) for path in paths), pages)
    assert (clustered["test"], float(clustered["p"])) == ("CR2 t", pytest.approx(expected.p, rel=1e-4))
    assert [few[key] for key in ("low", "high", "p", "Holm", "test")] == ["-"] * 4 + ["3 pages: too few"]


def test_holm_against_a_baseline(write_outputs, printed, tmp_path):
    """For the two comparisons with the baseline, not for all three pairs."""
    for name, share, method in (("a", 0.9, "direct"), ("b", 0.7, "channel"), ("c", 0.6, "generate")):
        write_outputs(name, share, method=method)
    rows = printed("channel")
    assert [(row["first"], row["second"]) for row in rows] == [("channel", "direct"), ("channel", "generate")]
    assert [float(row["Holm"]) for row in rows] == pytest.approx(holm([float(row["p"]) for row in rows]), rel=1e-4)
    with pytest.raises(InputError, match="--baseline majority: expected one of direct; channel; generate"):
        printed("majority")
    write_outputs("d", 0.6, method="channel", prompt={"dataset": "news", "k": 4})
    with pytest.raises(InputError, match="channel: ambiguous, expected one of channel, k = 1; channel, k = 4"):
        printed("channel")
    assert len(printed("channel, k = 4")) == 3


def test_no_p_value_has_a_floor(write_outputs, printed):
    """A certain difference among 630 pairs remains certain after Holm's correction."""
    for number in range(36):
        write_outputs(str(number), 0.9 if number else 0.2, method=f"system {number}")
    rows = printed()
    assert len(rows) == 630
    assert max(float(row["Holm"]) for row in rows if row["first"] == "system 0") < 1e-6


def test_signs_in_latex_and_markdown(write_outputs, tmp_path, capsys):
    write_outputs("a", 0.5)
    write_outputs("b", 0.9, method="channel")
    for form, sign in (("latex", "$-$0."), ("markdown", "−0.")):
        print_comparison(CompareConfig((str(tmp_path),), form))
        said = capsys.readouterr().out
        assert said.count(sign) == 3
        assert "-0." not in said
    assert "< 0.0001" in said


def test_nothing_to_compare(write_outputs, tmp_path):
    write_outputs("a", 0.9)
    with pytest.raises(InputError, match="no two methods on the same data set to compare"):
        print_comparison(CompareConfig((str(tmp_path),)))
    with pytest.raises(InputError, match="--format html: expected markdown, latex, csv"):
        CompareConfig(format="html")


def test_help_names_each_test_and_interval():
    for config in (CompareConfig, TableConfig):
        said = help_text(config).replace("Fewer", "fewer")
        for reference in (
            "Bell and McCaffrey (2002)",
            "Cameron, Gelbach and Miller 2011",
            "fewer than five pages",
            "Holm",
        ):
            assert reference in said
    assert "Wilson (1927)" in said
