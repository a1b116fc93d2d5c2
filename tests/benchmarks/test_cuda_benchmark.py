"""benchmarks/cuda: its commands as a user runs them, rehearsed on a CPU; results that survive a kill; the page."""

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

REFUSALS = {
    "prepare.py --output_dir README.md": "error: --output_dir README.md: exists; expected a folder to make",
    "prepare.py --output_dir new --python 4": 'error: --python 4: expected a version such as 3.12, or ""',
    "prepare.py --output_dir new --tokenizer absent": "error: --tokenizer absent: no such file",
    "run.py --folder docs": "error: --folder docs: expected a folder that benchmarks/cuda/prepare.sh has made",
}


def test_refusals(root: Path) -> None:
    """All commands at the same time: most of it is importing."""
    running = {}
    for command in REFUSALS:
        script, *flags = command.split()
        running[command] = subprocess.Popen(
            [sys.executable, f"benchmarks/cuda/{script}", *flags],
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    for command, line in REFUSALS.items():
        out, err = running[command].communicate(timeout=120)
        assert (running[command].returncode, out, err) == (2, "", f"{line}\n"), command
    assert not (root / "new").exists()


def test_results_are_whole_after_every_step(root: Path, tmp_path: Path) -> None:
    """What does not fit is skipped, what fails is named, and both files are complete before a step begins."""
    steps = runpy.run_path(str(root / "benchmarks/cuda/steps.py"))
    seen: list[dict[str, str]] = []

    def states() -> dict[str, str]:
        found = json.loads((tmp_path / "results.json").read_text())["steps"]
        assert (tmp_path / "results.md").read_text() == str(list(found))
        return {name: step["state"] for name, step in found.items()}

    def measure(seconds: float) -> dict[str, Any]:
        seen.append(states())
        return {"given": seconds}

    def fail(seconds: float) -> dict[str, Any]:
        raise RuntimeError("no device")

    results = steps["Results"](tmp_path, {"device": "cpu"}, lambda found: str(list(found["steps"])))
    planned = [("first", 7, 0, measure), ("second", 1, 0, fail), ("third", 99, 99, measure), ("last", 99, 1, measure)]
    steps["run_steps"]([steps["Step"](*fields) for fields in planned], results, time.time() + 50)
    assert [list(state.values()) for state in seen] == [
        ["running", "not begun", "not begun", "not begun"],
        ["done", "failed", "skipped", "running"],
    ]
    assert list(states().values()) == ["done", "failed", "skipped", "done"]
    found = results.found["steps"]
    assert (found["first"]["given"], found["second"]["error"]) == (7, "RuntimeError: no device")
    assert re.fullmatch(r"(49|50) s were left, it needs 99", found["third"]["reason"])
    assert 40 < found["last"]["given"] <= 50
    assert results.of("first")["given"] == 7
    assert results.of("second") == results.of("absent") == {}


def run_of(seconds: float, **more: Any) -> dict[str, Any]:
    rates = {"examples": 7600, "examples_per_second": 7600 / seconds, "tokens_per_second": 1e6 / seconds}
    return (
        {"state": "done", "seconds": 60.0, "run_seconds": seconds, "peak_bytes": 2**34, "fraction": 0.5} | rates | more
    )


def test_page_has_goals_beside_figures(root: Path) -> None:
    page = runpy.run_path(str(root / "benchmarks/cuda/tables.py"))["page"]
    facts = {
        "commit": "abc",
        "changed": True,
        "date": "2026-01-01",
        "device": "cuda",
        "dtype": "bfloat16",
        "seconds": 450,
    }
    kernel = {"name": "gemm<a|b>", "calls": 3, "milliseconds": 2.0, "share": 0.25}
    steps = {
        "tests": {"state": "failed", "seconds": 9.0, "counts": {"failed": 1, "passed": 8}, "stopped": True}
        | {"failed": ["tests/test_a.py::test_b"], "log": "AssertionError"},
        "7B product direct": run_of(20.0),
        "7B product channel": run_of(120.0),
        "8B product direct": run_of(25.0),
        "7B profile direct": {"state": "done", "seconds": 5.0, "examples": 1000, "profiled_seconds": 2.0, "busy": 0.9}
        | {"kernels": [kernel]},
        "7B naive direct": run_of(4.0, product_is_times=16.0, largest_difference=0.02),
        "7B transformers generate": run_of(5.0, product_is_times=3.0, same_continuations=0.5),
        "8B rate": {"state": "skipped", "seconds": 0, "reason": "3 s were left, it needs 30"},
    }
    text = page(facts | {"steps": steps})
    for line in (
        "| 7B | direct | 7,600 | 20.00 | 30 (reached) | 50,000 | 0.50 | 16.0 |",
        "| 7B | channel | 7,600 | 120.00 | 100 (missed) | 8,333 | 0.50 | 16.0 |",
        "| 8B | direct | 7,600 | 25.00 | - | 40,000 | 0.50 | 16.0 |",
        "| 7B | naive | direct | 7,600 | 4.00 | 1900.00 | 16.0 | 15 (reached) | 2.0e-02 | 16.0 |",
        "| 7B | transformers | generate | 7,600 | 5.00 | 1520.00 | 3.0 | - | 50% the same | 16.0 |",
        "| `gemm<a/b>` | 3 | 2.0 | 25.0% |",
        "| 8B rate | skipped | 0 | 3 s were left, it needs 30 |",
        "1 failed, 8 passed; stopped before the end",
        "- `tests/test_a.py::test_b`",
        "cuda, commit abc with changes, 2026-01-01",
    ):
        assert line in text.splitlines()
    assert "| step | state |" in page(facts | {"steps": {}})


def test_files_are_left_out_of_a_wheel(root: Path, tmp_path: Path) -> None:
    """pip installs what is left, and its list of files names no other."""
    leave_out = runpy.run_path(str(root / "benchmarks/cuda/wheels.py"))["leave_out"]
    wheel, facts = tmp_path / "made-1.0-py3-none-any.whl", "made-1.0.dist-info"
    contents = {
        "made/__init__.py": "",
        "made/lib_new.so": "new",
        "made/lib_old.so": "old",
        f"{facts}/METADATA": "Metadata-Version: 2.1\nName: made\nVersion: 1.0\n",
        f"{facts}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(wheel, "w") as file:
        for name, content in contents.items():
            file.writestr(name, content)
        file.writestr(f"{facts}/RECORD", "".join(f"{name},,\n" for name in (*contents, f"{facts}/RECORD")))
    leave_out(wheel, re.compile("lib_old"))
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--target",
        tmp_path / "in",
    ]
    subprocess.run([*command, wheel], check=True)
    assert {path.name for path in (tmp_path / "in/made").glob("*.so")} == {"lib_new.so"}
    assert "lib_old" not in (tmp_path / f"in/{facts}/RECORD").read_text()


def rehearsal(root: Path) -> list[list[str]]:
    """The commands of the guide that need no GPU."""
    text = (root / "benchmarks/README.md").read_text(encoding="utf-8").replace("\\\n", " ")
    return [shlex.split(line) for line in text.splitlines() if line.startswith("    ") and "runs/rehearsal" in line]


@pytest.mark.slow
def test_the_rehearsal_of_the_guide(root: Path, tmp_path: Path) -> None:
    """Every step ends well on a CPU; without a GPU all tests on it are skipped."""
    if not (root / ".git").exists():
        pytest.skip("needs the repository: what git tracks is copied")
    environment = os.environ | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    commands = rehearsal(root)
    assert len(commands) == 2
    for command in commands:
        words = [word.replace("runs/rehearsal", str(tmp_path / "made")) for word in command]
        done = subprocess.run(
            words, cwd=root, env=environment, capture_output=True, text=True, timeout=900, check=False
        )
        assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "made/results/results.json").read_text())
    steps = found["steps"]
    assert {name: step["state"] for name, step in steps.items()} == dict.fromkeys(steps, "done")
    assert (found["device"], found["examples"], found["sample"]) == ("cpu", 8, 4)
    assert steps["tests"]["counts"].keys() == {"skipped"} and steps["tests"]["counts"]["skipped"] > 100
    for method in ("direct", "channel", "generate"):
        product = steps[f"1M product {method}"]
        assert product["examples"] == 8 and product["fraction"] > 0
        assert len(steps[f"1M profile {method}"]["kernels"]) == 10
        for system in ("naive", "transformers"):
            beside = steps[f"1M {system} {method}"]
            assert beside["examples"] == 4
            assert beside.get("same_continuations", 1) == 1
            assert beside.get("largest_difference", 0) < 1e-4
    page = (tmp_path / "made/results/results.md").read_text()
    assert page.startswith("# Measured on cpu\n") and page.count("\n## ") == 7
