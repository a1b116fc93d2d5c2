"""The examples in parts: together they are the whole, and the folder of a large page fits the page."""

import json
import re
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest

from evaluate.reading import read_results
from evaluate.report import folder as folders
from evaluate.report import parts
from evaluate.report.examples import to_set
from evaluate.report.page import ReportConfig, write_report
from evaluate.report.sections import sections_of

ROWS = 25


def at(column, n: int):
    return column[n] if isinstance(column, list) else column


def example_of(found: dict, draw: dict, n: int) -> tuple:
    """Label words with scores, norm, generated text and prompt of an example, without numbers of things."""
    words = at(draw["words"], n)
    scores = None
    if words is not None:
        *begins, _ = accumulate((len(found["words"][at(draw["words"], k)]) for k in range(n + 1)), initial=0)
        own = found["words"][words]
        scores = [(word, draw["scores"][begins[n] + place]) for place, word in enumerate(own)]
    prompt = at(draw["prompts"], n)
    if prompt is not None:
        named, *rest = found["prompts"][prompt]
        prompt = [(kind, found["parts"][part]) for kind, part in named], [k < 0 or found["parts"][k] for k in rest]
    return scores, draw["norms"] and draw["norms"][n], at(draw["generations"], n), prompt, n in draw["cut"]


@pytest.mark.parametrize("own_words", [False, True])
def test_the_parts_are_the_whole(tmp_path, write_results, read_page, own_words):
    """Also of label sets of fifty words in other orders, and of prompts with demonstrations of their own."""
    for path in write_results(tmp_path, count=60, seed=3):
        if own_words:
            change(path)
    (section,) = sections_of(read_results([str(tmp_path)]))
    found = json.loads(json.dumps(to_set(section, {})))
    joined = [json.loads(json.dumps(parts.details(found, begin, begin + ROWS))) for begin in range(0, 60, ROWS)]
    assert sum(len(part["words"]) for part in joined) > 3 or not own_words
    for place, draw in enumerate(parts.draws_of(found)):
        for n in range(60):
            part = joined[n // ROWS]
            assert example_of(part, part["draws"][place], n % ROWS) == example_of(found, draw, n)
    answers = [parts.answers(found, begin, begin + ROWS) for begin in range(0, 60, ROWS)]
    assert [word for part in answers for word in part["truths"]] == found["truths"]
    assert [part["predictions"][2][0] for part in answers] == parts.draws_of(found)[2]["predictions"][::ROWS]


def change(path: Path) -> None:
    """Give each row of a predictions file fifty label words in an order of its own; without meta, so that nothing
    says which prompts were scored."""
    rows = json.loads(path.read_text())
    for n, row in enumerate(rows):
        row["label_words"] = [*row["label_words"], *map(str, range(46))]
        order = np.random.default_rng(n % 7).permutation(50)
        row["label_words"] = [row["label_words"][k] for k in order]
        for key in ("log_probs", "score"):
            if key in row:
                row[key] = np.random.default_rng(n).normal(-5, 2, 50).tolist()
    path.write_text(json.dumps(rows))
    path.with_name(f"{path.stem}.meta.json").unlink()


@pytest.fixture
def write(tmp_path: Path, write_results: Callable[..., list[Path]]) -> Callable[..., list[str]]:
    """A function that writes a report of so many examples: (count, largest size in MB) -> names of the files and
    folders beside it."""

    def write_one(count: int, max_page_mb: float = 0) -> list[str]:
        write_results(tmp_path / "results", ["direct"], count)
        write_report(ReportConfig((str(tmp_path / "results"),), str(tmp_path / "made/r.html"), "", max_page_mb))
        return sorted(path.name for path in (tmp_path / "made").iterdir())

    return write_one


def test_a_page_has_one_folder_of_its_name(write, tmp_path):
    """The folder of the last page, and none if the examples are in the page. Other folders stay."""
    names = ("r.examples", "r.examples-0123", "x.examples-0123456789abcdef", ".r.examples-0123456789abcdef")
    for name in names:
        (tmp_path / "made" / name).mkdir(parents=True)
    seen = set()
    for count in (20, 30):
        (own,) = set(write(count)) - {*names, "r.html"}
        assert re.fullmatch("r.examples-[0-9a-f]{16}", own)
        assert f'data-folder="{own}"' in (tmp_path / "made/r.html").read_text()
        seen.add(own)
    assert len(seen) == 2
    before = (tmp_path / "made" / own / "sets.js").stat()
    assert own in write(30)
    assert (tmp_path / "made" / own / "sets.js").stat().st_mtime_ns == before.st_mtime_ns
    (tmp_path / "made" / own / "sets.js").write_text("damaged")
    write(30)
    assert (tmp_path / "made" / own / "sets.js").stat().st_size == before.st_size
    assert (tmp_path / "made" / own).stat().st_mode == (tmp_path / "made" / names[0]).stat().st_mode
    assert write(30, max_page_mb=10) == sorted([*names, "r.html"])


def test_a_page_that_cannot_be_written_leaves_no_folder(write, tmp_path, monkeypatch):
    """The page before it keeps its own."""
    before = write(20)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folders, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        write(30)
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == before


def test_parts_of_many_examples_are_small(write, tmp_path, capsys, monkeypatch):
    """None is larger than asked, on average; the size of the page does not depend on the number of examples."""
    monkeypatch.setattr(parts, "CHARACTERS", 20_000)
    sizes = {}
    for count in (1000, 4000):
        (own, _) = write(count)
        sizes[count] = (tmp_path / "made/r.html").stat().st_size
        files = list((tmp_path / "made" / own).iterdir())
        assert max(path.stat().st_size for path in files) < 20_000
        page, examples = capsys.readouterr().out.splitlines()
        assert re.search(r"r\.html: methods 1, draws 1, data sets 1, 0\.\d MB$", page)
        assert re.search(rf"{own}: the examples, 0\.\d MB; keep it beside the page$", examples)
    assert sizes[4000] == pytest.approx(sizes[1000], rel=0.05)
