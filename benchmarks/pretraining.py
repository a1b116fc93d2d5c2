"""Measures the effect of pre-training: a small random LayoutLMv3 is pre-trained, then fine-tuned on FUNSD.

python benchmarks/pretraining.py --funsd data/funsd --docbank data/docbank --output_dir runs/pretraining

It is pre-trained on FUNSD's train forms and DocBank's train pages with an image; their labels are not read. Every step
is a command of the project, printed before it runs. The same command resumes an interrupted benchmark.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from options import run

# isort: split

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import mean, stdev

from docbank import run_command, split_pages

from preprocess.errors import InputError
from preprocess.files import PathFlag, read_json, write_bytes

FORMS = 149  # of FUNSD's train split
EPOCHS = 5  # over all of them; with fewer forms there are more epochs, so that all runs have equally many steps
PARTS = ("help", "few", "ablation", "boxes")
NOTHING = "from nothing"
FIGURES = {"accuracy": "words", "entity_f1": "entity F1"}


@dataclass(frozen=True)
class Variant:
    """One way to pre-train.

    Args:
        name: Name in tables, and of its folder.
        flags: Flags of run_pretrain_layoutlmv3.py.
        boxes: Box of each word, also in fine-tuning: segment or word.
    """

    name: str
    flags: tuple[str, ...] = ()
    boxes: str = "segment"


FULL = Variant("mlm-mim-wpa", ("--objectives", "mlm,mim,wpa"))
ABLATION = (  # the rows of table 3 of Huang et al. 2022
    Variant("mlm-without-image", ("--objectives", "mlm", "--visual", "False")),
    Variant("mlm", ("--objectives", "mlm")),
    Variant("mlm-mim", ("--objectives", "mlm,mim")),
    FULL,
)
WORD_BOXES = Variant("mlm-mim-wpa-word-boxes", ("--objectives", "mlm,mim,wpa"), "word")


@dataclass(frozen=True)
class PretrainingBenchmark:
    """Pre-train a small LayoutLMv3 in several ways, fine-tune each on FUNSD with several seeds, and print one table.

    Args:
        funsd: Folder of FUNSD.
        docbank: Folder of DocBank's 100 samples.
        output_dir: Folder for pages, runs, and results.md with the table.
        parts: Comma-separated: help (with and without pre-training), few (fewer labelled forms), ablation (one
            objective after another), boxes (word boxes and segment boxes).
        steps: Pre-training steps.
        seeds: Number of fine-tuning runs of each kind.
        forms: Comma-separated numbers of labelled forms for few.
    """

    funsd: PathFlag = "data/funsd"
    docbank: PathFlag = "data/docbank"
    output_dir: PathFlag = "runs/pretraining"
    parts: str = "help,few,ablation,boxes"
    steps: int = 1500
    seeds: int = 3
    forms: str = "10,40,149"

    def __post_init__(self) -> None:
        for part in self.parts.split(","):
            if part not in PARTS:
                raise InputError(f"--parts {self.parts}: {part!r} is not one of {', '.join(PARTS)}")
        if self.steps < 10 or self.seeds < 1:
            raise InputError(f"--steps {self.steps}, --seeds {self.seeds}: expected 10 or more, and 1 or more")
        if not all(form.isdecimal() and 2 <= int(form) <= FORMS for form in self.forms.split(",")):
            raise InputError(f"--forms {self.forms}: expected numbers from 2 to {FORMS}")


@dataclass(frozen=True)
class Row:
    """A row of the table: a way to pre-train, or None, and a number of labelled forms."""

    variant: Variant | None
    forms: int = FORMS

    @property
    def name(self) -> str:
        return NOTHING if self.variant is None else self.variant.name


def compare(config: PretrainingBenchmark) -> None:
    """Pre-train and fine-tune; the table is updated after each run."""
    folder = Path(config.output_dir)
    split_pages(Path(config.docbank), folder / "pages")
    for command in commands(config, folder):
        run_command(command)
        write_bytes(folder / "results.md", table(config, folder).encode())
    print(table(config, folder))


def rows_of(config: PretrainingBenchmark) -> list[Row]:
    """The rows of the table, each once."""
    parts = config.parts.split(",")
    rows = [Row(None), Row(FULL)] if "help" in parts else []
    few = [int(form) for form in config.forms.split(",")]
    rows += [Row(variant, count) for count in few for variant in (None, FULL)] if "few" in parts else []
    rows += [Row(variant) for variant in ABLATION] if "ablation" in parts else []
    rows += [Row(FULL), Row(WORD_BOXES)] if "boxes" in parts else []
    return list(dict.fromkeys(rows))


def commands(config: PretrainingBenchmark, folder: Path) -> Iterator[list[str]]:
    """The commands in order: each pre-training before its fine-tuning runs."""
    pretrained: set[str] = set()
    for row in rows_of(config):
        if row.variant is not None and row.name not in pretrained:
            pretrained.add(row.name)
            yield pretraining(config, row.variant, folder)
        for seed in range(1, config.seeds + 1):
            yield fine_tuning(config, row, seed, folder)


def pretraining(config: PretrainingBenchmark, variant: Variant, folder: Path) -> list[str]:
    """The command of a pre-training."""
    pages = f"{config.funsd},{folder / 'pages/illustrated'}"
    return [
        *["run_pretrain_layoutlmv3.py", "--model", "random", "--dataset", "funsd,docbank", "--dataset_path", pages],
        *["--output_dir", str(folder / "pretrained" / variant.name), *variant.flags, "--boxes", variant.boxes],
        *["--steps", str(config.steps), "--batch_size", "8", "--gradient_accumulation_steps", "1"],
        *["--learning_rate", "1e-3", "--warmup", "0.1", "--eval_steps", str(config.steps // 10), "--seed", "1"],
    ]


def fine_tuning(config: PretrainingBenchmark, row: Row, seed: int, folder: Path) -> list[str]:
    """The command of a fine-tuning run, with the options of the FUNSD run in docs/fine-tuning.md."""
    model = "random" if row.variant is None else str(folder / "pretrained" / row.name / "model")
    boxes = "segment" if row.variant is None else row.variant.boxes
    return [
        *["run_finetune_layoutlmv3.py", "--model", model, "--dataset", "funsd", "--dataset_path", config.funsd],
        *["--output_dir", str(run_folder(folder, row, seed)), "--boxes", boxes, "--train_pages", str(row.forms)],
        *["--epochs", f"{EPOCHS * FORMS / row.forms:g}", "--learning_rate", "1e-3", "--batch_size", "8"],
        *["--weight_decay", "0.1", "--warmup", "0.3", "--seed", str(seed)],
    ]


def run_folder(folder: Path, row: Row, seed: int) -> Path:
    """The run folder of a fine-tuning run."""
    return folder / "fine_tuned" / f"{row.name.replace(' ', '-')}-{row.forms}-{seed}"


def table(config: PretrainingBenchmark, folder: Path) -> str:
    """The metrics of finished fine-tuning runs, mean ± standard deviation over seeds, and of pre-trainings."""
    lines = ["| pre-training | labelled forms | runs | words | entity F1 |", "|---|---:|---:|---:|---:|"]
    for row in rows_of(config):
        paths = [run_folder(folder, row, seed) / "metrics.json" for seed in range(1, config.seeds + 1)]
        tests = [read_json(path, "--output_dir")["test"] for path in paths if path.exists()]
        cells = [spread([test[figure] for test in tests]) for figure in FIGURES]
        lines.append(f"| {row.name} | {row.forms} | {len(tests)} | {' | '.join(cells)} |")
    lines += ["", "| pre-training | objective | accuracy, held out | most frequent answer |", "|---|---|---:|---:|"]
    for variant in dict.fromkeys(row.variant for row in rows_of(config) if row.variant is not None):
        path = folder / "pretrained" / variant.name / "metrics.json"
        held_out = read_json(path, "--output_dir")["held_out"] if path.exists() else {}
        for name in (key.removesuffix("_accuracy") for key in held_out if key.endswith("_accuracy")):
            shares = f"{held_out[f'{name}_accuracy']:.4f} | {held_out[f'{name}_most_frequent']:.4f}"
            lines.append(f"| {variant.name} | {name} | {shares} |")
    return "\n".join([*lines, ""])


def spread(values: list[float]) -> str:
    """Mean ± standard deviation; a single value alone."""
    if not values:
        return "-"
    return f"{mean(values):.4f}" + (f" ± {stdev(values):.4f}" if len(values) > 1 else "")


if __name__ == "__main__":
    run(PretrainingBenchmark, compare)
