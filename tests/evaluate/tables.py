"""Printed tables, and predictions files that are changed."""

import json

from evaluate.predictions import write_predictions
from evaluate.table import TableConfig, print_table

WORDS = ["World", "Sports", "Business"]


def printed(capsys, *paths, **options):
    """The lines of the table and of its notes."""
    print_table(TableConfig(tuple(map(str, paths)), **options))
    lines = capsys.readouterr().out.splitlines()
    return [line for line in lines if line.startswith("|")], [line for line in lines if line and line[0] != "|"]


def rewrite(path, change):
    """Change the rows, and write them with a meta file that matches the new bytes, as another program may."""
    rows, meta = json.loads(path.read_text()), json.loads(path.with_suffix(".meta.json").read_text())
    change(rows)
    write_predictions(path, rows, meta | {"num_examples": len(rows)})
