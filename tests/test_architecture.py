"""Allowed imports, by the syntax tree; scripts without logic; requirements that are imported."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import evaluate

ROOT = Path(__file__).resolve().parent.parent
ALLOWED = {
    "llama": set(),
    "preprocess": {"llama"},  # its templates alone, see below
    "evaluate": {"llama", "preprocess"},
    "documents": {"preprocess"},
    "tiny_llama": {"llama", "preprocess"},
    "training": {"evaluate", "preprocess", "documents", "llama"},  # of llama malloc alone, see below
    "pretrain": {"preprocess", "documents", "training"},
    "finetune": {"evaluate", "preprocess", "llama", "documents", "training"},
    "convert": {"llama", "preprocess"},
    "options": set(),
    "run_*": {
        "options",
        "preprocess",
        "llama",
        "evaluate",
        "documents",
        "training",
        "pretrain",
        "finetune",
        "tiny_llama",
        "convert",
    },
}
PACKAGES = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
SCRIPTS = sorted(ROOT.glob("run_*.py"))
MODULE_OF = {  # where the name to import is not the name to install
    "scikit-learn": "sklearn",
    "pyyaml": "yaml",
    "pillow": "PIL",
    "huggingface-hub": "huggingface_hub",
}
HAVE_THEIR_OWN = {"tiny_llama", "documents", "training", "pretrain", "finetune", "convert"}  # requirements
TOOLS = {"pytest", "pytest-xdist", "ruff", "setuptools"}
ASKED_FOR = {"accelerate", "tensorboard"}  # by transformers and by torch, not imported by us
REQUIREMENTS = sorted(ROOT.glob("requirements*.txt"))


def imports(paths):
    """The top-level names that files import, including imports in functions; relative imports stay in their package."""
    found = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(node.module.partition(".")[0])
    return found


def files_of(name):
    """The files of a package, of a module, or of `run_*`."""
    return [*(ROOT / name).rglob("*.py"), *ROOT.glob(f"{name}.py")]


def requirements(path):
    """The packages in a requirements file, without included files."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith(("#", "-r"))]
    assert all(re.fullmatch(r"[\w-]+==[\w.]+", line) for line in lines), f"{path.name}: expected name==version"
    return {line.partition("==")[0] for line in lines}


@pytest.mark.parametrize("name", [*PACKAGES, "options", "run_*"])
def test_allowed_imports(name):
    assert name in ALLOWED, f"{name}/ is a package without a line in ALLOWED"
    assert files_of(name)
    ours = imports(files_of(name)) & (ALLOWED.keys() | {"tests", "samples"}) - {name}
    assert ours <= ALLOWED[name]


def modules_of_the_engine(name):
    """The modules of llama that a package imports."""
    return {
        node.module
        for path in files_of(name)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module.startswith("llama")
    }


def test_training_imports_only_malloc_of_the_engine():
    """Which needs neither torch nor fairscale."""
    assert modules_of_the_engine("training") == {"llama.malloc"}
    code = "import sys, llama.malloc; assert not {'torch', 'fairscale'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_preprocessing_imports_only_templates_of_the_engine():
    """Templates are converted to prompts in one place, which needs no torch."""
    assert modules_of_the_engine("preprocess") == {"llama.templates"}
    code = "import sys, llama.templates; assert not {'torch', 'numpy'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("name", ["preprocess", "options"])
def test_no_torch_on_the_syntax_tree(name):
    assert not imports(files_of(name)) & {"torch", "fairscale", "sentencepiece", "transformers"}


def test_preprocessing_does_not_load_torch():
    """Not even indirectly."""
    code = (
        "import runpy, sys\n"
        "for script in sys.argv[1:]:\n"
        "    sys.argv = [script, '--help']\n"
        "    try: runpy.run_path(script, run_name='__main__')\n"
        "    except SystemExit as stop: assert not stop.code\n"
        "    assert 'torch' not in sys.modules, script\n"
    )
    scripts = [path.name for path in SCRIPTS if path.name.startswith("run_preprocess")]
    assert len(scripts) == 6
    done = subprocess.run([sys.executable, "-c", code, *scripts], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("--data_path") >= 5
    assert done.stdout.count("--annotations") >= 1


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script_is_a_docstring_two_imports_and_a_call(path):
    """The call is run(Config, function) with the imported names; the docstring contains the command."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstring, first, second, call = tree.body
    assert path.name in ast.get_docstring(tree)
    assert isinstance(docstring, ast.Expr)
    assert isinstance(first, ast.ImportFrom)
    assert isinstance(second, ast.ImportFrom)
    imported = [alias.name for statement in (first, second) for alias in statement.names]
    assert "run" in imported
    assert isinstance(call.value, ast.Call)
    used = [node.id for node in (call.value.func, *call.value.args)]
    assert used[0] == "run"
    assert sorted(used) == sorted(imported)
    assert call.value.keywords == []


def test_evaluate_is_ours():
    """PyPI has a package of that name; ours is found first, because it is a real package in the checkout."""
    assert Path(evaluate.__file__) == ROOT / "evaluate/__init__.py"
    assert "PyPI" in evaluate.__doc__
    include = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    assert include == ["llama", "llama.*"]


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.stem)
def test_requirements_are_imported(path):
    """By the product, or by the tests if only they need it; tools are not imported."""
    assert not requirements(path) & {"evaluate", "setfit", "lm-eval", "lm_eval"}
    where = {"requirements": set(PACKAGES) - HAVE_THEIR_OWN | {"options"}}
    where |= {
        "requirements-dev": {"tests"},
        "requirements-tiny-llama": {"tiny_llama"},
        "requirements-finetune": {"finetune", "documents", "training", "pretrain"},
        "requirements-convert": {"convert"},
        "requirements-int8": {"llama"},
        "requirements-report": {"evaluate"},
    }
    imported = imports([file for name in where[path.stem] for file in files_of(name)])
    assert {MODULE_OF.get(name, name) for name in requirements(path) - TOOLS - ASKED_FOR} <= imported


def test_imports_are_required():
    """The requirements files name every package that the product imports, except those of the extra `harness`."""
    imported = imports([file for name in [*PACKAGES, "options"] for file in files_of(name)])
    named = {MODULE_OF.get(name, name) for path in REQUIREMENTS for name in requirements(path) - TOOLS}
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["harness"]
    named |= {re.match(r"\w+", line)[0] for line in extra}
    assert imported - sys.stdlib_module_names - ALLOWED.keys() <= named


def test_no_code_of_models_and_data_sets_is_run():
    """All calls that could run such code disable it."""
    found = 0
    for path in [file for name in PACKAGES for file in files_of(name)]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and re.match(
                r"Auto\w+\.from_|datasets\.load_dataset", ast.unparse(node.func)
            ):
                found += 1
                told = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert told.get("trust_remote_code") == "False", f"{path}:{node.lineno}"
    assert found >= 8
