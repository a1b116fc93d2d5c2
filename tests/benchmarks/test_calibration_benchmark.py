"""benchmarks/calibration.py on the shipped sample, run as by a user: its numbers equal those of the corrections."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evaluate.reading import read_checked
from evaluate.result import Result
from llama.corrections import divide_by_batch


@pytest.fixture
def run_benchmark(root: Path):
    """A function that runs the benchmark on the sample's outputs: (*flags) -> finished process."""

    def run(*flags: str) -> subprocess.CompletedProcess:
        paths = {"direct": "outputs_direct_ag_news.json", "calibrated": "outputs_direct_calibrate_ag_news.json"}
        given = [f"--{flag}=samples/{name}" for flag, name in paths.items()]
        command = [sys.executable, "benchmarks/calibration.py", *given, *flags]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)

    return run


def test_a_balanced_draw_of_all_examples_is_the_sample(run_benchmark, root):
    """A draw of all 104 examples, 26 of each class, contains every example."""
    done = run_benchmark("--examples=104", "--draws=1", "--skews=0")
    assert done.returncode == 0, done.stderr
    header, _, row = done.stdout.splitlines()
    names, found = ([cell.strip() for cell in line.split("|")[2:-1]] for line in (header, row))
    assert names == ["direct", "contextual", "batch", "prior uniform", "prior true"]
    results = [
        Result(read_checked(root / f"samples/outputs_{name}_ag_news.json")) for name in ("direct", "direct_calibrate")
    ]
    assert found[:2] == [f"{result.accuracy:.3f}" for result in results]
    batch = divide_by_batch(np.array(results[0].scores)).argmax(-1)
    assert found[2] == f"{(batch == np.array(results[0].truth_places)).mean():.3f}"
    assert found[3] == found[4]  # the true prior is uniform


def test_the_true_prior_gains_with_imbalance(run_benchmark):
    done = run_benchmark("--examples=28", "--draws=40", "--skews=0.9")
    share, *_, uniform, true = (float(cell) for cell in done.stdout.splitlines()[2].split("|")[1:-1])
    assert share == pytest.approx(0.925, abs=0.006)
    assert true > uniform


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--examples=200"], "error: --examples 200: class 0 has 26 examples, 50 are needed"),
        (["--skews=2"], "error: --skews 2: expected comma-separated numbers from 0 to 1"),
        (
            ["--direct=samples/outputs_generate_ag_news.json"],
            "error: samples/outputs_generate_ag_news.json: expected sc",
        ),
    ],
)
def test_impossible_draws_are_refused(run_benchmark, flags, message):
    done = run_benchmark(*flags)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(message)
