"""The report's numbers are those of the files, and nothing of a data set is more than text in it."""

import json
import re
from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score

from evaluate.intervals import grouped
from evaluate.reading import read_results
from evaluate.report.examples import to_json
from evaluate.report.page import ReportConfig, content_hash, write_report
from evaluate.report.sections import sections_of
from evaluate.statistics import compare, holm
from preprocess.errors import InputError

WORDS = ["World", "Sports", "Business", "<b>Science</b> & technology"]


def test_table_is_computed_from_the_files(made, names):
    """Each column against Result, and accuracy and macro-F1 against their definitions besides."""
    header, *table = made.read.tables["Results on news"]
    results = [r for r in read_results([str(made.folder / "results")]) if r.dataset == "news"]
    assert [row[0] for row in table] == [names[method] for method in names]
    for row, result, method in zip(table, results, names, strict=True):
        cells, rows = dict(zip(header, row, strict=True)), made.rows[method]
        truths, answers = [r["ground_truth"] for r in rows], [r["prediction"] or "none" for r in rows]
        assert cells["accuracy"] == f"{sum(r['correct'] for r in rows) / len(rows):.4f}"
        assert cells["95 % interval"] == "{:.4f}–{:.4f}".format(*result.accuracy_interval)
        assert cells["macro-F1"] == f"{f1_score(truths, answers, labels=WORDS, average='macro', zero_division=0):.4f}"
        assert cells["unanswered"] == str(answers.count("none"))
        assert (cells["tokens"], cells["checkpoint"]) == ("1234", "tiny")


def test_differences_are_those_of_the_statistics(made, names):
    _, *table = made.read.tables["Differences of accuracy on news, p Holm-adjusted"]
    right = {method: [row["correct"] for row in rows] for method, rows in made.rows.items()}
    pairs = list(combinations(names, 2))
    alone = grouped(None, len(made.prompts))
    found = [compare(np.array([right[a]]), np.array([right[b]]), alone) for a, b in pairs]
    adjusted = holm([c.p for c in found])
    assert len(table) == 6
    for row, (a, b), comparison, p in zip(table, pairs, found, adjusted, strict=True):
        assert row[0] == f"{names[a]} − {names[b]}"
        assert row[1].replace("−", "-") == f"{comparison.difference:+.4f}"
        assert row[3:] == ["<0.001" if p < 0.001 else f"{p:.3f}", "McNemar"]


def test_confusion_and_f1_are_scikit_learns(made, names):
    for method, rows in made.rows.items():
        truths, answers = [r["ground_truth"] for r in rows], [r["prediction"] or "none" for r in rows]
        _, *table = made.read.tables[f"Confusion matrix: {names[method]}"]
        expected = confusion_matrix(truths, answers, labels=[*WORDS, "none"])[:-1]
        assert [[int(cell) for cell in row[1:]] for row in table] == expected.tolist()
        _, *table = made.read.tables[f"Classes: {names[method]}"]
        values = f1_score(truths, answers, labels=WORDS, average=None, zero_division=0)
        assert [row[:4] for row in table] == [
            [word, str(truths.count(word)), str(answers.count(word)), f"{f1:.4f}"]
            for word, f1 in zip(WORDS, values, strict=True)
        ]
        for *_, value, ends in table:
            low, high = map(float, ends.split("–"))
            assert 0 <= low <= float(value) <= high <= 1


def test_reliability_is_that_of_the_result(made):
    tables = [rows for caption, rows in made.read.tables.items() if caption.startswith("Reliability: direct;")]
    (result,) = read_results([str(made.folder / "results/first/outputs_direct.json")])
    expected = [[str(b.count), f"{b.confidence:.4f}", f"{b.accuracy:.4f}"] for b in result.reliability if b.count]
    assert [row[1:] for row in tables[-1][1:]] == expected
    assert not any("Reliability: generate" in caption for caption in made.read.tables)


def test_nothing_of_a_data_set_is_markup(made):
    """The parser finds our script, our style and the JSON, and in the JSON the texts as they are."""
    assert set(made.read.blocks) == {"script", "style", "application/json"}
    content = json.loads(made.read.blocks["application/json"])
    assert content["sets"][1]["texts"] == [prompt["text"] for prompt in made.prompts]
    assert not set("<>&\u2028\u2029") & set(made.read.blocks["application/json"])
    assert "onerror" not in re.sub(r"<script type=.*?</script>", "", made.page, flags=re.DOTALL)


def test_page_needs_nothing_else(made):
    """Everything is in the file, and the policy allows what is in it and nothing else."""
    assert all(link.startswith(("#", "data:,")) for link in made.read.links)
    assert "url(" not in made.page
    assert "@import" not in made.page
    assert "default-src 'none'" in made.read.policy
    assert f"script-src '{content_hash(made.read.blocks['script'])}'" in made.read.policy
    assert f"style-src '{content_hash(made.read.blocks['style'])}'" in made.read.policy
    assert "unsafe" not in made.read.policy


def test_same_files_same_bytes(made):
    again = made.folder / "again.html"
    write_report(ReportConfig((str(made.folder / "results"),), str(again)))
    assert again.read_bytes() == made.path.read_bytes()


def test_a_whole_test_split_is_below_5_megabytes(tmp_path, capsys, write_results):
    """7,600 examples of AG News' length, four methods; texts and demonstrations stand there once."""
    write_results(tmp_path / "results", count=7600, words=34)
    path = tmp_path / "report.html"
    write_report(ReportConfig((str(tmp_path / "results"),), str(path)))
    assert path.stat().st_size < 5e6
    assert path.read_text().count("a demonstration with {text} in it") == 1
    assert f"{path}: results 4, sets of examples 1, " in capsys.readouterr().out


def test_results_of_the_same_examples_stand_together(tmp_path, write_results):
    write_results(tmp_path / "a", ["direct", "channel"], 20)
    write_results(tmp_path / "b", ["direct"], 20, k=4)
    write_results(tmp_path / "c", ["direct"], 21)
    sections = sections_of(read_results([str(tmp_path)]))
    assert [section.names for section in sections] == [["direct, k = 1", "channel, k = 1", "direct, k = 4"], ["direct"]]
    assert len(sections[0].pairs) == 3
    assert sections[1].pairs == []
    assert [len(places) for places in sections[0].curves()] == [3]
    assert sections[1].curves() == []


def test_names_tell_results_apart(tmp_path, write_results):
    write_results(tmp_path / "a", ["direct"], 5)
    write_results(tmp_path / "b", ["direct"], 5)
    (section,) = sections_of(read_results([str(tmp_path)]))
    names = section.names
    assert names == [f"direct, {tmp_path}/{folder}/outputs_direct.json" for folder in "ab"]


def test_files_that_tell_little(tmp_path, read_page):
    """Of the original form, without ids, classes, ground truths and meta file: what is known is shown."""
    rows = [{"prediction": "World", "correct": True}, {"prediction": None, "correct": False}]
    for name in ("outputs_a.json", "outputs_b.json"):
        (tmp_path / name).write_text(json.dumps(rows))
    write_report(ReportConfig((str(tmp_path),), str(tmp_path / "report.html"), str(tmp_path / "figures")))
    read = read_page((tmp_path / "report.html").read_text())
    content = json.loads(read.blocks["application/json"])
    assert [one["truths"] for one in content["sets"]] == [None, None]  # nothing says that they are the same examples
    assert content["sets"][0]["systems"][0]["predictions"] == [0, -1]
    assert read.tables["Results on Data set without a name (1)"][1][:2] == ["outputs_a", "0.5000"]
    assert len(list((tmp_path / "figures").iterdir())) == 2  # accuracy of each


def test_json_of_unusual_scores(tmp_path):
    """Scores keep three decimals; label words that differ by example keep their places."""
    rows = [
        {"label_words": ["a", "b"], "log_probs": [-1.23456, -80.0], "ground_truth": "a", "prediction": "a"},
        {"label_words": ["c", "a"], "log_probs": [-360.01229, -372.8], "ground_truth": "a", "prediction": "c"},
    ]
    rows = [row | {"correct": row["prediction"] == row["ground_truth"]} for row in rows]
    (tmp_path / "outputs_x.json").write_text(json.dumps(rows))
    (one,) = json.loads(to_json(sections_of(read_results([str(tmp_path)]))))["sets"]
    assert one["labels"] == ["a", "b", "c"]
    assert (one["label_sets"], one["systems"][0]["label_sets"]) == ([[0, 1], [2, 0]], [0, 1])
    assert one["systems"][0]["scores"] == [[-1.235, -80.0], [-360.012, -372.8]]
    assert one["texts"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent"], "error: absent: no such file or folder"),
        (["--output", "report.json"], "error: --output report.json: expected a file name that ends in .html"),
        (["--output", "a.html"], "error: a.html: is a folder, expected a file name (--output)"),
        (["--figures", "file"], "error: file/figure.svg: cannot be written: Not a directory (--figures)"),
        (["--figure", "x"], "error: --figure: unknown flag; --help lists them all"),
    ],
)
def test_bad_input_is_one_line(run_script, tmp_path, arguments, message):
    (tmp_path / "a.html").mkdir()
    (tmp_path / "file").touch()
    done = run_script("run_report.py", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, message + "\n")
    assert not (tmp_path / "report.html").exists()


def test_output_is_checked_before_the_work(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        (tmp_path / "r.html").mkdir()
        write_report(ReportConfig(("absent",), str(tmp_path / "r.html")))
