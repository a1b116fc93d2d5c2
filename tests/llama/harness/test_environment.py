"""`pip install .[harness]` in its own environment, because the harness needs a package with the name of our folder.

It uses the packages of this environment, and installs missing ones from the package index. The other tests of this
run in it.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def python(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of the environment."""
    pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(environment), "platbase": str(environment)}))
    (packages / "tests.pth").write_text(sysconfig.get_path("purelib"))
    made = environment / "bin/python"
    command = [sys.executable, "-m", "pip", "--python", made, "install", "--quiet", f"{root}[harness]"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return made


def run(python: Path, *arguments: object, cwd: Path) -> subprocess.CompletedProcess:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
    command = list(map(str, [python, *arguments]))
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=1500, check=False)


def test_tasks_run_outside_of_the_checkout(python, root, tasks, tmp_path) -> None:
    model_args = f"ckpt_dir={root / 'checkpoints/tiny'},dtype=bfloat16"
    given = ("--model", "llama", "--model_args", model_args, "--tasks", "towns_5", "--include_path", tasks)
    done = run(python, "-m", "llama.harness", *given, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "|towns_5" in done.stdout and "llama ({'ckpt_dir'" in done.stdout
    code = "import evaluate, llama; print(evaluate.load.__module__, llama.__file__)"
    found = run(python, "-c", code, cwd=tmp_path).stdout.split()
    assert found[0] == "evaluate.loading" and Path(found[1]).is_relative_to(python.parent.parent)


def test_the_tests_of_this_folder_pass(python, root) -> None:
    folder = Path(__file__).parent
    files = sorted(path for path in folder.glob("test_*.py") if path.name != Path(__file__).name)
    done = run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs", *files, cwd=root)
    assert done.returncode == 0, done.stdout[-5000:]
    assert "needs the extra harness" not in done.stdout
