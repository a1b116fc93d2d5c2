"""benchmarks/docbank.py: its splits of the pages. A slow test of the README checks its table."""

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from preprocess.errors import InputError


@pytest.fixture(scope="module")
def benchmark(root: Path) -> dict[str, Any]:
    """The names that the file defines, because benchmarks/ is not a package."""
    return runpy.run_path(str(root / "benchmarks/docbank.py"))


def names(folder: Path, pattern: str) -> set[str]:
    return {path.name.removesuffix(".txt").removesuffix("_ori.jpg") for path in folder.glob(pattern)}


def test_pages(benchmark, data: Path, tmp_path: Path) -> None:
    """The test pages are the 2nd, 4th, ... 40th; they are not trained on."""
    benchmark["split_pages"](data / "docbank", tmp_path)
    listed = sorted(path.stem for path in (data / "docbank/txt").glob("*.txt"))
    test, train, illustrated = (names(tmp_path / split, "*.txt") for split in ("test", "train", "illustrated"))
    assert test == set(listed[1:40:2])
    assert test | train == set(listed)
    assert not test & train
    assert illustrated < train
    assert (len(test), len(train), len(illustrated)) == (20, 80, 30)
    assert names(tmp_path / "illustrated", "*.jpg") == illustrated
    assert names(tmp_path / "test", "*.jpg") == test


def test_another_folder_is_refused(benchmark, root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 pages, expected the 100 samples of DocBank"):
        benchmark["split_pages"](tmp_path, tmp_path / "pages")
    command = [sys.executable, "benchmarks/docbank.py", "--dataset_path", tmp_path, "--output_dir", tmp_path / "made"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert not (tmp_path / "made").exists()


def test_all_systems_predict_the_same_pages(benchmark, tmp_path: Path) -> None:
    *steps, table = benchmark["commands"](benchmark["DocBankConfig"](output_dir=str(tmp_path)), tmp_path)
    assert [step[0] for step in steps] == [
        "run_preprocess_direct_doclaynet.py",
        "run_preprocess_channel_doclaynet.py",
        "run_evaluate_direct_llama.py",
        "run_evaluate_direct_calibrate_llama.py",
        "run_evaluate_channel_llama.py",
        "run_evaluate_generate_llama.py",
        "run_finetune_llama_layout.py",
        "run_finetune_layoutlmv3.py",
    ]
    assert len(table) == 1 + 8
