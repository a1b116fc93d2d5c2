"""Marks of the results table: the best in bold, a dagger only for methods that were tested against it, and notes."""

import pytest

from evaluate.predictions import write_predictions
from evaluate.reading import read_results
from evaluate.report.page import ReportConfig, page
from evaluate.report.sections import sections_of
from evaluate.table import TableConfig, print_table

DAGGER = "†: not significantly different from the best (p ≥ .05, Holm-adjusted)."


@pytest.fixture
def write(tmp_path):
    """A function that writes 100 predictions, each `every`-th of them wrong: (method, every, pages=0, **prompt)."""

    def write_one(method, every, pages=0, **prompt):
        rows = [{"id": str(n), "ground_truth": "a", "prediction": "b" if n % every == 0 else "a"} for n in range(100)]
        rows = [row | {"correct": row["prediction"] == "a"} for row in rows]
        rows = [row | ({"group": f"p{n % pages}"} if pages else {}) for n, row in enumerate(rows)]
        meta = {"method": method, "num_examples": 100, "prompt": {"dataset": "news", "k": 0} | prompt}
        write_predictions(tmp_path / f"outputs_{method}_{prompt.get('seed', 0)}.json", rows, meta)

    return write_one


@pytest.fixture
def printed(tmp_path, capsys):
    """A function that prints the table of all files: (format) -> text."""

    def read(form="markdown", **options):
        print_table(TableConfig((str(tmp_path),), form, **options))
        return capsys.readouterr().out

    return read


def accuracies(text):
    """Method -> cell of the accuracy."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    return {row[rows[0].index("method")]: row[rows[0].index("accuracy")] for row in rows[2:]}


def test_best_is_bold_and_what_does_not_differ_from_it_is_marked(write, printed):
    """Accuracies of .9, .87 (no significant difference) and .5 (significantly worse)."""
    for method, every in (("direct", 10), ("channel", 8), ("generate", 2)):
        write(method, every)
    text = printed()
    assert accuracies(text) == {"direct": "**0.9000**", "channel": "0.8700 †", "generate": "0.5000"}
    assert DAGGER in text.splitlines()
    latex = printed("latex")
    assert r"direct & \textbf{0.9000} & " in latex
    assert r"channel & 0.8700$^\dagger$ & " in latex


def test_no_mark_without_a_test(write, printed, tmp_path):
    """Three pages are too few for a test: no dagger in any format, and a note says why."""
    for method, every in (("direct", 10), ("channel", 8)):
        write(method, every, pages=3)
    text = printed()
    assert accuracies(text) == {"direct": "**0.9000**", "channel": "0.8700"}
    note = "news: no test against the best on 3 pages, which are too few."
    assert note in text.splitlines() and "†" not in text
    latex = printed("latex")
    assert f"% {note}" in latex and "dagger" not in latex
    (section,) = sections_of(read_results([str(tmp_path)]))
    html = page([section], [[]], {}, ReportConfig())[0].decode()
    assert note in html and 'class="like-best' not in html and "†: not" not in html
    assert "no test" not in printed(draws=True)


def test_no_mark_without_a_common_draw(write, printed):
    """A method whose draws the best does not have is not tested; the others are, and Holm counts only these."""
    for seed in (1, 2):
        write("direct", 10, k=1, seed=seed)
    write("channel", 8, k=1, seed=3)
    write("generate", 9)
    text = printed()
    assert accuracies(text)["channel"] == "0.8700"
    assert accuracies(text)["generate"] == "0.8800 †"
    assert "news: no test against the best for channel, k = 1: no draw (--seed) in common." in text.splitlines()
