"""The results table as Markdown, LaTeX and csv."""

import re
import shutil
import subprocess

import pytest

from evaluate.formats import clock
from evaluate.table import TableConfig, print_table
from preprocess.errors import InputError
from tests.evaluate.tables import printed


def test_markdown(write_answers, capsys, tmp_path):
    """Columns in order, aligned as plain text, with escaped bars; values that are equal in all rows are printed
    once."""
    write_answers("outputs_a.json", 1, checkpoint="a|b")
    write_answers("outputs_b.json", 1, checkpoint="a long name of a checkpoint")
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


def test_groups_and_order(write_answers, table, tmp_path, capsys):
    for number, (dataset, k) in enumerate([("news", 0), ("news", 4), ("pages", 0), ("pages", 4)]):
        write_answers(f"outputs_{number}.json", number, 60, prompt={"dataset": dataset, "k": k, "seed": 1})
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


def test_latex_is_escaped(write_answers, capsys):
    path = write_answers("o.json", checkpoint=r"a_b & 5 % $x$ #1 {y} \z ~ ^ < > | ± −")
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


def test_latex_compiles_and_fits_the_page(outputs, write_answers, capsys, compile_latex):
    """With the defaults and with all columns, with long and difficult names; unscaled if it fits, else scaled."""
    hard = write_answers(
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


def test_csv_reads_back(write_answers, table):
    assert table(write_answers("o.json", checkpoint='a, "b"\nc'))[0]["checkpoint"] == 'a, "b"\nc'


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "00:00:00"), (59.6, "00:01:00"), (3599.5, "01:00:00"), (360000, "100:00:00")]
)
def test_clock(seconds, shown):
    assert clock(seconds) == shown
