"""Scripts in an environment with missing or other packages end in one line."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import options
from tests.command_lines import ROOT, SCRIPTS

COMMANDS = [ROOT / "benchmarks" / name for name in ("calibration.py", "docbank.py", "scaling.py", "scoring.py")]


@pytest.mark.parametrize(
    "folder, line",
    [
        ("finetune", "error: No module named 'absent': pip install -r requirements-finetune.txt\n"),
        ("preprocess", "error: No module named 'absent': pip install -r requirements.txt\n"),
    ],
)
def test_missing_package_is_one_line(tmp_path, folder, line):
    """A package with its own requirements file is reported with that file."""
    (tmp_path / "options.py").write_bytes(Path(options.__file__).read_bytes())
    (tmp_path / "requirements-finetune.txt").touch()
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "deep.py").write_text("import absent.part")
    (tmp_path / "script.py").write_text(f"import options\nimport {folder}.deep")
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)
    (tmp_path / "script.py").write_text(f"import options\nimport {folder}.mistyped")
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (1, True)


@pytest.mark.parametrize("script", [*SCRIPTS, *COMMANDS], ids=lambda path: path.stem)
def test_a_script_outside_the_environment_ends_in_one_line(script: Path, tmp_path: Path):
    """Python without its packages, as after `make demo` and before `. .venv/bin/activate`."""
    command = [sys.executable, "-S", script]  # -S: no packages
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"error: No module named '\w+': .*pip install -r requirements\.txt\n", done.stderr)


@pytest.mark.parametrize(
    ("script", "package", "requirements"),
    [
        ("run_preprocess.py", "yaml", "requirements.txt"),
        ("run_preprocess_direct_ag_news.py", "datasets", "requirements.txt"),
        ("run_evaluate_direct_llama.py", "torch", "requirements.txt"),
        ("run_evaluate_generate_llama.py", "fairscale", "requirements.txt"),
        ("run_sweep.py", "numpy", "requirements.txt"),
        ("run_evaluate_channel_llama.py", "tqdm", "requirements.txt"),
        ("run_finetune_layoutlmv3.py", "lightning", "requirements-finetune.txt"),
        ("run_finetune_llama_layout.py", "peft", "requirements-finetune.txt"),
        ("run_preprocess_annotations.py", "PIL", "requirements-finetune.txt"),
        ("run_pretrain_layoutlmv3.py", "sklearn", "requirements-finetune.txt"),
        ("run_convert_gguf.py", "gguf", "requirements-convert.txt"),
        ("run_report.py", "matplotlib", "requirements-report.txt"),
        ("run_report.py", "jinja2", "requirements-report.txt"),
    ],
)
def test_a_missing_package_is_reported_with_its_requirements_file(script, package, requirements, tmp_path, monkeypatch):
    stub = f"raise ModuleNotFoundError({f'No module named {package!r}'!r}, name={package!r})"
    (tmp_path / f"{package}.py").write_text(stub)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = subprocess.run([sys.executable, ROOT / script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert re.fullmatch(rf"error: No module named '{package}': .*pip install -r {requirements}\n", done.stderr)


def test_the_environment_beside_the_scripts_is_named(tmp_path: Path):
    (tmp_path / "options.py").write_bytes(Path(options.__file__).read_bytes())
    (tmp_path / ".venv").mkdir()
    done = subprocess.run(
        [sys.executable, "-S", "options.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    hint = ". .venv/bin/activate, or pip install -r requirements.txt"
    assert (done.returncode, done.stderr) == (2, f"error: No module named 'fire': {hint}\n")


def test_another_version_of_a_package_is_one_line_but_our_bugs_are_not(tmp_path: Path):
    (tmp_path / "options.py").write_bytes(Path(options.__file__).read_bytes())
    (tmp_path / "script.py").write_text("import options\nfrom fire import gone")
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "cannot import name 'gone' from 'fire'" in done.stderr
    (tmp_path / "script.py").write_text("import options\nfrom options import gone")
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (1, True)
