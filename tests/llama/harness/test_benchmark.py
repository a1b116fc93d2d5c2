"""benchmarks/harness.py on a small random model, run as by a user. It is here because it needs this environment."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest


def benchmark(*flags: object, root) -> subprocess.CompletedProcess:
    command = [sys.executable, root / "benchmarks/harness.py", *flags]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, timeout=900, check=False
    )


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("lm_eval") is None,
    reason="needs the extra harness; test_environment.py runs these in its own",
)
def test_a_row_for_each_task(chat_folder, root) -> None:
    flags = ("--harness_python", sys.executable, "--ckpt_dir", chat_folder, "--questions", 8, "--sample", 2)
    done = benchmark(*flags, "--batch_sizes", "1,auto", "--max_batch_size", 2, "--max_length", 1024, root=root)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    names = [row["task"] for row in result["tasks"]]
    assert [line[:26].strip() for line in done.stdout.splitlines()[-6:-1]] == names
    assert len(names) == 5
    for row in result["tasks"]:
        assert row["difference"] < 1e-4 * 3000  # of the longest document
        assert row["rates"].keys() == {"llama", "hf 1", "hf auto"}
        assert row["ratio"] == row["rates"]["llama"] / max(row["rates"]["hf 1"], row["rates"]["hf auto"])
        assert row["tokens"] <= row["hf_tokens"] * 1.01


def test_refusals(root) -> None:
    done = benchmark("--harness_python", "missing/python", root=root)
    line = "error: --harness_python missing/python: expected a Python interpreter with the harness"
    assert (done.returncode, done.stderr.splitlines()) == (2, [line])
    done = benchmark("--harness_python", sys.executable, "--ckpt_dir", root / "llama", root=root)
    assert done.returncode == 2 and "expected a Hugging Face folder" in done.stderr
    flags = ("--harness_python", sys.executable, "--ckpt_dir", root / "checkpoints/tiny", "--batch_sizes", "1,many")
    assert benchmark(*flags, root=root).returncode == 2
