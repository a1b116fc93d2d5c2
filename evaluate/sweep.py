"""Scores several draws of demonstrations in one command, to measure the sensitivity to the draw."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import NamedTuple

from evaluate.calibration import CORRECTIONS, OF_CHANNEL, CalibrateConfig, calibrate
from evaluate.formats import check_format
from evaluate.generation import GenerateConfig, generate
from evaluate.reading import read_results
from evaluate.results_folder import checkpoint_name
from evaluate.run import RunOptions
from evaluate.scoring import ScoreConfig, evaluate
from evaluate.session import Session
from evaluate.table import TableConfig, results_table
from llama.checkpoint import open_checkpoint
from llama.parallel import Launch, start, world_size
from preprocess import ag_news, doclaynet
from preprocess.build import ExampleOptions, PromptOptions
from preprocess.doclaynet import BlockOptions, DocLayNetConfig
from preprocess.errors import InputError
from preprocess.files import PathFlag
from preprocess.pages import dataset_of_size
from preprocess.tables import LabelOptions, PreprocessConfig, preprocess_config

SOURCES = {"calibrated": "direct", "channel_calibrated": "channel"}  # what each calibrates
METHODS = ("direct", "calibrated", "channel", "channel_calibrated", "generate")
DATASETS = ("ag_news", "doclaynet")  # others have a YAML file
MOST_ORDERS = 1000
COLUMNS = "dataset,num_examples,k,method,draws,accuracy,interval,worst,disagreement,macro_f1"


@dataclass(frozen=True)
class SweepConfig:
    """Score several draws of demonstrations, and print mean, standard deviation and worst accuracy of each method.

    Finished results are not recomputed, so seeds can be added later.

    Args:
        dataset: ag_news, doclaynet, or a YAML file for run_preprocess.py.
        methods: Comma-separated list of direct, calibrated, channel, channel_calibrated, generate (greedy).
        calibrations: Comma-separated list of contextual, domain, pmi, batch, prior (uniform), tokens, characters (the
            last two: log-probabilities by length). channel_calibrated uses batch and prior.
        k: Demonstrations of each class; one or more numbers, comma-separated.
        seed: Seeds of the draws; one or more numbers, comma-separated. With k = 0 nothing is drawn, and only the first
            is scored.
        orders: Number of other orders of the first draw's demonstrations, to measure the sensitivity to their order (Lu
            et al. 2022).
        output_dir: Folder for prompts and predictions; default results/CHECKPOINT/sweep.
        dtype: auto, float32, bfloat16, float16 or int8; auto is the checkpoint's own dtype on CUDA, float32 on a CPU.
            int8: the matrices of the blocks in 8 bits, all else in bfloat16 (requirements-int8.txt).
        score_eos: Include the end of sequence after the completion, as the original system does.
        format: Format of the table: markdown, latex (needs the package booktabs) or csv.
        examples: Where the examples come from.
        labels: How labels are read, for AG News and YAML files.
        blocks: How blocks are read, for doclaynet.
        run: The options that all methods share.
    """

    dataset: str = "ag_news"
    methods: str = "direct,calibrated,channel,generate"
    calibrations: str = "contextual"
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
            raise InputError("--output_path: not supported by a sweep; use --output_dir for its folder")
        for flag, allowed in (("methods", METHODS), ("calibrations", tuple(CORRECTIONS))):
            for name in names(getattr(self, flag)):
                if name not in allowed:
                    raise InputError(f"--{flag} {name!r}: expected a comma-separated list of {', '.join(allowed)}")
        if self.calibrations != "contextual" and not {*SOURCES} & {*names(self.methods)}:
            raise InputError(f"--calibrations {self.calibrations}: only with {' or '.join(SOURCES)} in --methods")
        if "channel_calibrated" in names(self.methods) and not {*names(self.calibrations)} & {*OF_CHANNEL}:
            raise InputError(
                f"--calibrations {self.calibrations}: channel_calibrated needs {' or '.join(OF_CHANNEL)} among them"
            )
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
    """The distinct parts of a comma-separated list."""
    return list(dict.fromkeys(part.strip() for part in text.split(",")))


def numbers(flag: str, text: str) -> list[int]:
    """The whole numbers in a comma-separated list; raises InputError if it is invalid."""
    parts = names(text)
    if not all(part.isdecimal() and int(part[:20]) < 2**63 for part in parts):
        raise InputError(f"--{flag} {text}: expected comma-separated whole numbers, 0 or more")
    return [int(part) for part in parts]


def sweep(config: SweepConfig) -> None:
    """Write the prompts of each draw, score them by each method, and print the table."""
    options = config.run
    checkpoint = open_checkpoint(
        options.ckpt_dir, options.tokenizer_path or None, options.max_seq_len, options.revision or None
    )
    launch = start(checkpoint.model_parallel_size(options.model_parallel_size, world_size()))
    folder = Path(config.output_dir or f"results/{checkpoint_name(options.ckpt_dir)}/sweep")
    outputs: list[str] = []
    with Session() as session:
        for k, seed, order in draws_of(config):
            outputs += score_draw(config, session, launch, folder, k, seed, order)
        if launch.rank == 0:
            columns = COLUMNS + (",orders,order_sd,order_worst" if config.orders else "")
            print(results_table(read_results(outputs), TableConfig(format=config.format, columns=columns)))


def draws_of(config: SweepConfig) -> Iterator[tuple[int, int, int]]:
    """k, seed and order of each draw; with k = 0 there is only one."""
    seeds = numbers("seed", config.seed)
    for k in numbers("k", config.k):
        yield from ((k, seed, 0) for seed in (seeds if k else seeds[:1]))
        yield from ((k, seeds[0], order) for order in range(1, (config.orders if k else 0) + 1))


class Scoring(NamedTuple):
    """A method, or a correction of one, on the prompts of a draw.

    Args:
        method: One of METHODS.
        correction: One of CORRECTIONS for a calibration, else empty.
    """

    method: str
    correction: str = ""

    @property
    def source(self) -> str:
        """The method whose predictions it corrects; itself if it corrects none."""
        return SOURCES.get(self.method, self.method)

    @property
    def prompts(self) -> str:
        """The kind of prompt file that it reads."""
        return "channel" if self.source == "channel" else "direct"

    @property
    def name(self) -> str:
        """Its part of the name of a predictions file."""
        if self.correction in ("", "contextual"):
            return self.method
        return f"{self.source}_{self.correction}"


def scorings_of(config: SweepConfig) -> list[Scoring]:
    """What a sweep's table shows, in its order."""
    corrections = [name for name in CORRECTIONS if name in names(config.calibrations)]
    of = {"calibrated": corrections, "channel_calibrated": [name for name in corrections if name in OF_CHANNEL]}
    requested = [method for method in METHODS if method in names(config.methods)]
    return [Scoring(method, correction) for method in requested for correction in of.get(method, [""])]


def score_draw(
    config: SweepConfig, session: Session, launch: Launch, folder: Path, k: int, seed: int, order: int = 0
) -> list[str]:
    """Score one draw of demonstrations by all methods, and return the predictions files."""
    name = f"{Path(config.dataset).stem}_k{k}_seed{seed}" + (f"_order{order}" if order else "")
    inputs = {kind: str(folder / f"inputs_{kind}_{name}.json") for kind in ("direct", "channel")}
    requested = scorings_of(config)
    # What is corrected comes first, asked for or not.
    scored = list(dict.fromkeys(one for scoring in requested for one in (Scoring(scoring.source), scoring)))
    outputs = {scoring: str(folder / f"outputs_{scoring.name}_{name}.json") for scoring in scored}
    for kind in dict.fromkeys(scoring.prompts for scoring in scored):
        options = PromptOptions(inputs[kind], k, seed, order, config.examples)
        launch.from_rank_0(inputs[kind], lambda kind=kind, options=options: write_prompts(config, options, kind))
    for scoring in scored:
        run = replace(config.run, output_path=outputs[scoring])
        score_method(config, session, scoring, inputs[scoring.prompts], outputs[Scoring(scoring.source)], run)
        # Wait until rank 0 has written the file, which the next method may read.
        launch.from_rank_0(outputs[scoring], lambda: None)
    return [outputs[scoring] for scoring in requested]


def score_method(
    config: SweepConfig, session: Session, scoring: Scoring, path: str, source: str, run: RunOptions
) -> None:
    """Run one method on a prompt file, like its script; `source` are the predictions that a calibration corrects."""
    if scoring.correction:
        calibrate(CalibrateConfig(path, source, run=run, **CORRECTIONS[scoring.correction]), session)
    elif scoring.method == "generate":
        generate(GenerateConfig(path, dtype=config.dtype, temperature=0.0, run=run), session)
    else:
        evaluate(ScoreConfig(path, config.dtype, config.score_eos, run), scoring.method, session)


def write_prompts(config: SweepConfig, options: PromptOptions, method: str) -> None:
    """Write the prompt file of one draw."""
    if config.dataset == "ag_news":
        ag_news.preprocess(options, method, config.labels.first_label)
    elif config.dataset == "doclaynet":
        doclaynet.preprocess(DocLayNetConfig(config.blocks, options), method)
    else:
        preprocess_config(PreprocessConfig(config.dataset, method, config.labels, options))
