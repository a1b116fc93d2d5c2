"""The README and the guides: every command runs, in order, in a copy of the project; the file tree is correct."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from preprocess.dataset_config import OPTIONAL, REQUIRED, read_dataset_config

COPIED = ("samples", "checkpoints")  # commands may write there; everything else is only read
ABSENT = {"--ckpt_dir 7B": "checkpoints/llama/7B", "--ckpt_dir 13B": "checkpoints/llama/13B"}


def blocks(readme: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)


def pages(root: Path) -> list[Path]:
    """The README and then the guides, whose commands may use results of the README's."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def commands(readme: Path) -> list[str]:
    """Every line of every bash block, joined where a backslash continues it, without its comment."""
    lines = [line for block in blocks(readme, "bash") for line in block.replace("\\\n", " ").splitlines()]
    return [re.sub(r"\s+#.*", "", line).strip() for line in lines if line.strip() and not line.startswith("#")]


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    """The project after a clone: no results, and only the tiny checkpoint."""
    if not (root / ".git").exists():
        pytest.skip("needs the repository: what git tracks is what a user has after a clone")
    tracked = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    for name in filter(None, tracked):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if name.split("/")[0] in COPIED:
            target.write_bytes((root / name).read_bytes())
        else:
            target.symlink_to(root / name)
    return tmp_path


def run(command: str, folder: Path) -> subprocess.CompletedProcess:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(folder), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=1800, check=False
    )


def test_commands_of_the_readme_run(root: Path, data: Path, copy: Path) -> None:
    (copy / "data").symlink_to(data)
    run_commands([root / "README.md"], copy)


@pytest.mark.slow
def test_commands_of_the_guides_run(root: Path, data: Path, copy: Path) -> None:
    """After those of the README, whose results they may use."""
    (copy / "data").symlink_to(data)
    run_commands(pages(root), copy)


def run_commands(readmes: Sequence[Path], copy: Path) -> None:
    """Preprocessing of real data is cut to a few examples; 7B and the hub run up to their first missing file."""
    for command in (command for page in readmes for command in commands(page)):
        if command.startswith(("make ", "python benchmarks/", ". .venv/")):  # those have tests of their own
            continue
        if "data/" in command and "run_preprocess" in command:
            command = re.sub(r" --limit \d+", "", command) + " --limit 6"
        done = run(command, copy)
        missing = next((path for flag, path in ABSENT.items() if flag in command), None)
        if missing:
            assert done.returncode != 0
            assert f"no such folder; looked at {missing.rsplit('/')[-1]}" in done.stderr
            assert missing in done.stderr
        elif "--sample=False" in command:
            assert done.returncode == 2, done.stderr
            assert "fancyzhx/ag_news" in done.stderr.splitlines()[-1]
        else:
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def section_with(page: Path, command: str) -> str:
    """The section that quotes a table and the command that makes it: its title may change."""
    (section,) = [part for part in page.read_text(encoding="utf-8").split("\n## ") if command in part]
    return section


def real_data(root: Path) -> str:
    return section_with(root / "checkpoints/tiny/README.md", "--data_path real/inputs_direct_ag_news_test.json")


def fine_tuned_models(root: Path) -> str:
    return section_with(root / "docs/results.md", "benchmarks/docbank.py")


def table_rows(text: str) -> list[list[str]]:
    """The cells of the first table in a text, including its header."""
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows if len(row) == len(rows[0])]


def check_rows(quoted: list[list[str]], found: list[list[str]], tolerance: dict[str, float]) -> None:
    """Names are equal; accuracy and macro-F1 are within the tolerance of the method; marks are ignored."""
    named = [name for name in ("dataset", "checkpoint", "method", "k") if name in quoted[0]]
    assert quoted[0] == found[0]
    assert len(quoted) == len(found)
    for one, other in zip(quoted[1:], found[1:], strict=True):
        one, other = dict(zip(quoted[0], one, strict=True)), dict(zip(found[0], other, strict=True))
        assert [one[name] for name in named] == [other[name] for name in named]
        for name in ("accuracy", "macro-F1"):
            allowed = tolerance.get(one["method"], 0.001)
            quoted_value, value = (float(re.sub("[*† ]", "", cells[name])) for cells in (one, other))
            assert quoted_value == pytest.approx(value, abs=allowed), one["method"]


@pytest.mark.parametrize("section", [real_data, fine_tuned_models])
def test_quoted_tables_are_found(root: Path, section: Callable[[Path], str]) -> None:
    """What the two slow tests below make anew: a guide that loses a table shows it here."""
    assert len(table_rows(section(root))) == 1 + 8


@pytest.mark.slow
def test_table_of_real_data_is_reproduced_by_its_commands(root: Path, data: Path, copy: Path) -> None:
    """The whole test split of AG News and three pages of DocLayNet."""
    (copy / "data").symlink_to(data)
    section = real_data(root)
    (copy / "section.md").write_text(section)
    made = [run(command, copy) for command in commands(copy / "section.md")][-1]
    assert made.returncode == 0, made.stderr
    check_rows(table_rows(section), table_rows(made.stdout), {})


@pytest.mark.slow
def test_table_of_fine_tuned_models_is_reproduced_by_its_command(root: Path, data: Path, copy: Path) -> None:
    """Twenty pages of DocBank. Training sums in another order on another processor, which gives another model."""
    (copy / "data").symlink_to(data)
    section = fine_tuned_models(root)
    (copy / "section.md").write_text(section)
    (command,) = [command for command in commands(copy / "section.md") if "benchmarks/" in command]
    made = run(command, copy)
    assert made.returncode == 0, made.stderr
    check_rows(table_rows(section), table_rows(made.stdout), {"LLaMA LoRA": 0.05, "LayoutLMv3": 0.08})


def test_python_runs(root: Path, copy: Path) -> None:
    for block in (block for page in pages(root) for block in blocks(page, "python")):
        (copy / "example.py").write_text(block)
        done = run("python example.py", copy)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("\n") == block.count("print(")


def test_descriptions_of_data_sets_are_valid(root: Path, tmp_path: Path) -> None:
    """Every YAML file in the guides is valid; the table in the guide to data sets has every key."""
    found = [block for page in pages(root) for block in blocks(page, "yaml")]
    for block in found:
        (tmp_path / "example.yaml").write_text(block, encoding="utf-8")
        assert read_dataset_config(tmp_path / "example.yaml").dataset.name in ("sst2", "films", "topics")
    assert len(found) >= 2
    guide = (root / "docs/datasets.md").read_text(encoding="utf-8").split("## The keys")[1].split("## ")[0]
    assert {*REQUIRED, *OPTIONAL} <= set(re.findall(r"`(\w+)`", guide))


def test_make_targets_exist(root: Path) -> None:
    targets = set(re.findall(r"^(\w+):", (root / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake (\w+)", (root / "README.md").read_text()))
    assert {"demo", "test", "proof", "check"} <= named <= targets


def test_map_of_the_code_is_current(root: Path) -> None:
    """The architecture page is generated from the modules; the README's tree has every package."""
    command = [sys.executable, "docs/write_architecture.py", "--check"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    tree = (root / "README.md").read_text(encoding="utf-8")
    assert all(f"    {path.parent.name}/" in tree for path in root.glob("*/__init__.py"))


def test_links_lead_somewhere(root: Path) -> None:
    for page in (*pages(root), root / "checkpoints/tiny/README.md"):
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert link.startswith("https://") or (page.parent / link).exists(), f"{page}: {link}"
