"""Tests and measures the product on a GPU within a given time; run.sh calls it."""

import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[2]))
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from options import run

# isort: split

import datetime
import json
import tempfile
import time
from dataclasses import asdict, dataclass

import torch
from figures import DTYPES, SHAPES_OF, Figures
from steps import Results, run_steps
from tables import page

from preprocess.errors import InputError
from preprocess.files import PathFlag, check_writable

SETTINGS = ("seconds", "device", "shape", "examples", "sample")  # that are kept with the results


@dataclass(frozen=True)
class CudaConfig:
    """Test and measure the product on a GPU, and write results.json and results.md after each step.

    Args:
        folder: The folder that prepare.sh has made.
        output_dir: Where the results are written; default FOLDER/results.
        seconds: Time for everything; steps that do not fit are skipped.
        device: cuda, or cpu for a rehearsal.
        shape: full (7B, and once Llama 3's 8B), or tiny for a rehearsal.
        examples: Use only the first N examples; 0 uses all.
        sample: Examples of the naive reference and of transformers.
        begin: When the time began, in seconds since 1970; 0 is now.
    """

    folder: PathFlag = ""
    output_dir: PathFlag = ""
    seconds: int = 450
    device: str = "cuda"
    shape: str = "full"
    examples: int = 0
    sample: int = 64
    begin: int = 0

    def __post_init__(self) -> None:
        for flag, known in {"device": ("cuda", "cpu"), "shape": tuple(SHAPES_OF)}.items():
            if getattr(self, flag) not in known:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected {' or '.join(known)}")
        for flag, low in {"seconds": 1, "examples": 0, "sample": 1, "begin": 0}.items():
            if getattr(self, flag) < low:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected {low} or more")
        if not (Path(self.folder) / "prepared.json").is_file():
            raise InputError(f"--folder {self.folder}: expected a folder that benchmarks/cuda/prepare.sh has made")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise InputError("--device cuda: there is no CUDA device here; --device cpu --shape tiny rehearses")
        if self.device == "cpu" and self.shape == "full":
            raise InputError("--shape full: would take days on a CPU; expected tiny with --device cpu")


def measure(config: CudaConfig) -> None:
    """Run all steps."""
    folder = Path(config.folder).resolve()
    output = Path(config.output_dir or folder / "results")
    output.mkdir(parents=True, exist_ok=True)
    check_writable(output / "results.json", "--output_dir")
    today = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    settings = {name: value for name, value in asdict(config).items() if name in SETTINGS}
    facts = (
        json.loads((folder / "prepared.json").read_text()) | settings | {"dtype": DTYPES[config.device], "date": today}
    )
    results = Results(output, facts, page)
    deadline = (config.begin or time.time()) + config.seconds
    with tempfile.TemporaryDirectory() as work:
        figures = Figures(folder, Path(work), config.device, config.shape, config.examples, config.sample, results)
        try:
            run_steps(figures.steps(), results, deadline)
        finally:
            figures.close()
    print(f"written to {output / 'results.json'} and {output / 'results.md'}")


run(CudaConfig, measure)
