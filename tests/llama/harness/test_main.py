"""python -m llama.harness, run as by a user: results, processes, one-line errors."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llama.harness.__main__ import leave_checkout

INSTALLED = importlib.util.find_spec("lm_eval") is not None
needs_harness = pytest.mark.skipif(
    not INSTALLED, reason="needs the extra harness; test_environment.py runs these in its own"
)


def harness(*arguments: object, root: Path, cwd: Path, processes: int = 1) -> subprocess.CompletedProcess:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else []), "-m", "llama.harness", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=900, check=False)


@pytest.fixture(scope="module")
def evaluate(chat_folder: Path, needing: Path, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable:
    """A function: (processes=1, **model_args) -> the samples of three tasks, and their results.

    It runs in the checkout, where a folder has the name of a package that a task needs."""

    def run(processes: int = 1, **model_args: object) -> tuple[list[Any], dict[str, Any]]:
        folder = tmp_path_factory.mktemp("run")
        given = ",".join(f"{key}={value}" for key, value in ({"pretrained": chat_folder} | model_args).items())
        where = ("--include_path", needing, "--output_path", folder, "--log_samples")
        done = harness(
            *("--model", "llama", "--model_args", given, "--tasks", "towns_5,towns_answers,needing", *where),
            root=root,
            cwd=root,
            processes=processes,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("|towns_5 ") == done.stdout.count("|needing ") == 1
        (results,) = folder.rglob("results_*.json")
        samples = [json.loads(line) for path in sorted(folder.rglob("*.jsonl")) for line in path.open()]
        samples.sort(key=lambda sample: (sample["prompt_hash"], sample["doc_id"]))
        return samples, json.loads(results.read_text())["results"]

    return run


@pytest.fixture(scope="module")
def needing(tasks: Path) -> Path:
    """The folder of tasks, with one whose code imports the package `evaluate`."""
    (tasks / "needs_evaluate.py").write_text(
        "import evaluate\n\nfound = evaluate.load\n\n\ndef choices(doc):\n    return doc['choices']\n"
    )
    stated = (tasks / "towns_0.yaml").read_text().replace("task: towns_0", "task: needing")
    code = stated.replace("doc_to_choice: '{{choices}}'", "doc_to_choice: !function needs_evaluate.choices")
    assert code != stated
    (tasks / "needing.yaml").write_text(code)
    return tasks


@pytest.fixture(scope="module")
def alone(evaluate: Callable) -> tuple[list[Any], dict[str, Any]]:
    return evaluate()


@needs_harness
@pytest.mark.slow
@pytest.mark.parametrize("model_parallel_size", [1, 2], ids=["two replicas", "one model"])
def test_two_processes(model_parallel_size, alone, evaluate) -> None:
    samples, results = evaluate(processes=2, model_parallel_size=model_parallel_size)
    assert len(samples) == len(alone[0]) == 36
    for one, other in zip(samples, alone[0], strict=True):
        assert one["arguments"] == other["arguments"]
        for (found,), (expected,) in zip(one["resps"], other["resps"], strict=True):
            if isinstance(expected, str):
                assert found == expected
            else:
                assert float(found[0]) == pytest.approx(float(expected[0]), abs=1e-3) and found[1] == expected[1]
    for name, expected in alone[1].items():
        numbers = {key: value for key, value in expected.items() if isinstance(value, float)}
        assert {key: results[name][key] for key in numbers} == pytest.approx(numbers)


@needs_harness
@pytest.mark.slow
def test_a_refusal_is_one_line(root, tasks, tmp_path) -> None:
    given = ("--model", "llama", "--model_args", "ckpt_dir=missing", "--tasks", "towns_0", "--include_path", tasks)
    done = harness(*given, root=root, cwd=tmp_path)
    assert done.returncode == 2
    line = "error: --model_args ckpt_dir missing: no such folder; looked at missing, checkpoints/missing,"
    assert done.stderr.splitlines()[-1].startswith(line), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(INSTALLED, reason="the harness is installed")
def test_without_the_harness(root, tmp_path) -> None:
    done = harness("--model", "llama", root=root, cwd=tmp_path)
    expected = "error: No module named 'lm_eval': run pip install '.[harness]' in the folder of the project"
    assert (done.returncode, done.stderr.splitlines(), done.stdout) == (2, [expected], "")


def test_the_checkout_leaves_the_path(root, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "path", ["", str(root), str(tmp_path), str(root / "llama")])
    leave_checkout()
    assert sys.path == [str(tmp_path), str(root / "llama")]
