"""The results table: what it says is computed from the files, and files that do not belong together are refused."""

import csv
import io
import json
import math
import random
import re
import shutil
import statistics
import subprocess

import pytest
from sklearn.metrics import accuracy_score, f1_score

from evaluate import metrics
from evaluate.predictions import write_predictions
from evaluate.result import Result, read_checked
from evaluate.table import COLUMNS, DEFAULT, TableConfig, clock, print_table
from preprocess.errors import InputError

WORDS = ["World", "Sports", "Business"]
HEADERS = [COLUMNS[name].header for name in DEFAULT.split(",")]


@pytest.fixture
def write_outputs(tmp_path):
    """A function that writes predictions files: (name, seed=0, count=20, **meta) -> path. Some answers are null."""

    def write(name, seed=0, count=20, **meta):
        draw = random.Random(seed)
        rows = [{"id": str(n), "ground_truth": draw.choice(WORDS)} for n in range(count)]
        for row in rows:
            row["prediction"] = draw.choice([row["ground_truth"], draw.choice(WORDS), None])
            row["correct"] = row["prediction"] == row["ground_truth"]
        known = {"method": "direct", "seconds": 61.4, "checkpoint": "tiny", "prompt": {"dataset": "news", "k": 1}}
        path = tmp_path / name
        write_predictions(path, rows, known | {"num_examples": count} | meta)
        return path

    return write


@pytest.fixture
def table(capsys):
    """A function that prints the table and reads it back: (*paths, columns=the default) -> rows."""

    def read(*paths, columns=DEFAULT):
        print_table(TableConfig(tuple(map(str, paths)), "csv", columns))
        return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))

    return read


def test_columns_are_computed_from_the_file(write_outputs, table):
    """Against scikit-learn, for several files of random answers: no number comes from anywhere else."""
    for seed, count in enumerate((1, 5, 20, 300)):
        path = write_outputs("outputs_direct_news.json", seed, count, seconds=3600 * seed + 59.5, prompt={"k": seed})
        rows = json.loads(path.read_text())
        truths, answers = [row["ground_truth"] for row in rows], [row["prediction"] or "none" for row in rows]
        occurring = sorted({*truths, *answers} - {"none"})
        f1 = f1_score(truths, answers, labels=occurring, average="macro", zero_division=0)
        assert table(path) == [
            {
                "dataset": "-",
                "num_examples": str(count),
                "k": str(seed),
                "method": "direct",
                "accuracy": f"{accuracy_score(truths, answers):.4f}",
                "95 % interval": "{:.4f}-{:.4f}".format(*Result(read_checked(path)).accuracy_interval),
                "macro-F1": f"{f1:.4f}",
                "unanswered": str(answers.count("none")),
                "inference time": f"{seed:02d}:01:00",
                "checkpoint": "tiny",
            }
        ]


def test_all_columns_are_those_of_the_result(outputs, table):
    """Every column says what the metric of its name says; all of them are known for an evaluation."""
    (row,) = table(outputs, columns="all")
    result = Result(read_checked(outputs))
    confusion, interval = result.confusion, "{:.4f}-{:.4f}"
    expected = {
        "num_examples": "15",
        "k": "1",
        "accuracy": f"{metrics.accuracy(confusion):.4f}",
        "Wilson interval": interval.format(*metrics.wilson_interval(int(result.correct.sum()), 15)),
        "macro-F1": f"{metrics.macro_f1(confusion):.4f}",
        "of macro-F1": interval.format(*result.interval_of(metrics.macro_f1)),
        "weighted F1": f"{metrics.weighted_f1(confusion):.4f}",
        "MCC": f"{metrics.matthews_correlation(confusion):.4f}",
        "ECE": f"{result.calibration_error:.4f}",
        "Brier": f"{result.brier_score:.4f}",
        "NLL": f"{result.negative_log_likelihood:.4f}",
        "tokens": str(result.meta["tokens_computed"]),
    }
    assert expected.items() <= row.items()
    assert list(row) == [column.header for column in COLUMNS.values()]
    assert [name for name, cell in row.items() if cell == "-"] == ["seed"]  # the prompts of the test have none


def test_scores_that_are_no_probabilities(write_outputs, table):
    """generate compares no scores: its confidence is not known."""
    (row,) = table(write_outputs("o.json", method="generate"), columns="mcc,ece,brier,nll")
    assert (row["ECE"], row["Brier"], row["NLL"]) == ("-", "-", "-")
    assert row["MCC"] != "-"


def test_columns_that_are_chosen(write_outputs, table):
    (row,) = table(write_outputs("o.json"), columns="accuracy, method,accuracy")
    assert list(row) == ["accuracy", "method"]
    with pytest.raises(InputError, match=r"--columns 'f1': expected dataset, num_examples, .*, with commas, or all"):
        TableConfig(columns="accuracy,f1")


def test_rows_are_sorted(write_outputs, table, tmp_path):
    """By data set, checkpoint, k, and the methods in their order; however they were named."""
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
        write_outputs(f"deep/{name}/outputs_x.json", 0, 2, method=method, checkpoint=checkpoint, prompt=prompt)
    rows = table(tmp_path)
    assert [(row["dataset"], row["checkpoint"], row["k"], row["method"]) for row in rows] == expected


def test_file_without_meta_shows_what_is_not_known(write_outputs, table):
    path = write_outputs("outputs.json")
    path.with_suffix(".meta.json").unlink()
    (row,) = table(path)
    unknown = {"dataset", "k", "method", "inference time", "checkpoint"}
    assert {name for name, cell in row.items() if cell == "-"} == unknown


def test_rows_of_the_original_form(tmp_path, table):
    """Without ground truths there is no macro-F1; accuracy is what the file says."""
    path = tmp_path / "outputs.json"
    path.write_text(json.dumps([{"prediction": "World", "correct": True}, {"prediction": None, "correct": False}]))
    (row,) = table(path)
    assert (row["accuracy"], row["unanswered"], row["macro-F1"]) == ("0.5000", "1", "-")


@pytest.mark.parametrize("name", ["outputs_channel_news.json", "outputs_channel_calibrate_batch_news.json"])
def test_rows_without_label_words_are_read_by_the_prompt_file(name, tmp_path, table):
    """Earlier files, and those of other programs: with scores, without ids and ground truths."""
    words = ["World", "Sports"]
    prompt = {"prompt": "", "completion": "", "text": "", "label_words": words}
    prompts = [prompt | {"id": f"test-{n}", "ground_truth": words[n % 2], "group": f"p{n}"} for n in range(4)]
    rows = [{"prediction": "World", "correct": n % 2 == 0, "log_probs": [-1.0, -2.0]} for n in range(4)]
    path = tmp_path / name
    path.write_text(json.dumps(rows))
    (row,) = table(path, columns="accuracy,macro_f1,nll")
    assert (row["accuracy"], row["macro-F1"], row["NLL"]) == ("0.5000", "-", "-")
    (tmp_path / "inputs_channel_news.json").write_text(json.dumps(prompts))
    (row,) = table(path, columns="accuracy,macro_f1,nll")
    assert (row["accuracy"], row["macro-F1"]) == ("0.5000", f"{(2 / 3 + 0) / 2:.4f}")
    assert row["NLL"] == f"{(math.log(1 + math.exp(-1)) * 2 + math.log(1 + math.e) * 2) / 4:.4f}"
    found = read_checked(path)
    assert [(row["id"], row["group"], row["label_words"]) for row in found.rows] == [
        (f"test-{n}", f"p{n}", words) for n in range(4)
    ]
    (tmp_path / "inputs_channel_news.json").write_text(json.dumps(prompts[1:]))  # another file of that name
    assert "label_words" not in read_checked(path).rows[0]
    rows[1]["log_probs"] = [0.0]
    path.write_text(json.dumps(rows))
    (tmp_path / "inputs_channel_news.json").write_text(json.dumps(prompts))
    with pytest.raises(InputError, match="row 1: expected 'log_probs', one a label word"):
        read_checked(path)


def test_folders_and_files_together(write_outputs, table, tmp_path):
    """A folder is searched at any depth for outputs_*.json and nothing else; a file named twice is one row."""
    inside = write_outputs("results/7B/outputs_direct_news.json", checkpoint="7B")
    alone = write_outputs("mine.json", checkpoint="mine")
    write_outputs("results/other.json", checkpoint="not found")
    named_by_a_shell = [path for path in inside.parent.iterdir() if path.name.startswith("outputs_")]
    assert len(named_by_a_shell) == 2  # its meta file as well
    found = table(tmp_path / "results", *named_by_a_shell, alone)
    assert [row["checkpoint"] for row in found] == ["7B", "mine"]


def test_markdown(write_outputs, capsys, tmp_path):
    """Columns in their order, aligned as plain text, a bar within a cell escaped."""
    write_outputs("outputs_a.json", checkpoint="a|b")
    write_outputs("outputs_b.json", checkpoint="a long name of a checkpoint")
    print_table(TableConfig((str(tmp_path),)))
    lines = capsys.readouterr().out.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == HEADERS
    assert ", ".join(HEADERS[:5]) == "dataset, num_examples, k, method, accuracy"
    assert ", ".join(HEADERS[5:]) == "95 % interval, macro-F1, unanswered, inference time, checkpoint"
    assert set(lines[1]) == set("|-:")
    assert re.search(r"\| a\\\|b +\|$", lines[3])
    assert len(lines) == 4


def test_draws_of_demonstrations(write_outputs, tmp_path, capsys):
    """Results that differ in the seed alone are one row; other methods, k or settings are others."""
    found = []
    for seed in (1, 2, 10):
        found.append(write_outputs(f"outputs_{seed}.json", seed, prompt={"dataset": "news", "k": 1, "seed": seed}))
    write_outputs("outputs_k.json", 1, prompt={"dataset": "news", "k": 4, "seed": 1})
    write_outputs("outputs_m.json", 1, prompt={"dataset": "news", "k": 1, "seed": 1}, method="channel")
    write_outputs("outputs_s.json", 1, prompt={"dataset": "news", "k": 1, "seed": 1}, settings={"score_eos": False})
    print_table(TableConfig((str(tmp_path),), "csv", draws=True))
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["k"], row["method"], row["draws"]) for row in rows] == [
        ("1", "direct", "3"),
        ("1", "direct", "1"),
        ("1", "channel", "1"),
        ("4", "direct", "1"),
    ]
    shares = [Result(read_checked(path)).accuracy for path in found]
    assert rows[0]["mean accuracy"] == f"{statistics.mean(shares):.4f}"
    assert rows[0]["deviation"] == f"{statistics.stdev(shares):.4f}"
    assert (rows[0]["worst"], rows[0]["best"]) == (f"{min(shares):.4f}", f"{max(shares):.4f}")
    assert (rows[1]["deviation"], rows[1]["its deviation"]) == ("-", "-")
    with pytest.raises(InputError, match="--columns: --draws has its own"):
        TableConfig(columns="accuracy", draws=True)


def test_latex_is_escaped(write_outputs, capsys):
    print_table(TableConfig((str(write_outputs("o.json", checkpoint=r"a_b & 5 % $x$ #1 {y} \z ~ ^")),), "latex"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == r"\begin{tabular}{@{}lrrlrrrrrl@{}}"
    assert lines[1::2] == [r"\toprule", r"\midrule", r"\bottomrule"]
    assert lines[2].count(" & ") == len(HEADERS) - 1
    assert lines[2].startswith(r"dataset & num\_examples & k & method & accuracy & 95 \% interval & macro-F1")
    assert lines[4].endswith(
        r"& 00:01:01 & a\_b \& 5 \% \$x\$ \#1 \{y\} \textbackslash{}z \textasciitilde{} \textasciicircum{} \\"
    )
    assert lines[-1] == r"\end{tabular}"


def test_latex_compiles(outputs, write_outputs, capsys, tmp_path):
    """As it is printed, within the smallest document that has booktabs."""
    if shutil.which("pdflatex") is None:
        pytest.skip("needs pdflatex (Debian: texlive-latex-base)")
    hard = write_outputs("o.json", checkpoint=r"a_b & 5 % $x$ #1 {y} \z ~ ^ <>|\"")
    print_table(TableConfig((str(outputs), str(hard)), "latex", "all"))
    body = capsys.readouterr().out
    document = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{body}\end{{document}}"
    (tmp_path / "table.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "table.pdf").stat().st_size > 0


def test_csv_reads_back(write_outputs, table):
    assert table(write_outputs("o.json", checkpoint='a, "b"\nc'))[0]["checkpoint"] == 'a, "b"\nc'


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "00:00:00"), (59.6, "00:01:00"), (3599.5, "01:00:00"), (360000, "100:00:00")]
)
def test_clock(seconds, shown):
    assert clock(seconds) == shown


def test_paths_that_hold_no_predictions(tmp_path, write_outputs):
    (tmp_path / "empty").mkdir()
    write_outputs("empty/other.json")
    with pytest.raises(InputError, match=r"empty: no outputs_\*.json in it"):
        print_table(TableConfig((str(tmp_path / "empty"),)))
    with pytest.raises(InputError, match=r"absent: no such file or folder"):
        print_table(TableConfig((str(tmp_path / "absent"),)))
    with pytest.raises(InputError, match=r"--format html: expected markdown, latex, csv"):
        TableConfig(format="html")


@pytest.fixture
def outputs(evaluate, write_prompts, tmp_path):
    """A predictions file with its input and meta file, as an evaluation leaves them."""
    path = tmp_path / "outputs_direct_news.json"
    evaluate("direct", path, data_path=write_prompts("direct", meta={"dataset": "news", "k": 1}))
    return path


def test_outputs_of_an_evaluation_belong_together(outputs, table, tmp_path):
    """With the input at hand, and without it: the table needs output and meta file alone."""
    with_input = table(outputs)
    assert (with_input[0]["dataset"], with_input[0]["k"], with_input[0]["checkpoint"]) == ("news", "1", "random")
    (tmp_path / "inputs_direct_news.json").unlink()
    assert table(outputs) == with_input


def rewrite(path, change):
    """Change the rows and write them with a meta file that fits the new bytes, as another program may."""
    rows, meta = json.loads(path.read_text()), json.loads(path.with_suffix(".meta.json").read_text())
    change(rows)
    write_predictions(path, rows, meta | {"num_examples": len(rows)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.pop(), r"14 rows for 15 examples of .*inputs_direct_news.json"),
        (
            lambda rows: rows.reverse(),
            r"row 0 is \('page-4', 'of'\), in .*inputs_direct_news.json it is \('plain', ",
        ),
        (lambda rows: rows[3].update(id="x"), r"row 3 is \('x', 'Science.*, in .*news.json it is \('braces', 'Science"),
        (lambda rows: rows[1].update(ground_truth="World", correct=True), r"row 1 is .* 'World'\), in .* 'Sports'\)"),
        (lambda rows: rows.append(rows[0]), "row 15: id 'plain' stands there twice"),
        (lambda rows: rows[0].update(correct=not rows[0]["correct"]), "row 0: 'correct' is .*, but prediction and"),
    ],
)
def test_rows_that_do_not_belong_to_their_input(outputs, change, message):
    rewrite(outputs, change)
    with pytest.raises(InputError, match=rf"outputs_direct_news.json: {message}"):
        read_checked(outputs)


def test_files_that_were_changed_afterwards(outputs, tmp_path):
    """An edited output, a meta file of another count, a changed input: each says which file and why."""
    inputs, meta = tmp_path / "inputs_direct_news.json", outputs.with_suffix(".meta.json")
    before = inputs.read_text(), outputs.read_text(), meta.read_text()
    inputs.write_text(before[0].replace("stopped", "began"))
    with pytest.raises(InputError, match=r"outputs_direct_news.json: was made from another version of .*inputs_direct"):
        read_checked(outputs)
    inputs.write_text(before[0])
    outputs.write_text(before[1].replace('"num_tokens"', '"tokens"'))
    with pytest.raises(InputError, match=r"is not the file that outputs_direct_news.meta.json was written for: edited"):
        read_checked(outputs)
    outputs.write_text(before[1])
    meta.write_text(json.dumps(json.loads(before[2]) | {"num_examples": 7600}))
    with pytest.raises(InputError, match=r"outputs_direct_news.json: 15 rows, its meta file says 7600"):
        read_checked(outputs)
