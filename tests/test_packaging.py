"""`pip install .` and `pip install -e .`: only the engine with its imports, usable from any folder."""

import ast
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

KEPT_OUT = (
    "evaluate",
    "preprocess",
    "documents",
    "training",
    "pretrain",
    "finetune",
    "tiny_llama",
    "convert",
    "options",
)


@pytest.fixture(scope="module")
def project(root: Path) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def source(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project without data and results, because building leaves files. A part of llama/ is in its own
    folder, as may happen later."""
    folder = tmp_path_factory.mktemp("source") / "project"
    kept = [path for path in root.iterdir() if path.suffix in (".py", ".toml", ".md") or path.name == "LICENSE"]
    folder.mkdir()
    for path in kept:
        shutil.copy(path, folder)
    for name in ("llama", "evaluate", "preprocess", "finetune", "tiny_llama", "convert", "benchmarks", "tests"):
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "llama/part").mkdir()
    (folder / "llama/part/__init__.py").write_text("")
    return folder


def pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", *arguments, "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_wheel_contains_llama_and_nothing_else(source: Path, tmp_path: Path) -> None:
    pip("wheel", source, "--wheel-dir", tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == {str(path.relative_to(source)) for path in (source / "llama").rglob("*.py")}
    assert "llama/part/__init__.py" in names


def test_the_version_is_in_one_place(root: Path, project: dict) -> None:
    """Except in the citation file, which cannot read it."""
    cited = re.search(r"^version: (.*)$", (root / "CITATION.cff").read_text(), re.MULTILINE)
    assert cited and cited.group(1) == project["version"]
    assert not any("__version__" in path.read_text(encoding="utf-8") for path in (root / "llama").rglob("*.py"))


def test_dependencies_are_what_llama_imports(root: Path, project: dict) -> None:
    """Each is a range that contains the pinned version, which is tested. What only `llama.harness` imports
    is required by its extra, as is the package of dtype int8."""
    harness = set((root / "llama/harness").rglob("*.py"))
    needed = imported(set((root / "llama").rglob("*.py")) - harness)
    ranges = dict(line.split(">=") for line in [*project["dependencies"], *project["optional-dependencies"]["int8"]])
    assert {name.replace("-", "_") for name in ranges} == needed
    extra = dict(line.split(">=") for line in project["optional-dependencies"]["harness"])
    assert extra.keys() == imported(harness) - needed
    files = [root / name for name in ("requirements.txt", "requirements-finetune.txt", "requirements-int8.txt")]
    lines = [line for file in files for line in file.read_text().splitlines()]
    pinned = dict(line.split("==") for line in lines if "==" in line)
    for name, lowest in (ranges | {name: extra[name] for name in extra.keys() & pinned.keys()}).items():
        assert numbers(lowest) <= numbers(pinned[name])


def imported(paths: Iterable[Path]) -> set[str]:
    """Third-party packages that files import."""
    found = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"llama"}


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


@pytest.mark.slow
@pytest.mark.parametrize("editable", [False, True], ids=["installed", "editable"])
def test_an_installed_llama_works_from_any_folder(editable: bool, source: Path, root: Path, tmp_path: Path) -> None:
    """Nothing else of ours is installed, so a user's package called `evaluate` is found."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin/python"
    places = {"base": str(environment), "platbase": str(environment)}
    packages = Path(sysconfig.get_path("purelib", vars=places))
    (packages / "tests.pth").write_text(sysconfig.get_path("purelib"))  # torch and the others, of this environment
    pip("--python", python, "install", *(["-e"] if editable else []), source)
    code = f"""
import importlib.util
from pathlib import Path
from llama import load
import llama
assert Path(llama.__file__).is_relative_to({str(source if editable else packages)!r}), llama.__file__
found = [name for name in {KEPT_OUT!r} if importlib.util.find_spec(name)]
assert not found, found
model = load({str(root / "checkpoints/tiny")!r})
print(model.compute_log_probs(["Article: Rain stopped play.\\nCategory:"], ["Sports"])[0])
"""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run([python, "-c", code], cwd=elsewhere, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert -20 < float(done.stdout) < 0
