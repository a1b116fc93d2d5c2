"""benchmarks/report.py and screenshots.py, run as by a user."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture
def run_benchmark(root: Path):
    """A function that runs a benchmark: (name, *flags) -> finished process."""
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("needs Chromium; apt-get install chromium chromium-driver")

    def run(name: str, *flags: str) -> subprocess.CompletedProcess:
        command = [sys.executable, f"benchmarks/{name}.py", *flags]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.mark.slow
def test_a_report_is_measured_and_drawn(run_benchmark, tmp_path: Path) -> None:
    done = run_benchmark("report", "--examples=60", "--draws=2", f"--keep={tmp_path}")
    assert done.returncode == 0, done.stderr
    first, second, *filters = done.stdout.splitlines()
    assert re.fullmatch(r"methods 4, draws 8, data sets 1, 0\.\d MB; written in [\d.]+ s, \d+ MiB", first)
    assert re.fullmatch(r"opened in [\d.]+ s", second)
    assert [re.fullmatch(r"filter, ([\w ]+): \d+ ms", line)[1] for line in filters] == [
        *("ground truth", "outcome", "differs from", "text", "cleared")
    ]
    done = run_benchmark("screenshots", f"--report={tmp_path / 'report.html'}", f"--output_dir={tmp_path / 'made'}")
    assert done.returncode == 0, done.stderr
    sizes = {path.stem: Image.open(path).size for path in (tmp_path / "made").iterdir()}
    assert {name: width for name, (width, _) in sizes.items()} == dict.fromkeys(("light", "dark", "summary"), 1400) | {
        "phone": 400
    }
    assert sizes["summary"][1] < sizes["light"][1] < sizes["phone"][1]


def test_a_missing_report(run_benchmark, tmp_path: Path) -> None:
    done = run_benchmark("screenshots", f"--report={tmp_path / 'absent.html'}")
    assert (done.returncode, done.stderr) == (2, f"error: --report {tmp_path / 'absent.html'}: no such file\n")


def test_many_examples(root: Path) -> None:
    """A row for each number of examples: CPU seconds of each step, and sizes."""
    command = [sys.executable, "benchmarks/many_examples.py", "--examples=20,40"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    _, _, *rows = done.stdout.splitlines()
    assert [re.fullmatch(r"\| (\d+) \|( [\d.]+ s \|){4}( 0\.\d MB \|){2}", row)[1] for row in rows] == ["20", "40"]
