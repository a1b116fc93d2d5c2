"""Names of users' files in tables: they break neither lines nor columns, and spreadsheets do not evaluate them."""

import csv
import io

import pytest

from evaluate.formats import Column, Rows, number, to_text

COLUMNS = [
    Column("method", lambda row: row[0], is_number=False),
    Column("draws", lambda row: row[1]),
    number("difference", lambda row: row[1]),
]
BREAKING = "a\nb\r\nc\u2028d | e \x85\x0b f"
SHOWN = "a b c d | e   f"


@pytest.mark.parametrize("form", ["markdown", "latex"])
def test_line_breaks_in_names(form: str):
    table = to_text(form, COLUMNS, [Rows(BREAKING, [(BREAKING, 1)])], None, [f"note {BREAKING}"])
    plain = to_text(form, COLUMNS, [Rows(SHOWN, [(SHOWN, 1)])], None, [f"note {SHOWN}"])
    assert table == plain
    assert SHOWN.replace("|", "\\|") in table if form == "markdown" else "\\textbar{}" in table


@pytest.mark.parametrize(
    "name",
    [
        '=HYPERLINK("http://x";"y")',
        "=1",
        "+1+cmd",
        "-1+2",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "＝1",
        "－1",
        "-",
        "-2.5e-3",
        "+7",
        "--1",
    ],
)
def test_formulas_are_text_in_csv_and_numbers_stay_numbers(name: str):
    rows = [(name, -0.25), ("-", None)]
    text = to_text("csv", COLUMNS, [Rows("", rows)], None, [])
    _, first, second = csv.reader(io.StringIO(text))
    is_number = name in ("-", "-2.5e-3", "+7")
    assert first == [name if is_number else f"'{name}", "-0.25", "-0.25"]
    assert second == ["-", "-", "-"]


def test_other_names_are_unchanged():
    names = ["direct", "'quoted", "a=b", " =1", "1+1", "Ünïcödé 日本", '"', "a,b"]
    text = to_text("csv", COLUMNS, [Rows("", [(name, 1) for name in names])], None, [])
    assert [row[0] for row in csv.reader(io.StringIO(text))][1:] == names
