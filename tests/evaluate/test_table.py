"""The results table: all values are computed from the files, and files that do not belong together are refused."""

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
from evaluate.columns import COLUMNS
from evaluate.formats import clock, headers_of
from evaluate.methods import Method
from evaluate.predictions import write_predictions
from evaluate.reading import read_checked
from evaluate.result import Result
from evaluate.table import TableConfig, print_table
from preprocess.errors import InputError

WORDS = ["World", "Sports", "Business"]
SOME = "dataset,num_examples,k,method,accuracy,interval,macro_f1,unanswered,time,checkpoint"


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
    """A function that prints the table and reads it back: (*paths, columns=some, **options) -> rows."""

    def read(*paths, columns=SOME, **options):
        print_table(TableConfig(tuple(map(str, paths)), "csv", columns, **options))
        return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))

    return read


def test_columns_are_computed_from_the_file(write_outputs, table):
    """Against scikit-learn, for several files of random answers."""
    for seed, count in enumerate((1, 5, 20, 300)):
        path = write_outputs("outputs_direct_news.json", seed, count, seconds=3600 * seed + 59.5, prompt={"k": seed})
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


def test_methods_without_probabilities(write_outputs, table):
    """generate has no scores, so its confidence is unknown."""
    (row,) = table(write_outputs("o.json", method="generate"), columns="mcc,ece,brier,nll")
    assert (row["ECE"], row["Brier"], row["NLL"]) == ("-", "-", "-")
    assert row["MCC"] != "-"


def test_dtypes_that_differ_have_a_column(write_outputs, table):
    """Systems without a dtype do not count."""
    paths = [write_outputs("a.json", dtype="int8", settings={"dtype": "int8"}), write_outputs("b.json", method="tfidf")]
    assert "dtype" not in table(*paths, columns="")[0]
    paths.append(write_outputs("c.json", dtype="bfloat16", settings={"dtype": "bfloat16"}))
    assert {row["dtype"] for row in table(*paths, columns="")} == {"int8", "-", "bfloat16"}
    assert list(table(*paths, columns="")[0]).index("dtype") == 3


def test_chosen_columns(write_outputs, table):
    (row,) = table(write_outputs("o.json"), columns="accuracy, method,accuracy")
    assert list(row) == ["accuracy", "accuracy sd", "method"]
    with pytest.raises(InputError, match=r"--columns 'f1': expected a comma-separated list of dataset, .*, or all"):
        TableConfig(columns="accuracy,f1")


def test_rows_are_sorted(write_outputs, table, tmp_path):
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
        write_outputs(f"deep/{name}/outputs_x.json", 0, 2, method=method, checkpoint=checkpoint, prompt=prompt)
    rows = table(tmp_path)
    assert [(row["dataset"], row["checkpoint"], row["k"], row["method"]) for row in rows] == expected


def test_file_without_meta_shows_unknown_values(write_outputs, table):
    path = write_outputs("outputs.json")
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


@pytest.mark.parametrize("name", ["outputs_channel_news.json", "outputs_channel_calibrate_batch_news.json"])
def test_rows_without_label_words_are_read_by_the_prompt_file(name, tmp_path, table, capsys):
    """Files of earlier versions and other programs, with scores but without ids and ground truths."""
    words = ["World", "Sports"]
    prompt = {"prompt": "", "completion": "", "text": "", "label_words": words}
    prompts = [prompt | {"id": f"test-{n}", "ground_truth": words[n % 2], "group": f"p{n}"} for n in range(4)]
    rows = [{"prediction": "World", "correct": n % 2 == 0, "log_probs": [-1.0, -2.0]} for n in range(4)]
    path = tmp_path / name
    path.write_text(json.dumps(rows))
    (row,) = table(path, columns="accuracy,macro_f1,nll")
    assert (row["accuracy"], row["macro-F1"], row["NLL"]) == ("0.5", "-", "-")
    (tmp_path / "inputs_channel_news.json").write_text(json.dumps(prompts))
    (row,) = table(path, columns="accuracy,macro_f1,nll")
    assert (row["accuracy"], row["macro-F1"]) == ("0.5", f"{(2 / 3 + 0) / 2:.6g}")
    assert row["NLL"] == f"{(math.log(1 + math.exp(-1)) * 2 + math.log(1 + math.e) * 2) / 4:.6g}"
    found = read_checked(path)
    assert [(row["id"], row["group"], row["label_words"]) for row in found.rows] == [
        (f"test-{n}", f"p{n}", words) for n in range(4)
    ]
    (tmp_path / "inputs_channel_news.json").write_text(json.dumps(prompts[1:]))  # another file of that name
    assert "label_words" not in read_checked(path).rows[0]
    assert "no matching prompt file: 4 rows, but" in capsys.readouterr().err
    rows[1]["log_probs"] = [0.0]
    path.write_text(json.dumps(rows))
    (tmp_path / "inputs_channel_news.json").write_text(json.dumps(prompts))
    with pytest.raises(InputError, match="row 1: expected 'log_probs' with one number for each"):
        read_checked(path)


def test_folders_and_files_together(write_outputs, table, tmp_path):
    """A folder is searched at any depth, only for outputs_*.json; a file named twice is one row."""
    inside = write_outputs("results/7B/outputs_direct_news.json", checkpoint="7B")
    alone = write_outputs("mine.json", checkpoint="mine")
    write_outputs("results/other.json", checkpoint="not found")
    named_by_a_shell = [path for path in inside.parent.iterdir() if path.name.startswith("outputs_")]
    assert len(named_by_a_shell) == 2  # its meta file as well
    found = table(tmp_path / "results", *named_by_a_shell, alone)
    assert [row["checkpoint"] for row in found] == ["7B", "mine"]


def printed(capsys, *paths, **options):
    """The lines of the table and of its notes."""
    print_table(TableConfig(tuple(map(str, paths)), **options))
    lines = capsys.readouterr().out.splitlines()
    return [line for line in lines if line.startswith("|")], [line for line in lines if line and line[0] != "|"]


def test_markdown(write_outputs, capsys, tmp_path):
    """Columns in order, aligned as plain text, with escaped bars; values that are equal in all rows are printed
    once."""
    write_outputs("outputs_a.json", 1, checkpoint="a|b")
    write_outputs("outputs_b.json", 1, checkpoint="a long name of a checkpoint")
    lines, notes = printed(capsys, tmp_path)
    assert len({len(line) for line in lines}) == 1
    headers = [cell.strip() for cell in lines[0].strip("|").split("|")]
    assert headers == ["checkpoint", "method", "accuracy", "95 % interval", "macro-F1"]
    assert set(lines[1]) == set("|-:")
    assert lines[3].startswith(r"| a\|b ")
    assert len(lines) == 4
    assert notes[0] == "All rows: news, k = 1, draws = 1, unanswered = 6."
    assert notes[1].startswith("news: 20 examples; accuracy of the most frequent class 0.")
    assert notes[-1] == "One draw of demonstrations: the interval is conditional on these demonstrations."


def test_draws_of_demonstrations(write_outputs, table, tmp_path, capsys):
    """Results that differ only in the seed are one row; other methods, k or settings are other rows."""
    found = []
    for seed in (1, 2, 10):
        found.append(write_outputs(f"outputs_{seed}.json", seed, prompt={"dataset": "news", "k": 1, "seed": seed}))
    write_outputs("outputs_k.json", 1, prompt={"dataset": "news", "k": 4, "seed": 1})
    write_outputs("outputs_m.json", 1, prompt={"dataset": "news", "k": 1, "seed": 1}, method="channel")
    write_outputs("outputs_s.json", 1, prompt={"dataset": "news", "k": 1, "seed": 1}, settings={"score_eos": False})
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


def test_groups_and_order(write_outputs, table, tmp_path, capsys):
    for number, (dataset, k) in enumerate([("news", 0), ("news", 4), ("pages", 0), ("pages", 4)]):
        write_outputs(f"outputs_{number}.json", number, 60, prompt={"dataset": dataset, "k": k, "seed": 1})
    rows = table(tmp_path, columns="dataset,k,accuracy", sort="accuracy")
    assert [float(row["accuracy"]) for row in rows] == sorted((float(row["accuracy"]) for row in rows), reverse=True)
    assert [row["dataset"] for row in table(tmp_path, sort="dataset")] == ["news", "news", "pages", "pages"]
    lines, _ = printed(capsys, tmp_path, group_by="dataset")
    assert [line.split("|")[1].strip() for line in lines[2:]] == [
        "**news**",
        "direct",
        "direct",
        "**pages**",
        "direct",
        "direct",
    ]
    lines, _ = printed(capsys, tmp_path, group_by="k,dataset")
    assert [line.split("|")[1].strip() for line in lines[2::2]] == [
        "**k = 0, news**",
        "**k = 4, news**",
        "**k = 0, pages**",
        "**k = 4, pages**",
    ]
    for option, message in (
        ({"group_by": "method"}, "--group_by 'method': expected a comma-separated list of dataset, checkpoint, k"),
        ({"sort": "f1"}, "--sort 'f1': expected one of dataset, num_examples, "),
    ):
        with pytest.raises(InputError, match=message):
            TableConfig(**option)


def test_latex_is_escaped(write_outputs, capsys):
    path = write_outputs("o.json", checkpoint=r"a_b & 5 % $x$ #1 {y} \z ~ ^ < > | ± −")
    print_table(TableConfig((str(path),), "latex", "method,accuracy,checkpoint"))
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("%")]
    assert lines[0] == r"\begin{tabular}{@{}lrl@{}}"
    assert lines[1::2] == [r"\toprule", r"\midrule", r"\bottomrule"]
    assert lines[2] == r"method & accuracy & checkpoint \\"
    assert lines[4].endswith(
        r" & a\_b \& 5 \% \$x\$ \#1 \{y\} \textbackslash{}z \textasciitilde{} \textasciicircum{} $<$ $>$ \textbar{}"
        r" $\pm$ $-$ \\"
    )
    assert lines[-1] == r"\end{tabular}"


@pytest.fixture
def compile_latex(tmp_path):
    """A function that compiles a printed table in a minimal document and returns LaTeX's log."""
    if shutil.which("pdflatex") is None:
        pytest.skip("needs pdflatex (Debian: texlive-latex-recommended)")

    def compiled(body):
        packages = re.search("% packages: (.*)", body)[1].replace(" ", "")
        document = (
            rf"\documentclass{{article}}\usepackage{{{packages}}}\begin{{document}}\noindent {body}\end{{document}}"
        )
        (tmp_path / "table.tex").write_text(document)
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:]
        assert (tmp_path / "table.pdf").stat().st_size > 0
        return (tmp_path / "table.log").read_text()

    return compiled


def test_latex_compiles_and_fits_the_page(outputs, write_outputs, capsys, compile_latex):
    """With the defaults and with all columns, with long and difficult names; unscaled if it fits, else scaled."""
    hard = write_outputs(
        "o.json", checkpoint=r"a_b & 5 % $x$ #1 {y} \z ~ ^ <>|\" ± −", prompt={"dataset": "n" * 30, "k": 4}
    )
    for options in ({}, {"columns": "all"}, {"group_by": "dataset,k"}, {"columns": "all", "draws": True}):
        print_table(TableConfig((str(outputs), str(hard)), "latex", **options))
        log = compile_latex(capsys.readouterr().out)
        assert "Overfull" not in log, options
        assert "Missing character" not in log, options


def test_latex_of_the_samples_is_not_scaled(capsys, root, compile_latex):
    """A table for a paper fits without scaling."""
    print_table(TableConfig((str(root / "samples"),), "latex"))
    said = capsys.readouterr().out
    assert "resizebox" not in said
    assert "% packages: booktabs\n" in said
    assert "Overfull" not in compile_latex(said)


def test_csv_reads_back(write_outputs, table):
    assert table(write_outputs("o.json", checkpoint='a, "b"\nc'))[0]["checkpoint"] == 'a, "b"\nc'


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "00:00:00"), (59.6, "00:01:00"), (3599.5, "01:00:00"), (360000, "100:00:00")]
)
def test_clock(seconds, shown):
    assert clock(seconds) == shown


def test_paths_without_predictions(tmp_path, write_outputs):
    (tmp_path / "empty").mkdir()
    write_outputs("empty/other.json")
    with pytest.raises(InputError, match=r"empty: contains no outputs_\*.json"):
        print_table(TableConfig((str(tmp_path / "empty"),)))
    with pytest.raises(InputError, match=r"absent: no such file or folder"):
        print_table(TableConfig((str(tmp_path / "absent"),)))
    with pytest.raises(InputError, match=r"--format html: expected markdown, latex, csv"):
        TableConfig(format="html")


@pytest.fixture
def outputs(evaluate, write_prompts, tmp_path):
    """A predictions file with its input and meta file, written by an evaluation."""
    path = tmp_path / "outputs_direct_news.json"
    evaluate("direct", path, data_path=write_prompts("direct", meta={"dataset": "news", "k": 1}))
    return path


def test_outputs_of_an_evaluation_belong_together(outputs, table, tmp_path):
    """With and without the input: the table needs only output and meta file."""
    with_input = table(outputs)
    assert (with_input[0]["dataset"], with_input[0]["k"], with_input[0]["checkpoint"]) == ("news", "1", "random")
    (tmp_path / "inputs_direct_news.json").unlink()
    assert table(outputs) == with_input


def rewrite(path, change):
    """Change the rows, and write them with a meta file that matches the new bytes, as another program may."""
    rows, meta = json.loads(path.read_text()), json.loads(path.with_suffix(".meta.json").read_text())
    change(rows)
    write_predictions(path, rows, meta | {"num_examples": len(rows)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.pop(), r"14 rows, but .*inputs_direct_news.json has 15 examples"),
        (
            lambda rows: rows.reverse(),
            r"row 0 is \('page-4', 'of'\), but \('plain', .*\) in .*inputs_direct_news.json",
        ),
        (lambda rows: rows[3].update(id="x"), r"row 3 is \('x', 'Science.*, but \('braces', 'Science.* in .*news.json"),
        (lambda rows: rows[1].update(ground_truth="World", correct=True), r"row 1 is .* 'World'\), but .* 'Sports'\)"),
        (lambda rows: rows.append(rows[0]), "row 15: duplicate id 'plain'"),
        (lambda rows: rows[0].update(correct=not rows[0]["correct"]), "row 0: 'correct' is .*, which contradicts"),
    ],
)
def test_rows_that_do_not_belong_to_their_input(outputs, change, message):
    rewrite(outputs, change)
    with pytest.raises(InputError, match=rf"outputs_direct_news.json: {message}"):
        read_checked(outputs)


def test_files_that_were_changed_afterwards(outputs, tmp_path):
    """An edited output, a meta file with another count, a changed input: each error names the file and the reason."""
    inputs, meta = tmp_path / "inputs_direct_news.json", outputs.with_suffix(".meta.json")
    before = inputs.read_text(), outputs.read_text(), meta.read_text()
    inputs.write_text(before[0].replace("stopped", "began"))
    with pytest.raises(InputError, match=r"outputs_direct_news.json: was made from another version of .*inputs_direct"):
        read_checked(outputs)
    inputs.write_text(before[0])
    outputs.write_text(before[1].replace('"num_tokens"', '"tokens"'))
    with pytest.raises(InputError, match=r"does not match outputs_direct_news.meta.json: it was edited"):
        read_checked(outputs)
    outputs.write_text(before[1])
    meta.write_text(json.dumps(json.loads(before[2]) | {"num_examples": 7600}))
    with pytest.raises(InputError, match=r"outputs_direct_news.json: 15 rows, but its meta file states 7600"):
        read_checked(outputs)
