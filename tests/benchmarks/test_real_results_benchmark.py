"""benchmarks/real_results.py: its steps and their order; a whole run on the tiny checkpoint."""

import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from preprocess.errors import InputError


@pytest.fixture(scope="module")
def benchmark(root: Path) -> dict[str, Any]:
    """The names that the file defines, because benchmarks/ is not a package."""
    sys.path.insert(0, str(root / "benchmarks"))
    try:
        return runpy.run_path(str(root / "benchmarks/real_results.py"))
    finally:
        sys.path.remove(str(root / "benchmarks"))


def test_nothing_is_scored_twice_and_cheap_steps_come_first(benchmark, tmp_path: Path) -> None:
    """Without demonstrations there is one draw; channel comes after direct; the longest prompts come last."""
    config = benchmark["RealConfig"](all_rows=True)
    news, layout, docbank = benchmark["tasks"](config, tmp_path)
    assert list(news.draws()) == [(0, 1), *((k, seed) for k in (1, 4) for seed in (1, 2, 3))]
    assert list(layout.draws()) == list(docbank.draws()) == [(0, 1), (1, 1), (1, 2), (1, 3)]
    titles = [title for title, _ in benchmark["plan"](config, tmp_path, None, None)]
    assert titles == [
        "ag_news, calibrated, k = 0",
        "ag_news, calibrated, k = 1",
        "ag_news, calibrated, k = 4",
        "ag_news, generate, k = 0",
        "ag_news, generate, k = 1",
        "ag_news, generate, k = 4",
        "docbank, calibrated, k = 0, 1",
        "docbank, generate, k = 0, 1",
        "doclaynet, calibrated, k = 0, 1",
        "doclaynet, generate, k = 0, 1",
        "ag_news, channel, k = 0",
        "ag_news, channel, k = 1",
        "doclaynet, channel, k = 0, 1",
        "docbank, LoRA",
        "docbank, channel, k = 0, 1",
        "ag_news, channel, k = 4",
        "ag_news_all, calibrated, k = 0, 1, 4",
        "ag_news_float32, calibrated, k = 0, 1",
    ]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"dtype": "float16"}, "--dtype float16: expected float32, bfloat16"),
        ({"limit": -1}, "--limit -1: expected 0 or more"),
        ({"k": "0,x"}, "--k 0,x: expected comma-separated whole numbers"),
        ({"seed": "one"}, "--seed one: expected comma-separated whole numbers"),
    ],
)
def test_flags(flags: dict[str, Any], message: str, benchmark) -> None:
    with pytest.raises(InputError, match=message):
        benchmark["RealConfig"](**flags)


def test_a_missing_data_set_is_reported_before_any_work(benchmark, tmp_path: Path, root: Path) -> None:
    flags = {"ckpt_dir": str(root / "checkpoints/tiny"), "output_dir": str(tmp_path / "made")}
    with pytest.raises(InputError, match=r"--news_path .*absent: no such folder"):
        benchmark["measure"](benchmark["RealConfig"](**flags, news_path=str(tmp_path / "absent")))
    with pytest.raises(InputError, match=r"--doclaynet_path .*absent: no such folder"):
        there = {"news_path": str(tmp_path), "doclaynet_path": str(tmp_path / "absent")}
        benchmark["measure"](benchmark["RealConfig"](**flags, **there))
    with pytest.raises(InputError, match="0 pages, expected the 100 samples of DocBank"):
        there = {"news_path": str(tmp_path), "doclaynet_path": str(tmp_path), "docbank_path": str(tmp_path)}
        benchmark["measure"](benchmark["RealConfig"](**flags, **there))
    assert not (tmp_path / "made").exists()


def test_which_results_are_compared(benchmark) -> None:
    compared = benchmark["COMPARED"].search
    for name in ("direct_ag_news_k0_seed1", "channel_batch_doclaynet_k0_seed1", "direct_batch_ag_news_k1_seed1"):
        assert compared(f"outputs_{name}.json")
    for name in ("direct_pmi_ag_news_k0_seed1", "direct_ag_news_k1_seed2", "direct_ag_news_k4_seed1"):
        assert not compared(f"outputs_{name}.json")


@pytest.mark.slow
def test_an_interrupted_run_ends_with_the_same_tables(root: Path, data: Path, tmp_path: Path) -> None:
    """All steps except LoRA on a few examples, with and without an interruption; a second run computes nothing."""
    command = [
        *[sys.executable, "benchmarks/real_results.py", "--ckpt_dir", "checkpoints/tiny", "--lora_steps", "0"],
        *["--news_path", data / "ag_news", "--doclaynet_path", data / "doclaynet", "--docbank_path", data / "docbank"],
        *["--k", "0,1", "--seed", "1,2", "--limit", "8", "--block_limit", "8"],
    ]
    command = list(map(str, command))

    def start(folder: str) -> subprocess.Popen:
        place = ["--output_dir", str(tmp_path / folder)]
        return subprocess.Popen([*command, *place], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    whole, cut = start("whole"), start("cut")
    stop_at = tmp_path / "cut/docbank/outputs_direct_doclaynet_k0_seed1.json"
    until = time.monotonic() + 300
    while not stop_at.exists() and time.monotonic() < until:
        time.sleep(0.05)
    cut.send_signal(signal.SIGINT)
    assert cut.wait(60) == 130
    printed, said = whole.communicate(timeout=600)
    assert whole.returncode == 0, said
    assert not list((tmp_path / "cut").glob("*/outputs_channel_*"))
    again = start("cut")
    assert again.wait(600) == 0
    assert (again.stdout.read()).count("already finished") > 0
    first, second = (without_times(tmp_path / folder / "tables.md") for folder in ("whole", "cut"))
    assert first == second
    assert sum("means over the draws" in line for line in first) == 4
    twice = start("whole")
    printed, _ = twice.communicate(timeout=600)
    assert "accuracy" not in printed
    assert printed.count("already finished") == sum(1 for _ in (tmp_path / "whole").glob("*/outputs_*.meta.json"))


def without_times(path: Path) -> list[str]:
    """The lines of the tables, without the last column if it contains a time."""
    return [line.rpartition("| 0")[0] or line for line in path.read_text().splitlines()]
