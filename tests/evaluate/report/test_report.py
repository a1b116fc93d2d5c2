"""The report's numbers are those of the files, and all content of a data set is only text in it."""

import json
import re

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score

from evaluate.columns import COLUMNS
from evaluate.intervals import grouped
from evaluate.methods import methods_of
from evaluate.reading import read_results
from evaluate.report.page import ReportConfig, content_hash, write_report
from evaluate.report.sections import LARGE, sections_of
from evaluate.statistics import compare, holm
from evaluate.table import against_best
from preprocess.errors import InputError

WORDS = ["World", "Sports", "Business", "<b>Science</b> & technology"]


def cells(table) -> list[dict[str, str]]:
    header, *rows = table
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_table_is_computed_from_the_files(made, names):
    """Each column against Result; accuracy and macro-F1 also against their definitions."""
    results = [r for r in read_results([str(made.folder / "results")]) if r.dataset == "news"]
    table = cells(made.read.tables["Methods on news"])
    assert [row["method"] for row in table] == [names[method] for method in names]
    for row, result, method in zip(table, results, names, strict=True):
        rows = made.rows[method]
        truths, answers = [r["ground_truth"] for r in rows], [r["prediction"] or "none" for r in rows]
        assert row["accuracy"] == f"{sum(r['correct'] for r in rows) / len(rows):.4f}"
        assert row["95 % interval"] == "{:.4f}–{:.4f}".format(*result.accuracy_interval)
        assert row["macro-F1"] == f"{f1_score(truths, answers, labels=WORDS, average='macro', zero_division=0):.4f}"
        assert row["unanswered"] == str(answers.count("none"))
        assert row["tokens"] == "1234"
        assert not {"draws", "worst draw", "disagreement", "k", "checkpoint"} & row.keys()  # one draw, the same for all
    assert "<dt>Checkpoint</dt><dd>tiny</dd>" in made.page


def test_table_of_draws_is_that_of_the_methods(with_draws):
    """One row per method, with the columns of the results table; below, one row per draw and order."""
    methods = methods_of(read_results([str(with_draws.folder / "results")]))
    table = cells(with_draws.read.tables["Methods on news"])
    assert [(row["method"], row["k"]) for row in table] == [(name, k) for k in "01" for name in ("direct", "channel")]
    for row, method in zip(table, methods, strict=True):
        for key in ("draws", "accuracy", "interval", "worst", "best", "disagreement", "orders", "macro_f1", "ece"):
            assert row[COLUMNS[key].header] == COLUMNS[key].cell(method), key
    against = against_best(methods)
    assert [row["p vs. best method"] == "best" for row in table] == [against[id(method)] is None for method in methods]
    draws = cells(with_draws.read.tables["Draws on news"])
    assert len(draws) == 2 + 3 + 3 + 2
    assert [row["seed"] for row in draws if row["method"] == "direct, k = 1"] == [
        "1",
        "2",
        "3",
        "1 order 1",
        "1 order 2",
    ]
    assert draws[2]["accuracy"] == f"{methods[2].draws[0].accuracy:.4f}"


def test_differences_are_those_of_the_statistics(made, names):
    table = cells(made.read.tables["Accuracy minus that of " + best_of(made, names)])
    right = {names[method]: np.array([[row["correct"] for row in rows]]) for method, rows in made.rows.items()}
    best = best_of(made, names)
    others = [name for name in names.values() if name != best]
    found = [compare(right[name], right[best], grouped(None, len(made.prompts))) for name in others]
    assert [row["method"] for row in table] == others
    for row, comparison, p in zip(table, found, holm([c.p for c in found]), strict=True):
        assert row["difference"].replace("−", "-") == f"{comparison.difference:+.4f}"
        assert row["Holm"] == ("< 0.0001" if p < 0.0001 else f"{p:.4f}")
        assert row["test"] == "McNemar"


def best_of(made, names) -> str:
    return names[max(names, key=lambda method: sum(row["correct"] for row in made.rows[method]))]


def test_confusion_and_f1_are_scikit_learns(made, names):
    f1 = {row["method"]: row for row in cells(made.read.tables["F1 of each class on news"])}
    for method, rows in made.rows.items():
        truths, answers = [r["ground_truth"] for r in rows], [r["prediction"] or "none" for r in rows]
        (_, *columns), *table = made.read.tables[f"news: {names[method]}"]
        expected = confusion_matrix(truths, answers, labels=[*WORDS, "none"])[:-1]
        assert columns == [*WORDS, *["no answer"] * ("none" in answers)]
        assert [row[0] for row in table] == WORDS
        found = [[int(cell or 0) for cell in row[1:]] for row in table]
        assert found == expected[:, : len(columns)].tolist()
        values = f1_score(truths, answers, labels=WORDS, average=None, zero_division=0)
        assert [f1[names[method]][word] for word in WORDS] == [f"{value:.3f}" for value in values]


def test_confusion_of_draws_adds_up(with_draws):
    method = methods_of(read_results([str(with_draws.folder / "results")]))[2]
    _, *table = with_draws.read.tables["news: direct, k = 1"]
    total = sum(draw.confusion for draw in method.draws)
    assert [[int(cell or 0) for cell in row[1:]] for row in table] == total[:, : len(table[0]) - 1].tolist()


def test_largest_confusions_of_a_large_label_set(tmp_path, read_page):
    """A list instead of a matrix of 40 classes, and F1 of the classes with the most examples."""
    words = [f"c{n}" for n in range(LARGE * 2)]
    rows = [{"label_words": words, "ground_truth": words[n % 40], "prediction": words[n % 40]} for n in range(80)]
    rows += [{"label_words": words, "ground_truth": "c7", "prediction": word} for word in ("c9", None, "c9", "c9")]
    for row in rows:
        row["correct"] = row["prediction"] == row["ground_truth"]
    (tmp_path / "outputs_x.json").write_text(json.dumps(rows))
    write_report(ReportConfig((str(tmp_path),), str(tmp_path / "r.html")))
    page = (tmp_path / "r.html").read_text()
    assert 'class="matrix"' not in page
    _, *table = read_page(page).tables["outputs_x"]
    assert table == [["c7", "c9", "3", "50 %"], ["c7", "no answer", "1", "17 %"]]
    header, _ = read_page(page).tables["F1 of each class on Data set without a name"]
    assert header[1] == "c7"
    assert len(header) == 1 + LARGE


def test_nothing_of_a_data_set_is_markup(made):
    """The parser finds only our script, our style and the packed examples, which contain the texts unchanged."""
    assert set(made.read.blocks) == {"script", "style", "text/plain"}
    assert made.read.parts["texts-1-0"] == [prompt["text"] for prompt in made.prompts]
    assert re.fullmatch("([a-z]+(-[0-9]+-[0-9]+)? [A-Za-z0-9+/=]+\n?)+", made.read.blocks["text/plain"])
    assert "onerror" not in made.page
    assert not {"style", "onload", "onerror", "onclick"} & made.read.attributes  # the policy forbids them


def test_page_is_self_contained(made):
    """Everything is in the file, and the content security policy allows nothing else."""
    assert all(link.startswith(("#", "data:,")) for link in made.read.links)
    assert made.page.count("url(") == made.page.count("url(#")
    assert "@import" not in made.page
    assert "default-src 'none'" in made.read.policy
    assert f"script-src '{content_hash(made.read.blocks['script'])}'" in made.read.policy
    assert f"style-src '{content_hash(made.read.blocks['style'])}'" in made.read.policy
    assert "unsafe" not in made.read.policy


def test_ids_are_unique_and_known(made):
    assert len(set(made.read.ids)) == len(made.read.ids)
    assert made.read.references <= set(made.read.ids)


def test_same_files_same_bytes(made):
    again = made.folder / "again.html"
    write_report(ReportConfig((str(made.folder / "results"),), str(again), str(made.folder / "figures-again")))
    assert again.read_bytes() == made.path.read_bytes()
    for file in (made.folder / "figures").iterdir():
        assert (made.folder / "figures-again" / file.name).read_bytes() == file.read_bytes()


def test_a_whole_test_split_is_small(tmp_path, capsys, write_results):
    """7,600 examples of AG News' length and four methods; texts and demonstrations are stored once."""
    write_results(tmp_path / "results", count=7600, words=34)
    path = tmp_path / "report.html"
    write_report(ReportConfig((str(tmp_path / "results"),), str(path)))
    assert path.stat().st_size < 2.5e6
    assert f"{path}: methods 4, draws 4, data sets 1, " in capsys.readouterr().out


def test_methods_on_the_same_examples_share_a_section(tmp_path, write_results):
    write_results(tmp_path / "a", ["direct", "channel"], 20)
    write_results(tmp_path / "b", ["direct"], 20, k=4)
    write_results(tmp_path / "c", ["direct"], 21)
    sections = sections_of(read_results([str(tmp_path)]))
    assert [section.names for section in sections] == [["direct, k = 1", "channel, k = 1", "direct, k = 4"], ["direct"]]
    assert [section.title for section in sections] == ["news (1)", "news (2)"]
    assert list(sections[0].groups_of()) == ["k = 1", "k = 4"]
    assert sections[0].row_names() == ["direct", "channel", "direct"]
    assert [[method.k for method in line] for line in sections[0].curves()["tiny"]] == [[1, 4], [1]]
    assert sections[1].curves() == {}
    assert sections[1].p_values == [None]


def test_methods_that_are_shown_by_default(tmp_path, write_results):
    """The best of each kind, then of each variant, at most four."""
    for k in (1, 2, 4):
        write_results(tmp_path / str(k), ["direct", "channel", "generate"], 40, k=k, seed=k)
    (section,) = sections_of(read_results([str(tmp_path)]))
    shown = [section.methods[place] for place in section.shown]
    assert sorted(method.name for method in shown) == ["channel", "direct", "generate"]
    for method in shown:
        assert method.accuracy == max(m.accuracy for m in section.methods if m.name == method.name)


def test_names_distinguish_results(tmp_path, write_results):
    write_results(tmp_path / "a", ["direct"], 5)
    write_results(tmp_path / "b", ["direct"], 6)
    (tmp_path / "b/inputs.json").unlink()
    names = [section.names for section in sections_of(read_results([str(tmp_path)]))]
    assert names == [["direct"], ["direct"]]


def test_files_with_little_information(tmp_path, read_page):
    """Files in the original format, without ids, classes, ground truths and meta file: known values are shown."""
    rows = [{"prediction": "World", "correct": True}, {"prediction": None, "correct": False}]
    for name in ("outputs_a.json", "outputs_b.json"):
        (tmp_path / name).write_text(json.dumps(rows))
    write_report(ReportConfig((str(tmp_path),), str(tmp_path / "report.html"), str(tmp_path / "figures")))
    read = read_page((tmp_path / "report.html").read_text())
    assert [one["hasTruths"] for one in read.parts["sets"]] == [False, False]  # nothing says: the same examples
    answers = read.parts["answers-0-0"]
    assert (answers["truths"], answers["predictions"], answers["right"]) == (None, [[0, -1]], ["10"])
    assert read.tables["Methods on Data set without a name (1)"][1][:2] == ["outputs_a", "0.5000"]
    assert len(list((tmp_path / "figures").iterdir())) == 4  # accuracy of each, as SVG and PDF


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent"], "error: absent: no such file or folder"),
        (["--output", "report.json"], "error: --output report.json: expected a file name that ends in .html"),
        (["--output", "a.html"], "error: a.html: is a folder, expected a file name (--output)"),
        (["--max_page_mb=-1"], "error: --max_page_mb -1.0: expected 0 or more"),
        (["--max_page_mb=nan"], "error: --max_page_mb nan: expected 0 or more"),
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
