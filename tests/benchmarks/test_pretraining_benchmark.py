"""benchmarks/pretraining.py: its commands, their order, and its table."""

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("lightning", reason="needs requirements-finetune.txt")

from options import parse
from finetune.layoutlmv3.fine_tuning import LayoutLMv3Config
from preprocess.errors import InputError
from pretrain.layoutlmv3 import LayoutLMv3PretrainingConfig
from tests.conftest import write_forms


@pytest.fixture(scope="module")
def benchmark(root: Path) -> dict[str, Any]:
    """The names that the file defines: benchmarks/ is not a package, and its files import each other like scripts."""
    sys.path.insert(0, str(root / "benchmarks"))
    try:
        return runpy.run_path(str(root / "benchmarks/pretraining.py"))
    finally:
        sys.path.remove(str(root / "benchmarks"))


def test_each_run_once_and_pretraining_before_fine_tuning(benchmark, tmp_path):
    config = benchmark["PretrainingBenchmark"](output_dir=str(tmp_path), seeds=2)
    commands = list(benchmark["commands"](config, tmp_path))
    assert len({tuple(command) for command in commands}) == len(commands)
    made: set[str] = set()
    for script, *flags in commands:
        if "pretrain" in script:
            parsed = parse(LayoutLMv3PretrainingConfig, flags)
            made.add(f"{parsed.output_dir}/model")
            assert parsed.pages.datasets == ["funsd", "docbank"]
        else:
            parsed = parse(LayoutLMv3Config, flags)
            assert parsed.model in {"random", *made}
            assert parsed.pages.test_split == "test"
    assert len(made) == 5  # four rows of the ablation, word boxes
    rows = benchmark["rows_of"](config)
    assert [row.variant.name for row in rows[:2]] == ["from nothing", "mlm-mim-wpa"]
    assert len(rows) == 11
    assert rows[-2:] == [benchmark["Row"](variant) for variant in benchmark["WORD_BOXES"]]
    boxes = [command[command.index("--boxes") + 1] for command in commands]
    assert boxes.count("word") == 1 + 2 * 2  # a pre-training, and the fine-tuning of it and of nothing
    assert len(commands) == len(made) + 2 * len(rows)


def test_fewer_forms_get_more_epochs(benchmark, tmp_path):
    config = benchmark["PretrainingBenchmark"](output_dir=str(tmp_path), parts="few")
    runs = [
        parse(LayoutLMv3Config, command[1:])
        for command in benchmark["commands"](config, tmp_path)
        if "fine" in command[0]
    ]
    assert {run.pages.train_pages for run in runs} == {10, 40, 149}
    for run in runs:
        assert run.training.epochs * run.pages.train_pages == pytest.approx(5 * 149, rel=1e-4)


def test_table(benchmark, tmp_path):
    config = benchmark["PretrainingBenchmark"](output_dir=str(tmp_path), parts="help")
    assert "| from nothing | 149 | 0 | - | - |" in benchmark["table"](config, tmp_path)
    for seed, accuracy in ((1, 0.4), (2, 0.5)):
        folder = tmp_path / f"fine_tuned/from-nothing-149-{seed}"
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps({"test": {"accuracy": accuracy, "entity_f1": 0.3}}))
    folder = tmp_path / "pretrained/mlm-mim-wpa"
    folder.mkdir(parents=True)
    found = {"mlm_accuracy": 0.25, "mlm_most_frequent": 0.04}
    (folder / "metrics.json").write_text(json.dumps({"held_out": found}))
    table = benchmark["table"](config, tmp_path)
    assert "| from nothing | 149 | 2 | 0.4500 ± 0.0707 | 0.3000 ± 0.0000 |" in table
    assert "| mlm-mim-wpa | mlm | 0.2500 | 0.0400 |" in table
    assert "| from nothing | 149 | 2 | 0.5000 | 0.3000 |" in table.partition("seed")[2]


@pytest.mark.parametrize(
    "options, said",
    [
        ({"parts": "x"}, "--parts x: 'x' is not one of help, few, ablation, boxes"),
        ({"forms": "1"}, "--forms 1: expected numbers from 2 to 149"),
        ({"steps": 1}, "--steps 1: expected 10 or more"),
        ({"seeds": 0}, "--seeds 0: expected 1 or more"),
        ({"epochs": 0.0}, "--epochs 0.0: expected a number above 0"),
    ],
)
def test_refused(benchmark, options, said):
    with pytest.raises(InputError, match=said):
        benchmark["PretrainingBenchmark"](**options)


def write_docbank(folder: Path, pages: int) -> None:
    """Pages of DocBank, all but the last with an image, of noise: k-means needs different patches."""
    generator = np.random.default_rng(0)
    for name in ("txt", "ori_jpg"):
        (folder / name).mkdir(parents=True)
    for number in range(pages):
        lines = [f"w{n}\t{60 * n}\t100\t{50 + 60 * n}\t120\t0\t0\t0\tfont\tparagraph" for n in range(8)]
        (folder / f"txt/p{number}.txt").write_text("\n".join(lines))
        if number < pages - 1:
            noise = generator.integers(256, size=(224, 224, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / f"ori_jpg/p{number}_ori.jpg")


def test_pages_with_an_image_are_copied(benchmark, tmp_path):
    write_docbank(tmp_path / "docbank", 3)
    benchmark["copy_illustrated"](tmp_path / "docbank", tmp_path / "pages")
    found = {path.name for path in (tmp_path / "pages").iterdir()}
    assert found == {"p0.txt", "p0_ori.jpg", "p1.txt", "p1_ori.jpg"}
    with pytest.raises(InputError, match="no page with an image in ori_jpg/"):
        benchmark["copy_illustrated"](tmp_path / "nothing", tmp_path / "pages")


@pytest.mark.slow
def test_killed_it_goes_on(root, run_script, tmp_path):
    """The process that trains ends with the benchmark, and the next one continues from its checkpoint."""
    write_docbank(tmp_path / "docbank", 8)
    write_forms(tmp_path / "forms")
    flags = ["--funsd", tmp_path / "forms", "--docbank", tmp_path / "docbank", "--output_dir", tmp_path / "out"]
    flags += ["--parts", "help", "--steps", 40, "--batch_size", 1, "--epochs", 0.02, "--seeds", 1]
    command = [sys.executable, root / "benchmarks/pretraining.py", *map(str, flags)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    killed = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
    last = tmp_path / "out/pretrained/mlm-mim-wpa/checkpoints/last.ckpt"
    until = time.monotonic() + 600
    while not last.exists() and killed.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    said = killed.communicate(timeout=30)[0]  # the pipe closes when the process that trains has ended
    assert last.exists(), said
    done = run_script("benchmarks/pretraining.py", *flags, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "already finished" in done.stdout and f"{last}: resuming from this checkpoint" in done.stdout
    table = (tmp_path / "out/results.md").read_text()
    assert "| from nothing | 149 | 1 |" in table and "| mlm-mim-wpa | 149 | 1 |" in table
    assert all(f"| mlm-mim-wpa | {name} |" in table for name in ("mlm", "mim", "wpa"))
