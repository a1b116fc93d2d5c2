"""Scores several draws of demonstrations in one command, to measure the sensitivity to the draw."""

import contextlib
import io
import json
import sys
from collections.abc import Collection
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from evaluate.calibration import CORRECTIONS, OF_CHANNEL, CalibrateConfig, calibrate
from evaluate.formats import check_format
from evaluate.generation import GenerateConfig, generate
from evaluate.journal import Journal
from evaluate.predictions import difference, read_meta
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
from preprocess.files import PathFlag, check_writable, meta_path, scratch_folder, write_pair
from preprocess.pages import dataset_of_size
from preprocess.schema import PROMPT_META
from preprocess.tables import LabelOptions, PreprocessConfig, preprocess_config

SOURCES = {"calibrated": "direct", "channel_calibrated": "channel"}  # what each calibrates
METHODS = ("direct", "calibrated", "channel", "channel_calibrated", "generate")
DATASETS = ("ag_news", "doclaynet")  # others have a YAML file
MOST_ORDERS = 1000
COLUMNS = "dataset,num_examples,k,method,draws,accuracy,interval,worst,disagreement,macro_f1"


@dataclass(frozen=True)
class SweepConfig:
    """Score several draws of demonstrations, and print mean, standard deviation and worst accuracy of each method.

    Finished results are not recomputed, so seeds, k, methods and calibrations can be added later.

    Args:
        dataset: ag_news, doclaynet, or a YAML file for run_preprocess.py.
        methods: Comma-separated list of direct, calibrated, channel, channel_calibrated, generate (greedy).
        calibrations: Comma-separated list of contextual, domain, pmi, batch, prior (uniform), tokens, characters (the
            last two: log-probabilities by length). channel_calibrated needs batch or prior.
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
    draws = draws_of(config, folder)
    outputs: list[str] = []
    with contextlib.redirect_stdout(sys.stderr):  # the table alone is the output
        for draw in draws:  # what is wrong with the data of a later draw is found before an earlier one is scored
            write_draw(config, launch, draw)
        with Session() as session:
            for draw in draws:
                outputs += score_draw(config, session, launch, draw)
    if launch.rank == 0:
        columns = COLUMNS + (",orders,order_sd,order_worst" if config.orders else "")
        print(results_table(read_results(outputs), TableConfig(format=config.format, columns=columns)))


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


class Draw(NamedTuple):
    """A draw of demonstrations, or another order of one, with its files.

    Args:
        folder: The folder of its files.
        dataset: As in SweepConfig.
        order: 0 for the order of the draw, else the number of its permutation.
    """

    folder: Path
    dataset: str
    k: int
    seed: int
    order: int = 0

    @property
    def name(self) -> str:
        """Its part of the names of its files."""
        order = f"_order{self.order}" if self.order else ""
        return f"{Path(self.dataset).stem}_k{self.k}_seed{self.seed}{order}"

    def inputs(self, kind: str) -> Path:
        """Its prompt file for direct or channel."""
        return self.folder / f"inputs_{kind}_{self.name}.json"

    def outputs(self, scoring: Scoring) -> Path:
        """Its predictions file."""
        return self.folder / f"outputs_{scoring.name}_{self.name}.json"


def draws_of(config: SweepConfig, folder: Path) -> list[Draw]:
    """The draws of a sweep; with k = 0 there is only one."""
    seeds, draws = numbers("seed", config.seed), []
    for k in numbers("k", config.k):
        draws += [Draw(folder, config.dataset, k, seed) for seed in (seeds if k else seeds[:1])]
        others = range(1, (config.orders if k else 0) + 1)
        draws += [Draw(folder, config.dataset, k, seeds[0], order) for order in others]
    return draws


def scorings_of(config: SweepConfig) -> list[Scoring]:
    """What a sweep's table shows."""
    return list_scorings(names(config.methods), names(config.calibrations))


def list_scorings(methods: Collection[str], calibrations: Collection[str]) -> list[Scoring]:
    """Methods and corrections in the order in which they run."""
    corrections = [name for name in CORRECTIONS if name in calibrations]
    of = {"calibrated": corrections, "channel_calibrated": [name for name in corrections if name in OF_CHANNEL]}
    return [Scoring(method, name) for method in METHODS if method in methods for name in of.get(method, [""])]


def write_draw(config: SweepConfig, launch: Launch, draw: Draw) -> None:
    """Write the prompt files of a draw."""
    for kind in dict.fromkeys(scoring.prompts for scoring in scorings_of(config)):
        launch.from_rank_0(str(draw.inputs(kind)), lambda kind=kind: write_prompts(config, draw, kind))


def write_prompts(config: SweepConfig, draw: Draw, kind: str) -> None:
    """Write a prompt file.

    Raises:
        InputError: Its predictions answer other prompts, and --overwrite is not given.
    """
    path = draw.inputs(kind)
    check_writable(path, "--output_dir")
    with scratch_folder(path) as folder, contextlib.redirect_stdout(io.StringIO()) as said:
        new = folder / path.name
        preprocess(config, PromptOptions(str(new), draw.k, draw.seed, draw.order, config.examples), kind)
        content, meta = new.read_bytes(), meta_path(new).read_bytes()
    if path.is_file() and path.read_bytes() != content:
        scorings = [scoring for scoring in list_scorings(METHODS, CORRECTIONS) if scoring.prompts == kind]
        outputs = [draw.outputs(scoring) for scoring in scorings]
        answers = [output for output in outputs if output.exists() or Journal(output).exists()]
        if answers and not config.run.overwrite:
            raise InputError(
                f"{path}: {what_differs(path, json.loads(meta))}, and {answers[0].name} answers its prompts;"
                " --overwrite replaces both, another --output_dir keeps them"
            )
        for output in answers:  # of methods that this sweep does not run, too
            journal = Journal(output)
            journal.lock()  # not while another run writes it
            output.unlink(missing_ok=True)
            meta_path(output).unlink(missing_ok=True)
            journal.remove()
    write_pair(path, content, meta)
    print(said.getvalue().replace(str(new), str(path)), end="")


def what_differs(path: Path, meta: dict[str, Any]) -> str:
    """How the prompts of a file differ from those of a new meta file, in words."""
    old = read_meta(path, "--output_dir", PROMPT_META)
    if old is None:
        return "has no meta file, and other prompts"
    before, now = difference(old, meta)
    key = next(iter(now), None)
    return "was edited" if key is None else f"has {key} {before[key]!r}, now {now[key]!r}"


def preprocess(config: SweepConfig, options: PromptOptions, method: str) -> None:
    """Run the preprocessing of the data set, like its script."""
    if config.dataset == "ag_news":
        ag_news.preprocess(options, method, config.labels.first_label)
    elif config.dataset == "doclaynet":
        doclaynet.preprocess(DocLayNetConfig(config.blocks, options), method)
    else:
        preprocess_config(PreprocessConfig(config.dataset, method, config.labels, options))


def score_draw(config: SweepConfig, session: Session, launch: Launch, draw: Draw) -> list[str]:
    """Score a draw, whose prompts are written, by all methods, and return the predictions files."""
    requested = scorings_of(config)
    # What is corrected comes first, asked for or not.
    for scoring in dict.fromkeys(each for one in requested for each in (Scoring(one.source), one)):
        score_method(config, session, draw, scoring)
        # Wait until rank 0 has written the file, which the next method may read.
        launch.from_rank_0(str(draw.outputs(scoring)), lambda: None)
    return [str(draw.outputs(scoring)) for scoring in requested]


def score_method(config: SweepConfig, session: Session, draw: Draw, scoring: Scoring) -> None:
    """Run one method on the prompts of a draw, like its script."""
    path, run = str(draw.inputs(scoring.prompts)), replace(config.run, output_path=str(draw.outputs(scoring)))
    if scoring.correction:
        source = str(draw.outputs(Scoring(scoring.source)))
        calibrate(CalibrateConfig(path, source, run=run, **CORRECTIONS[scoring.correction]), session)
    elif scoring.method == "generate":
        generate(GenerateConfig(path, dtype=config.dtype, temperature=0.0, run=run), session)
    else:
        evaluate(ScoreConfig(path, config.dtype, config.score_eos, run), scoring.method, session)
