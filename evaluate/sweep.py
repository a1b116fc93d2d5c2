"""Several draws of demonstrations in one command: how much a result owes to the examples that the prompt shows."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from evaluate.calibration import CalibrateConfig, calibrate
from evaluate.formats import check_format
from evaluate.generation import GenerateConfig, generate
from evaluate.reading import read_results
from evaluate.results_folder import checkpoint_name
from evaluate.run import RunOptions
from evaluate.scoring import ScoreConfig, evaluate
from evaluate.table import TableConfig, results_table
from llama.checkpoint import open_checkpoint
from llama.parallel import Launch, finish, start, world_size
from preprocess import ag_news, doclaynet
from preprocess.build import ExampleOptions, PromptOptions
from preprocess.doclaynet import BlockOptions, DocLayNetConfig
from preprocess.errors import InputError
from preprocess.files import PathFlag
from preprocess.pages import dataset_of_size
from preprocess.tables import LabelOptions, PreprocessConfig, preprocess_config

METHODS = ("direct", "calibrated", "channel", "generate")
DATASETS = ("ag_news", "doclaynet")  # others by a YAML file
MOST_ORDERS = 1000
COLUMNS = "dataset,num_examples,k,method,draws,accuracy,interval,worst,disagreement,macro_f1"


@dataclass(frozen=True)
class SweepConfig:
    """Score several draws of demonstrations, and print mean, standard deviation and worst of each method.

    What is finished already is not computed again: more seeds later cost only themselves.

    Args:
        dataset: ag_news, doclaynet, or a YAML file as run_preprocess.py takes it.
        methods: Of direct, calibrated, channel, generate (greedy), with commas.
        k: Demonstrations of each class, one or several numbers with commas.
        seed: Of the draws, one or several numbers with commas; with k = 0 there is nothing to draw, and the first alone
            is scored.
        orders: So many other orders of the demonstrations of the first draw (Lu et al. 2022), to tell how much a result
            owes to their order.
        output_dir: Folder for prompts and predictions; default results/CHECKPOINT/sweep.
        dtype: auto, float32, bfloat16 or float16; auto is the checkpoint's own on CUDA, float32 on a CPU.
        score_eos: Include the end of sequence after the completion, as the original system does.
        format: Of the table: markdown, latex (needs the package booktabs) or csv.
        examples: Where examples come from.
        labels: How labels are read, of AG News and YAML files.
        blocks: How blocks are read, of doclaynet.
        run: The options that all methods share.
    """

    dataset: str = "ag_news"
    methods: str = "direct,calibrated,channel,generate"
    k: str = "1"
    seed: str = "1,2,3,4,5"
    orders: int = 0
    output_dir: PathFlag = ""
    dtype: str = "auto"
    score_eos: bool = True
    format: str = "markdown"
    examples: ExampleOptions = field(default_factory=ExampleOptions)
    labels: LabelOptions = field(default_factory=LabelOptions)
    blocks: BlockOptions = field(default_factory=BlockOptions)
    run: RunOptions = field(default_factory=RunOptions)

    def __post_init__(self) -> None:
        if self.dataset not in DATASETS and not Path(self.dataset).is_file():
            raise InputError(f"--dataset {self.dataset}: expected {', '.join(DATASETS)} or a YAML file")
        check_format(self.format)
        if self.run.output_path:
            raise InputError("--output_path: a sweep names its files itself; --output_dir is their folder")
        for method in names(self.methods):
            if method not in METHODS:
                raise InputError(f"--methods {method!r}: expected {', '.join(METHODS)}, with commas")
        if not 0 <= self.orders <= MOST_ORDERS:
            raise InputError(f"--orders {self.orders}: expected 0 to {MOST_ORDERS}")
        for flag in ("k", "seed"):
            numbers(flag, getattr(self, flag))
        is_layout = self.dataset == "doclaynet"
        refused = self.labels if is_layout else self.blocks
        for flag in (flag.name for flag in fields(refused) if getattr(refused, flag.name) != flag.default):
            what = " has no classes as numbers" if is_layout else f": only doclaynet has --{flag}"
            raise InputError(f"--{flag}: --dataset {self.dataset}{what}")
        dataset_of_size(self.blocks.dataset_size, self.examples.dataset_path)


def names(text: str) -> list[str]:
    return list(dict.fromkeys(part.strip() for part in text.split(",")))


def numbers(flag: str, text: str) -> list[int]:
    """Raises InputError where `text` is no list of whole numbers from 0."""
    found = names(text)
    if not all(part.isdecimal() and int(part[:20]) < 2**63 for part in found):
        raise InputError(f"--{flag} {text}: expected whole numbers from 0, with commas")
    return [int(part) for part in found]


def sweep(config: SweepConfig) -> None:
    """Make the prompts of each draw, score them by each method, print the table."""
    options = config.run
    checkpoint = open_checkpoint(
        options.ckpt_dir, options.tokenizer_path or None, options.max_seq_len, options.revision or None
    )
    launch = start(checkpoint.model_parallel_size(options.model_parallel_size, world_size()))
    folder = Path(config.output_dir or f"results/{checkpoint_name(options.ckpt_dir)}/sweep")
    outputs: list[str] = []
    for k, seed, order in draws_of(config):
        outputs += score_draw(config, launch, folder, k, seed, order)
    if launch.rank == 0:
        columns = COLUMNS + (",orders,order_sd,order_worst" if config.orders else "")
        print(results_table(read_results(outputs), TableConfig(format=config.format, columns=columns)))
    finish()


def draws_of(config: SweepConfig) -> Iterator[tuple[int, int, int]]:
    """k, seed and order of each; without demonstrations there is nothing to draw, and one is all."""
    seeds = numbers("seed", config.seed)
    for k in numbers("k", config.k):
        yield from ((k, seed, 0) for seed in (seeds if k else seeds[:1]))
        yield from ((k, seeds[0], order) for order in range(1, (config.orders if k else 0) + 1))


def score_draw(config: SweepConfig, launch: Launch, folder: Path, k: int, seed: int, order: int = 0) -> list[str]:
    """One draw of demonstrations by all methods; the predictions files."""
    name = f"{Path(config.dataset).stem}_k{k}_seed{seed}" + (f"_order{order}" if order else "")
    inputs = {kind: str(folder / f"inputs_{kind}_{name}.json") for kind in ("direct", "channel")}
    outputs = {method: str(folder / f"outputs_{method}_{name}.json") for method in METHODS}
    asked = names(config.methods)
    needed = [method for method in METHODS if method in asked or (method == "direct" and "calibrated" in asked)]
    for kind in dict.fromkeys(map(prompts_of, needed)):
        options = PromptOptions(inputs[kind], k, seed, order, config.examples)
        launch.from_rank_0(inputs[kind], lambda kind=kind, options=options: write_prompts(config, options, kind))
    for method in needed:
        score_method(config, method, inputs, outputs)
        # Rank 0 alone has written; the next method may read it.
        launch.from_rank_0(outputs[method], lambda: None)
    return [outputs[method] for method in METHODS if method in asked]


def prompts_of(method: str) -> str:
    """The kind of prompts that a method reads."""
    return "channel" if method == "channel" else "direct"


def score_method(config: SweepConfig, method: str, inputs: dict[str, str], outputs: dict[str, str]) -> None:
    """What the script of that method does."""
    run, path = replace(config.run, output_path=outputs[method]), inputs[prompts_of(method)]
    if method == "calibrated":
        calibrate(CalibrateConfig(path, outputs["direct"], run=run))
    elif method == "generate":
        generate(GenerateConfig(path, dtype=config.dtype, temperature=0.0, run=run))
    else:
        evaluate(ScoreConfig(path, config.dtype, config.score_eos, run), method)


def write_prompts(config: SweepConfig, options: PromptOptions, method: str) -> None:
    if config.dataset == "ag_news":
        ag_news.preprocess(options, method, config.labels.first_label)
    elif config.dataset == "doclaynet":
        doclaynet.preprocess(DocLayNetConfig(config.blocks, options), method)
    else:
        preprocess_config(PreprocessConfig(config.dataset, method, config.labels, options))
