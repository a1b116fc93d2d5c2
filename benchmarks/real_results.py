"""Results of a pretrained model: every method, three draws of demonstrations, three data sets, and LoRA.

python benchmarks/real_results.py --ckpt_dir checkpoints/smollm2-135m --news_path data/ag_news \
    --doclaynet_path data/doclaynet --docbank_path data/docbank --output_dir runs/real_results

It resumes after an interruption. The most informative steps come first; tables.md is updated after each step. All steps
share one process and one model in memory, except LoRA, which is a separate command.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from options import run

# isort: split

import contextlib
import io
import itertools
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from docbank import lora_command, run_command, split_pages

from evaluate.calibration import CORRECTIONS
from evaluate.comparison import CompareConfig, print_comparison
from evaluate.reading import read_checked
from evaluate.result import Result
from evaluate.run import RunOptions
from evaluate.session import Session
from evaluate.sweep import Draw, SweepConfig, numbers, score_draw, write_draw
from evaluate.table import TableConfig, print_table
from llama.checkpoint import open_checkpoint
from llama.parallel import Launch, start
from preprocess.build import ExampleOptions
from preprocess.errors import InputError
from preprocess.files import PathFlag, write_bytes

OTHER = {"float32": "bfloat16", "bfloat16": "float32"}
DEMONSTRATIONS = "samples/doclaynet"  # it has all eleven classes, which the real pages lack
LORA = tuple(f"outputs_{system}_docbank.json" for system in ("llama_lora", "tfidf", "majority"))
MEANS = "num_examples,k,method,draws,accuracy,interval,worst,disagreement,macro_f1,unanswered,time"
COLUMNS = "dataset,num_examples,k,seed,method,accuracy,interval,macro_f1,nll,ece,unanswered,time"
# Compared in pairs: the main methods without demonstrations, direct and its batch calibration with one draw, and LoRA.
COMPARED = re.compile(
    r"outputs_((direct|calibrated|direct_batch|channel|channel_batch|generate)_(ag_news|doclaynet)_k0_\w+"
    r"|(direct|direct_batch)_(ag_news|doclaynet)_k1_seed1|llama_lora_docbank|tfidf_docbank)\.json$"
)
# The methods and calibrations of a sweep for each step of the plan.
STEPS = {
    "calibrated": ("calibrated", ",".join(CORRECTIONS)),
    "channel": ("channel,channel_calibrated", "batch"),
    "generate": ("generate", "contextual"),
}


@dataclass(frozen=True)
class RealConfig:
    """Score three data sets by every method with one checkpoint, and write tables of the results.

    Args:
        ckpt_dir: The checkpoint.
        news_path: Folder of AG News: train.csv and test.csv.
        doclaynet_path: Folder of DocLayNet pages.
        docbank_path: Folder of DocBank's 100 samples; the 2nd, 4th, ... 40th are classified.
        output_dir: Folder for prompts, predictions and tables.
        dtype: float32 or bfloat16; the other one is run once for comparison.
        k: Demonstrations of each class on AG News, comma-separated; on pages only 0 and 1 are used.
        seed: Seeds of the draws, comma-separated. Without demonstrations only the first is used.
        limit: Keep only the first N rows of AG News; 0 keeps all.
        block_limit: Keep only the first N blocks of each set of pages; 0 keeps all.
        all_rows: Also score direct and its calibrations on all rows of AG News.
        lora_steps: Steps of LoRA on DocBank's other pages; 0 skips it.
        lora_learning_rate: Learning rate of LoRA.
    """

    ckpt_dir: PathFlag = "checkpoints/smollm2-135m"
    news_path: PathFlag = "data/ag_news"
    doclaynet_path: PathFlag = "data/doclaynet"
    docbank_path: PathFlag = "data/docbank"
    output_dir: PathFlag = "runs/real_results"
    dtype: str = "bfloat16"
    k: str = "0,1,4"
    seed: str = "1,2,3"
    limit: int = 1000
    block_limit: int = 0
    all_rows: bool = False
    lora_steps: int = 400
    lora_learning_rate: float = 5e-4

    def __post_init__(self) -> None:
        if self.dtype not in OTHER:
            raise InputError(f"--dtype {self.dtype}: expected {', '.join(OTHER)}")
        for flag in ("limit", "block_limit", "lora_steps"):
            if getattr(self, flag) < 0:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected 0 or more")
        for flag in ("k", "seed"):
            numbers(flag, getattr(self, flag))


class Task(NamedTuple):
    """A data set with its draws of demonstrations.

    Args:
        name: Name of its folder.
        sweep: How its prompts are written and scored.
        k: Numbers of demonstrations of each class.
        seeds: Seeds of the draws.
    """

    name: str
    sweep: SweepConfig
    k: tuple[int, ...]
    seeds: tuple[int, ...]

    def draws(self) -> Iterator[tuple[int, int]]:
        """k and seed of each draw; without demonstrations there is only one."""
        return ((k, seed) for k in self.k for seed in (self.seeds if k else self.seeds[:1]))


def measure(config: RealConfig) -> None:
    """Run every unfinished step of the plan, and write the tables after each."""
    folder = Path(config.output_dir)
    open_checkpoint(config.ckpt_dir)
    for flag in ("news_path", "doclaynet_path"):
        if not Path(getattr(config, flag)).exists():
            raise InputError(f"--{flag} {getattr(config, flag)}: no such folder")
    split_pages(Path(config.docbank_path), folder / "pages")
    launch, began = start(), time.monotonic()
    with Session() as session:
        for title, step in plan(config, folder, session, launch):
            print(f"== {title} (after {time.monotonic() - began:.0f} s)", flush=True)
            step()
            write_bytes(folder / "tables.md", tables(config, folder).encode())
        print(f"written to {folder / 'tables.md'}")


def plan(
    config: RealConfig, folder: Path, session: Session, launch: Launch
) -> Iterator[tuple[str, Callable[[], None]]]:
    """The steps in order: a title and a function."""
    news, layout, docbank = tasks(config, folder)

    def step(task: Task, method: str) -> tuple[str, Callable[[], None]]:
        shown = ", ".join(map(str, task.k))
        return f"{task.name}, {method}, k = {shown}", lambda: score(task, folder, session, launch, method)

    news_by_k = [news._replace(k=(k,)) for k in news.k]
    yield from (step(task, "calibrated") for task in news_by_k)
    yield from (step(task, "generate") for task in news_by_k)
    yield from (step(task, method) for task in (docbank, layout) for method in ("calibrated", "generate"))
    yield from (step(task, "channel") for task in (*news_by_k, layout) if max(task.k) <= 1)
    if config.lora_steps:
        options = (str(folder / "pages"), str(folder / "lora"), config.lora_steps, config.lora_learning_rate)
        yield "docbank, LoRA", lambda: run_command(lora_command(config.ckpt_dir, *options))
    yield step(docbank, "channel")  # eleven label words, long texts
    yield from (step(task, "channel") for task in news_by_k if max(task.k) > 1)
    if config.all_rows:
        yield step(
            news._replace(name="ag_news_all", sweep=replace(news.sweep, examples=ExampleOptions(config.news_path))),
            "calibrated",
        )
    other = replace(news.sweep, dtype=OTHER[config.dtype])  # last, because it is another model in memory
    few = tuple(k for k in news.k if k <= 1)
    yield step(Task(f"ag_news_{OTHER[config.dtype]}", other, few, news.seeds[:1]), "calibrated")


def tasks(config: RealConfig, folder: Path) -> tuple[Task, Task, Task]:
    """The tasks of AG News, DocLayNet and DocBank."""
    base = SweepConfig(dtype=config.dtype, run=RunOptions(ckpt_dir=config.ckpt_dir))
    news = replace(base, dataset="ag_news", examples=ExampleOptions(config.news_path, limit=config.limit))

    def pages(path: str) -> SweepConfig:
        examples = ExampleOptions(path, demonstrations=DEMONSTRATIONS, limit=config.block_limit)
        return replace(base, dataset="doclaynet", examples=examples)

    layout, docbank = pages(config.doclaynet_path), pages(str(folder / "pages/test"))
    k, seeds = tuple(numbers("k", config.k)), tuple(numbers("seed", config.seed))
    few = tuple(number for number in k if number <= 1)
    return (
        Task("ag_news", news, k, seeds),
        Task("doclaynet", layout, few, seeds),
        Task("docbank", docbank, few, seeds),
    )


def score(task: Task, folder: Path, session: Session, launch: Launch, step: str) -> None:
    """Score all draws of a task by the methods of a step; `calibrated` is direct with all its calibrations."""
    methods, calibrations = STEPS[step]
    sweep = replace(task.sweep, methods=methods, calibrations=calibrations)
    for k, seed in task.draws():
        draw = Draw(folder / task.name, sweep.dataset, k, seed)
        write_draw(sweep, launch, draw)
        score_draw(sweep, session, launch, draw)


def tables(config: RealConfig, folder: Path) -> str:
    """The tables of all finished results, as Markdown."""
    results = {path.name: outputs(path) for path in sorted(folder.iterdir()) if path.name not in ("pages", "lora")}
    results = {name: paths for name, paths in results.items() if paths}
    trained = [folder / "lora" / name for name in LORA]
    if "docbank" in results and not config.block_limit:  # otherwise the blocks differ
        results["docbank"] += tuple(str(path) for path in trained if path.exists())
    parts = [f"# {config.ckpt_dir}, {config.dtype}"]
    for name, paths in results.items():
        parts += [f"## {name}: means over the draws", printed(print_table, TableConfig(paths, columns=MEANS))]
    for name, paths in results.items():
        parts += [f"## {name}: all results", printed(print_table, TableConfig(paths, columns=COLUMNS, draws=True))]
    for name, paths in results.items():
        compared = tuple(path for path in paths if COMPARED.search(path))
        if len(compared) > 1:
            parts += [f"## {name}: pairs", printed(print_comparison, CompareConfig(compared))]
    parts += agreement(folder, OTHER[config.dtype])
    return "\n\n".join(parts) + "\n"


def outputs(folder: Path) -> tuple[str, ...]:
    """The finished predictions files in a folder."""
    paths = sorted(folder.glob("outputs_*.json"))
    return tuple(str(path) for path in paths if not path.name.endswith(".meta.json"))


def printed(function: Callable[[Any], None], config: Any) -> str:
    """The output of a command of the product."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        function(config)
    return text.getvalue().strip()


def agreement(folder: Path, other: str) -> list[str]:
    """A table of how many predictions are the same with the other dtype."""
    rows = []
    for path in outputs(folder / f"ag_news_{other}"):
        pair = [Result(read_checked(place)) for place in (folder / "ag_news" / Path(path).name, Path(path))]
        same = sum(itertools.starmap(str.__eq__, zip(*(result.predicted for result in pair), strict=True)))
        first, second = (result.accuracy for result in pair)
        rows.append(f"| {pair[0].k} | {pair[0].method} | {first:.4f} | {second:.4f} | {same} of {len(pair[0].rows)} |")
    if not rows:
        return []
    head = f"| k | method | accuracy | in {other} | same predictions |\n|--:|---|---:|---:|---:|\n"
    return [f"## ag_news: comparison with {other}, one draw", head + "\n".join(rows)]


if __name__ == "__main__":
    run(RealConfig, measure)
