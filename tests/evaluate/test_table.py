"""The results table: all values are computed from the files."""

import json
import random
import statistics

import pytest
from sklearn.metrics import accuracy_score, f1_score

from evaluate import metrics
from evaluate.columns import COLUMNS
from evaluate.formats import headers_of
from evaluate.methods import Method
from evaluate.predictions import write_predictions
from evaluate.reading import read_checked
from evaluate.result import Result
from evaluate.table import TableConfig
from preprocess.errors import InputError
from tests.evaluate.tables import WORDS, printed, rewrite


def test_columns_are_computed_from_the_file(write_answers, table):
    """Against scikit-learn, for several files of random answers."""
    for seed, count in enumerate((1, 5, 20, 300)):
        path = write_answers("outputs_direct_news.json", seed, count, seconds=3600 * seed + 59.5, prompt={"k": seed})
        rows = json.loads(path.read_text())
        truths, answers = [row["ground_truth"] for row in rows], [row["prediction"] or "none" for row in rows]
        occurring = sorted({*truths, *answers} - {"none"})
        f1 = f1_score(truths, answers, labels=occurring, average="macro", zero_division=0)
        assert table(path) == [
            {
                "dataset": "-",
                "examples": str(count),
                "k": str(seed),
                "method": "direct",
                "accuracy": f"{accuracy_score(truths, answers):.6g}",
                "accuracy sd": "-",
                "accuracy low": f"{Result(read_checked(path)).wilson_interval[0]:.6g}",
                "accuracy high": f"{Result(read_checked(path)).wilson_interval[1]:.6g}",
                "macro-F1": f"{f1:.6g}",
                "macro-F1 sd": "-",
                "unanswered": str(answers.count("none")),
                "time": f"{seed:02d}:01:00",
                "checkpoint": "tiny",
            }
        ]


def test_all_columns_are_those_of_the_result(outputs, table):
    """Every column has the value of the metric of its name; all are known for an evaluation."""
    (row,) = table(outputs, columns="all")
    result = Result(read_checked(outputs))
    confusion = result.confusion
    low, high = Method([result]).macro_f1_interval
    expected = {
        "accuracy": metrics.accuracy(confusion),
        "accuracy low": metrics.wilson_interval(int(result.correct.sum()), 15)[0],
        "worst draw": result.accuracy,
        "macro-F1": metrics.macro_f1(confusion),
        "macro-F1 low": low,
        "macro-F1 high": high,
        "weighted F1": metrics.weighted_f1(confusion),
        "MCC": metrics.matthews_correlation(confusion),
        "ECE": result.calibration_error,
        "Brier": result.brier_score,
        "NLL": result.negative_log_likelihood,
        "majority": result.confusion.sum(1).max() / 15,
    }
    assert {key: row[key] for key in expected} == {key: f"{value:.6g}" for key, value in expected.items()}
    assert (row["examples"], row["k"], row["tokens"]) == ("15", "1", str(result.meta["tokens_computed"]))
    assert list(row) == [header for column in COLUMNS.values() for header in headers_of(column)]
    unknown = {"seed", "accuracy sd", "macro-F1 sd", "disagreement", "orders", "sd of orders", "worst order"}
    assert {name for name, cell in row.items() if cell == "-"} == unknown  # the prompts of the test have no seed


def test_methods_without_probabilities(write_answers, table):
    """generate has no scores, so its confidence is unknown."""
    (row,) = table(write_answers("o.json", method="generate"), columns="mcc,ece,brier,nll")
    assert (row["ECE"], row["Brier"], row["NLL"]) == ("-", "-", "-")
    assert row["MCC"] != "-"


def test_dtypes_that_differ_have_a_column(write_answers, table):
    """Systems without a dtype do not count."""
    paths = [write_answers("a.json", dtype="int8", settings={"dtype": "int8"}), write_answers("b.json", method="tfidf")]
    assert "dtype" not in table(*paths, columns="")[0]
    paths.append(write_answers("c.json", dtype="bfloat16", settings={"dtype": "bfloat16"}))
    assert {row["dtype"] for row in table(*paths, columns="")} == {"int8", "-", "bfloat16"}
    assert list(table(*paths, columns="")[0]).index("dtype") == 3


def test_chosen_columns(write_answers, table):
    (row,) = table(write_answers("o.json"), columns="accuracy, method,accuracy")
    assert list(row) == ["accuracy", "accuracy sd", "method"]
    with pytest.raises(InputError, match=r"--columns 'f1': expected a comma-separated list of dataset, .*, or all"):
        TableConfig(columns="accuracy,f1")


def test_rows_are_sorted(write_answers, table, tmp_path):
    """By data set, checkpoint, k and method, regardless of file names."""
    expected = [
        (dataset, checkpoint, str(k), shown)
        for dataset in ("ag_news", "doclaynet")
        for checkpoint in ("7B", "tiny")
        for k in (0, 2, 10)
        for shown in ("direct", "calibrated", "channel", "generate", "LayoutLMv3")
    ]
    names = list(range(len(expected)))
    random.Random(0).shuffle(names)
    for name, (dataset, checkpoint, k, shown) in zip(names, expected, strict=True):
        method = "direct_calibrate" if shown == "calibrated" else shown.lower()
        prompt = {"dataset": dataset, "k": int(k)}
        write_answers(f"deep/{name}/outputs_x.json", 0, 2, method=method, checkpoint=checkpoint, prompt=prompt)
    rows = table(tmp_path)
    assert [(row["dataset"], row["checkpoint"], row["k"], row["method"]) for row in rows] == expected


def test_file_without_meta_shows_unknown_values(write_answers, table):
    path = write_answers("outputs.json")
    path.with_suffix(".meta.json").unlink()
    (row,) = table(path)
    unknown = {"dataset", "k", "method", "time", "checkpoint", "accuracy sd", "macro-F1 sd"}
    assert {name for name, cell in row.items() if cell == "-"} == unknown


def test_rows_of_the_original_form(tmp_path, table):
    """Without ground truths there is no macro-F1; accuracy is that of the file."""
    path = tmp_path / "outputs.json"
    path.write_text(json.dumps([{"prediction": "World", "correct": True}, {"prediction": None, "correct": False}]))
    (row,) = table(path)
    assert (row["accuracy"], row["unanswered"], row["macro-F1"]) == ("0.5", "1", "-")


def test_folders_and_files_together(write_answers, table, tmp_path):
    """A folder is searched at any depth, only for outputs_*.json; a file named twice is one row."""
    inside = write_answers("results/7B/outputs_direct_news.json", checkpoint="7B")
    alone = write_answers("mine.json", checkpoint="mine")
    write_answers("results/other.json", checkpoint="not found")
    named_by_a_shell = [path for path in inside.parent.iterdir() if path.name.startswith("outputs_")]
    assert len(named_by_a_shell) == 2  # its meta file as well
    found = table(tmp_path / "results", *named_by_a_shell, alone)
    assert [row["checkpoint"] for row in found] == ["7B", "mine"]


def test_draws_of_demonstrations(write_answers, table, tmp_path, capsys):
    """Results that differ only in the seed are one row; other methods, k or settings are other rows."""
    found = []
    for seed in (1, 2, 10):
        found.append(write_answers(f"outputs_{seed}.json", seed, prompt={"dataset": "news", "k": 1, "seed": seed}))
    write_answers("outputs_k.json", 1, prompt={"dataset": "news", "k": 4, "seed": 1})
    write_answers("outputs_m.json", 1, prompt={"dataset": "news", "k": 1, "seed": 1}, method="channel")
    write_answers("outputs_s.json", 1, prompt={"dataset": "news", "k": 1, "seed": 1}, settings={"score_eos": False})
    found = [rows_of_one_truth(path) for path in found]
    rows = table(tmp_path, columns="k,method,draws,accuracy,worst,best,macro_f1,interval")
    told = [(row["k"], row["method"], row["draws"]) for row in rows]
    assert told == [("1", "direct", "3"), ("1", "direct", "1"), ("1", "channel", "1"), ("4", "direct", "1")]
    shares = [Result(read_checked(path)).accuracy for path in found]
    assert float(rows[0]["accuracy"]) == pytest.approx(statistics.mean(shares), rel=1e-4)
    assert float(rows[0]["accuracy sd"]) == pytest.approx(statistics.stdev(shares), rel=1e-4)
    extremes = (float(rows[0]["worst draw"]), float(rows[0]["best draw"]))
    assert extremes == pytest.approx((min(shares), max(shares)), rel=1e-4)
    assert float(rows[0]["accuracy low"]) < min(shares) < max(shares) < float(rows[0]["accuracy high"])
    lines, notes = printed(capsys, tmp_path)
    assert f"{statistics.mean(shares):.4f} ± {statistics.stdev(shares):.4f}" in lines[2]
    assert (
        "Fewer than 5 draws: their variance is poorly estimated, so intervals are wider and p-values larger." in notes
    )
    lines, _ = printed(capsys, tmp_path, draws=True)
    assert [cell.strip() for cell in lines[0].split("|")[1:5]] == ["method", "k", "seed", "accuracy"]
    each = table(tmp_path, columns="seed,accuracy", draws=True)
    assert [row["seed"] for row in each] == ["1", "1", "1", "2", "10", "1"]


def rows_of_one_truth(path):
    """The same ground truths in each file, so that all have the same examples."""

    def change(rows):
        for number, row in enumerate(rows):
            row["ground_truth"] = WORDS[number % 3]
            row["correct"] = row["prediction"] == row["ground_truth"]

    rewrite(path, change)
    return path


def test_three_pages_have_no_interval(tmp_path, table, capsys):
    rows = [
        {"id": str(n), "ground_truth": "a", "prediction": "a", "correct": True, "group": f"p{n % 3}"} for n in range(9)
    ]
    write_predictions(tmp_path / "outputs_x.json", rows, {"method": "direct", "num_examples": 9})
    lines, notes = printed(capsys, tmp_path)
    assert "| 3 pages: too few |" in lines[2]
    assert notes[1] == "Data set without a name: 9 examples on 3 pages; accuracy of the most frequent class 1.0000."
    (row,) = table(tmp_path, columns="interval")
    assert row == {"accuracy low": "-", "accuracy high": "-"}
