"""Makes the folder that run.sh measures from on a machine without internet; prepare.sh calls it.

FOLDER/run.sh                          the command to run there
FOLDER/code/                           the project: what is measured, its tests, its smallest checkpoint
FOLDER/data/inputs_METHOD.json.gz      prompts of AG News
FOLDER/data/llama_tokenizer/           the tokenizer
FOLDER/wheels/                         packages that the machine may lack
FOLDER/prepared.json                   commit, interpreter, examples
"""

import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[2]))
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from options import run

# isort: split

import contextlib
import gzip
import io
import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass

from wheels import collect

from preprocess.ag_news import preprocess
from preprocess.build import ExampleOptions, PromptOptions
from preprocess.errors import InputError
from preprocess.files import PathFlag

ROOT = Path(__file__).resolve().parents[2]
CODE = (
    "llama",
    "preprocess",
    "evaluate",
    "benchmarks",
    "tests",
    "checkpoints/tiny",
    "samples/*.json",
    ":(glob)*.py",
    "pyproject.toml",
)
LARGEST = 60 * 10**6  # bytes


@dataclass(frozen=True)
class PrepareConfig:
    """Make a folder that measures the product on a machine with a GPU and without internet.

    Args:
        output_dir: The folder to make; it must not exist.
        ag_news: Folder with train.csv and test.csv of AG News.
        tokenizer: LLaMA's tokenizer.model.
        limit: Use only the first N examples of the test split; 0 uses all.
        python: Version of Python on the machine, which wheels are for; "" if it has all packages.
        machine: Its processor: x86_64 or aarch64.
    """

    output_dir: PathFlag = ""
    ag_news: PathFlag = "data/ag_news"
    tokenizer: PathFlag = "data/llama_tokenizer/tokenizer.model"
    limit: int = 0
    python: str = "3.12"
    machine: str = "x86_64"

    def __post_init__(self) -> None:
        if not self.output_dir:
            raise InputError("--output_dir: expected a folder to make")
        if Path(self.output_dir).exists():
            raise InputError(f"--output_dir {self.output_dir}: exists; expected a folder to make")
        if self.python and not re.fullmatch(r"3\.\d+", self.python):
            raise InputError(f'--python {self.python}: expected a version such as 3.12, or ""')
        if self.machine not in ("x86_64", "aarch64"):
            raise InputError(f"--machine {self.machine}: expected x86_64 or aarch64")
        if self.limit < 0:
            raise InputError(f"--limit {self.limit}: expected 0 or more")
        if not Path(self.tokenizer).is_file():
            raise InputError(f"--tokenizer {self.tokenizer}: no such file")


def prepare(config: PrepareConfig) -> None:
    """Make the folder. It appears when it is complete."""
    target = Path(config.output_dir)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        folder = Path(name) / "folder"
        copy_code(folder / "code")
        shutil.copy2(folder / "code/benchmarks/cuda/run.sh", folder / "run.sh")
        write_prompts(config, folder / "data")
        (folder / "wheels").mkdir()
        if config.python:
            collect(config.python, config.machine, folder / "wheels")
        facts = {"commit": git("rev-parse", "HEAD").strip(), "changed": changed(), "python": config.python or None}
        (folder / "prepared.json").write_text(json.dumps(facts, indent=1))
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        if size > LARGEST:
            raise InputError(f"{target}: would take {size:,} bytes, expected at most {LARGEST:,}")
        folder.rename(target)
    print(f"{target}: {size / 1e6:.0f} MB; there: bash {target.name}/run.sh")


def git(*arguments: str) -> str:
    """What git says of the checkout.

    Raises:
        InputError: It is none.
    """
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"{ROOT}: expected a git checkout, whose files are copied: {done.stderr.strip()}")
    return done.stdout


def changed() -> bool:
    """Whether the working tree differs from its commit."""
    return bool(git("status", "--porcelain", "--untracked-files=no").strip())


def copy_code(folder: Path) -> None:
    """Copy the files that git tracks."""
    for name in filter(None, git("ls-files", "-z", "--", *CODE).split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)


def write_prompts(config: PrepareConfig, folder: Path) -> None:
    """The prompt files, compressed, and the tokenizer."""
    (folder / "llama_tokenizer").mkdir(parents=True)
    shutil.copy2(config.tokenizer, folder / "llama_tokenizer/tokenizer.model")
    examples = ExampleOptions(config.ag_news, limit=config.limit)
    for method in ("direct", "channel"):
        path = folder / f"inputs_{method}.json"
        with contextlib.redirect_stdout(io.StringIO()):
            preprocess(PromptOptions(str(path), 1, examples=examples), method)
        with gzip.open(f"{path}.gz", "wb") as file:
            file.write(path.read_bytes())
        for written in (path, path.with_suffix(".meta.json")):
            written.unlink()


run(PrepareConfig, prepare)
