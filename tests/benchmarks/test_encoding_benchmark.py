"""benchmarks/encoding.py, run as by a user."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


def run_benchmark(root: Path, data: Path, *flags: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "benchmarks/encoding.py", f"--data={data}", *flags]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_methods_are_measured_and_checked(root: Path, data: Path) -> None:
    done = run_benchmark(root, data, "--examples=300", "--checked=40", "--k=2")
    assert done.returncode == 0, done.stderr
    figures = r"300 examples in [\d.]+ s, [\d.]+ s of processor time, \d+ MiB; 0 of 40 differ from the whole text"
    lines = done.stdout.splitlines()
    assert [re.fullmatch(rf"(\w+) +k = 2: {figures}", line)[1] for line in lines] == ["direct", "channel", "generate"]


@pytest.mark.slow
def test_refusals(root: Path, data: Path) -> None:
    done = run_benchmark(root, data, "--methods=direct,prior")
    line = "error: --methods prior: expected direct, channel, generate, separated by commas"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, line)
