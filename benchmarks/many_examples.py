"""CPU time of what grows with the number of examples, besides the model: reading prompts, planning batches, the results
table and the report; and the size of the report's page.

python benchmarks/many_examples.py [--examples 50000,200000]

Prompts and predictions are random, as in report.py; the batches are those of direct with four label words of one token.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from options import run

# isort: split

import contextlib
import io
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

from report import ReportBenchmarkConfig, write_results

from evaluate.reading import read_results
from evaluate.report.page import ReportConfig, write_report
from evaluate.table import TableConfig, results_table
from llama.batches import Limits, plan
from llama.prefix_tree import build_tree
from preprocess.errors import InputError
from preprocess.prompts import read_prompts

TOKENS, VOCABULARY, LABEL_WORDS = 60, 32_000, 4  # a zero-shot prompt of AG News has about 60 tokens
STEPS = ("prompts read", "planned", "table", "report")


@dataclass(frozen=True)
class ManyExamplesConfig:
    """Measure the CPU time of all steps but the model, and the size of the report, for several numbers of examples.

    Args:
        examples: Comma-separated numbers of examples.
    """

    examples: str = "50000,200000"

    def __post_init__(self) -> None:
        if not all(part.isdecimal() and int(part) > 0 for part in self.examples.split(",")):
            raise InputError(f"--examples {self.examples}: expected comma-separated whole numbers of at least 1")


def measure(config: ManyExamplesConfig) -> None:
    """Print a row for each number of examples."""
    print("| examples | " + " | ".join(STEPS) + " | page | examples beside it |")
    print("|---:" * (len(STEPS) + 3) + "|")
    for count in map(int, config.examples.split(",")):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            write_results(ReportBenchmarkConfig(count, draws=1), folder)
            seconds = [f"{seconds_of(step):.1f} s" for step in steps(folder, count)]
            beside = sum(path.stat().st_size for path in folder.glob("report.examples-*/*.js"))
            sizes = [(folder / "report.html").stat().st_size, beside]
        print(f"| {count:,} | " + " | ".join(seconds + [f"{size / 1e6:.1f} MB" for size in sizes]) + " |", flush=True)


def steps(folder: Path, count: int) -> list[Callable[[], object]]:
    """What is measured, in the order of `STEPS`."""
    draw = random.Random(0)
    contexts = [tuple(draw.choices(range(VOCABULARY), k=TOKENS)) for _ in range(count)]
    paths = (str(folder / "results"),)
    return [
        lambda: read_prompts(folder / "results/inputs_direct_1.json", "direct"),
        lambda: plan(build_tree((*context, n) for context in contexts for n in range(LABEL_WORDS)), Limits(2048)),
        lambda: results_table(read_results(paths), TableConfig(paths)),
        lambda: write_report(ReportConfig(paths, str(folder / "report.html"))),
    ]


def seconds_of(step: Callable[[], object]) -> float:
    """CPU seconds of a step, whose output is not printed."""
    with contextlib.redirect_stdout(io.StringIO()):
        began = time.process_time()
        step()
        return time.process_time() - began


if __name__ == "__main__":
    run(ManyExamplesConfig, measure)
