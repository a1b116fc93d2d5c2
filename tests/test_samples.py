"""Every file in samples/: it is what the scripts make of the sample sets, and it is well-formed."""

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evaluate.predictions import read_predictions, sha256
from preprocess.ag_news import LABEL_WORDS as NEWS_LABEL_WORDS
from preprocess.blocks import LABEL_WORDS as BLOCK_LABEL_WORDS
from preprocess.doclaynet import read_pages
from preprocess.files import meta_path
from preprocess.prompts import read_prompts

DATASETS = {"ag_news": NEWS_LABEL_WORDS, "doclaynet": BLOCK_LABEL_WORDS}
EVALUATIONS = {"direct": "direct", "direct_calibrate": "direct", "channel": "channel", "generate": "direct"}
SOURCES = ["ag_news/*.csv", "doclaynet/*/*.json", "datasets/*.yaml", "demo.sh"]


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_no_other_file(root: Path) -> None:
    made = {f"inputs_{method}_{dataset}" for method in ("direct", "channel") for dataset in DATASETS}
    made |= {f"outputs_{method}_{dataset}" for method in EVALUATIONS for dataset in DATASETS}
    expected = {root / "samples" / f"{name}{end}" for name in made for end in (".json", ".meta.json")}
    expected |= {path for pattern in SOURCES for path in (root / "samples").glob(pattern)}
    assert {path for path in (root / "samples").rglob("*") if path.is_file()} == expected


@pytest.mark.parametrize("split", ["train", "test"])
def test_news_have_four_classes_and_no_repetition(root: Path, split: str) -> None:
    with (root / f"samples/ag_news/{split}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert all(len(row) == 3 and all(field == field.strip() != "" for field in row) for row in rows)
    assert set(Counter(row[0] for row in rows).values()) == {26 if split == "test" else 12}
    assert len({tuple(row[1:]) for row in rows}) == len(rows)


def test_pages_have_eleven_classes(root: Path) -> None:
    texts = {}
    for split, least in (("train", 5), ("test", 5)):
        blocks = [block for page in read_pages(str(root / "samples/doclaynet"), split) for block in page.blocks]
        counts = Counter(block.label_word for block in blocks if block.text)
        assert min(counts[word] for word in BLOCK_LABEL_WORDS) >= least
        assert len({block.id for block in blocks}) == len(blocks)
        texts[split] = {block.text for block in blocks if block.text}
    assert not texts["train"] & texts["test"]


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("method", ["direct", "channel"])
def test_prompt_files_are_what_the_scripts_make(root, run_script, tmp_path: Path, method: str, dataset: str) -> None:
    shipped = root / f"samples/inputs_{method}_{dataset}.json"
    made = tmp_path / "inputs.json"
    done = run_script(f"run_preprocess_{method}_{dataset}.py", "--data_path", made)
    assert done.returncode == 0, done.stderr
    assert made.read_bytes() == shipped.read_bytes()
    assert load(meta_path(made)) == load(meta_path(shipped))
    assert {prompt.label_words for prompt in read_prompts(shipped, method)} == {DATASETS[dataset]}


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("method", EVALUATIONS)
def test_predictions_are_what_the_scripts_make(root, run_script, tmp_path: Path, method: str, dataset: str) -> None:
    """Scores within 1e-4 nats and the same predictions, made again from the shipped prompts and checkpoint."""
    inputs = f"samples/inputs_{EVALUATIONS[method]}_{dataset}.json"
    shipped = root / f"samples/outputs_{method}_{dataset}.json"
    made = tmp_path / "outputs.json"
    if method == "direct_calibrate":
        direct = f"samples/outputs_direct_{dataset}.json"
        arguments = ["--direct_input_path", inputs, "--direct_output_path", direct]
    else:
        arguments = ["--data_path", inputs] + (["--temperature", "0"] if method == "generate" else [])
    done = run_script(f"run_evaluate_{method}_llama.py", *arguments, "--output_path", made)
    assert done.returncode == 0, done.stderr
    new, old = read_predictions(made, ""), read_predictions(shipped, "")
    assert [list(row) for row in new.rows] == [list(row) for row in old.rows]
    for row, kept in zip(new.rows, old.rows, strict=True):
        for field, value in kept.items():
            if field in ("log_probs", "eos_log_probs", "score"):
                assert row[field] == pytest.approx(value, abs=1e-4)
            else:
                assert row[field] == value
    assert old.meta["prompt_sha256"] == sha256(root / inputs)
    assert old.meta["fingerprint"] == new.meta["fingerprint"]
    assert old.meta["prompt"]["dataset"] == f"{dataset}_sample"
    assert old.meta["checkpoint"] == "tiny"


@pytest.mark.slow
def test_demo_ends_in_a_table_of_eight_rows(root: Path, tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    command = [str(root / "samples/demo.sh"), str(Path(sys.executable).parent)]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    table = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert len(table) == 1 + 8
    assert sum("ag_news_sample" in line for line in table) == sum("doclaynet_sample" in line for line in table) == 4
