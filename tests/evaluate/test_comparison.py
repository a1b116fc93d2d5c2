"""All pairs of results on the same examples; those on other examples are refused."""

import csv
import io
import json
import random

import pytest
from scipy.stats import binomtest

from evaluate.comparison import CompareConfig, print_comparison, probability
from evaluate.predictions import write_predictions
from evaluate.statistics import holm
from preprocess.errors import InputError


@pytest.fixture
def write_outputs(tmp_path):
    """A function that writes predictions of a system that is right so often: (name, share, ids=0 to 99, **meta)."""

    def write(name, share, ids=range(100), **meta):
        draw = random.Random(name)
        rows = [{"id": str(number), "ground_truth": "ab"[number % 2]} for number in ids]
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
    """A function that prints the pairs of a folder and reads them back."""

    def read():
        print_comparison(CompareConfig((str(tmp_path),), "csv"))
        return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))

    return read


def correct(path):
    return {row["id"]: row["correct"] for row in json.loads(path.read_text())}


def test_every_pair_once(write_outputs, printed):
    """In the order of the table; Holm over the pairs of a data set, of which three are here."""
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
        assert row["difference"] == f"{(gained - lost) / 100:+.4f}"
        expected.append(binomtest(gained, gained + lost).pvalue)
    for row, p, adjusted in zip(rows, expected, holm(expected), strict=True):
        assert (row["McNemar p"], row["Holm"]) == (probability(p), probability(adjusted))


def test_data_sets_apart(write_outputs, printed):
    write_outputs("a", 0.9)
    write_outputs("b", 0.7, method="channel")
    write_outputs("c", 0.9, range(5), prompt={"dataset": "pages", "k": 1})
    write_outputs("d", 0.7, range(5), method="channel", prompt={"dataset": "pages", "k": 1})
    assert [row["dataset"] for row in printed()] == ["news", "pages"]


def test_results_of_one_method_are_told_apart(write_outputs, printed):
    """By what differs; by their files where nothing does."""
    write_outputs("a", 0.9, checkpoint="7B")
    write_outputs("b", 0.7, checkpoint="13B")
    (row,) = printed()
    assert (row["first"], row["second"]) == ("direct, 13B", "direct, 7B")
    path = write_outputs("c", 0.7, checkpoint="13B")
    assert f"direct, 13B, {path}" in {row["second"] for row in printed()}


def test_other_examples_are_refused(write_outputs, tmp_path):
    write_outputs("a", 0.9)
    write_outputs("b", 0.7, range(1, 101))
    with pytest.raises(
        InputError, match=r"outputs_b.json: has no example '0', .*outputs_a.json has: only results on th"
    ):
        print_comparison(CompareConfig((str(tmp_path),)))


def test_another_ground_truth_is_refused(write_outputs, tmp_path):
    write_outputs("a", 0.9)
    path = write_outputs("b", 0.7)
    rows = json.loads(path.read_text())
    rows[3] |= {"ground_truth": "a", "correct": rows[3]["prediction"] == "a"}
    write_predictions(path, rows, json.loads(path.with_suffix(".meta.json").read_text()))
    with pytest.raises(InputError, match=r"outputs_b.json: example '3' is 'a', in .*outputs_a.json it is 'b'"):
        print_comparison(CompareConfig((str(tmp_path),)))


def test_nothing_to_compare(write_outputs, tmp_path):
    write_outputs("a", 0.9)
    with pytest.raises(InputError, match="no two results of one data set, nothing to compare"):
        print_comparison(CompareConfig((str(tmp_path),)))
    with pytest.raises(InputError, match="--format html: expected markdown, latex, csv"):
        CompareConfig(format="html")
