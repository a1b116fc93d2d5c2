"""Does pre-training help: a small random LayoutLMv3 pre-trained on unlabelled pages, then fine-tuned on FUNSD.

python benchmarks/pretraining.py --funsd data/funsd --docbank data/docbank --output_dir runs/pretraining

The pages are FUNSD's train forms and those of DocBank's train pages that have an image; no label of theirs is read.
Every step is a command of the project: it is shown, then run. Stopped, the same command goes on where it was: what is
finished is not computed again.
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
EPOCHS = 5  # over all of them; fewer forms are seen more often, so that every run has as many steps
PARTS = ("help", "few", "ablation", "boxes")
NOTHING = "from nothing"
FIGURES = {"accuracy": "words", "entity_f1": "entity F1"}


@dataclass(frozen=True)
class Variant:
    """One way to pre-train.

    Args:
        name: In tables and of its folder.
        flags: Of run_pretrain_layoutlmv3.py.
        boxes: Whose box a word has, in fine-tuning too.
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
    """Pre-train a small LayoutLMv3 in several ways, fine-tune each on FUNSD with several seeds, and show one table.

    Args:
        funsd: The folder of FUNSD.
        docbank: The folder of DocBank's 100 samples.
        output_dir: Pages, runs, and results.md with the table.
        parts: help (pre-trained beside from nothing), few (fewer labelled forms), ablation (the objectives one by one),
            boxes (of words beside segments), with commas.
        steps: Of pre-training.
        seeds: Fine-tuning runs of each kind.
        forms: How many labelled forms, for few, with commas.
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
                raise InputError(f"--parts {self.parts}: {part!r} is none of {', '.join(PARTS)}")
        if self.steps < 10 or self.seeds < 1:
            raise InputError(f"--steps {self.steps}, --seeds {self.seeds}: expected 10 or more, and 1 or more")
        if not all(form.isdecimal() and 2 <= int(form) <= FORMS for form in self.forms.split(",")):
            raise InputError(f"--forms {self.forms}: expected numbers from 2 to {FORMS}")


@dataclass(frozen=True)
class Row:
    """One line of the table: a way to pre-train, or none, and a number of labelled forms."""

    variant: Variant | None
    forms: int = FORMS

    @property
    def name(self) -> str:
        return NOTHING if self.variant is None else self.variant.name


def compare(config: PretrainingBenchmark) -> None:
    """Pre-train and fine-tune, a table after each run."""
    folder = Path(config.output_dir)
    split_pages(Path(config.docbank), folder / "pages")
    for command in commands(config, folder):
        run_command(command)
        write_bytes(folder / "results.md", table(config, folder).encode())
    print(table(config, folder))


def rows_of(config: PretrainingBenchmark) -> list[Row]:
    """The lines of the table, each once."""
    parts = config.parts.split(",")
    rows = [Row(None), Row(FULL)] if "help" in parts else []
    few = [int(form) for form in config.forms.split(",")]
    rows += [Row(variant, count) for count in few for variant in (None, FULL)] if "few" in parts else []
    rows += [Row(variant) for variant in ABLATION] if "ablation" in parts else []
    rows += [Row(FULL), Row(WORD_BOXES)] if "boxes" in parts else []
    return list(dict.fromkeys(rows))


def commands(config: PretrainingBenchmark, folder: Path) -> Iterator[list[str]]:
    """In their order: each way to pre-train before what it is fine-tuned to."""
    made: set[str] = set()
    for row in rows_of(config):
        if row.variant is not None and row.name not in made:
            made.add(row.name)
            yield pretraining(config, row.variant, folder)
        for seed in range(1, config.seeds + 1):
            yield fine_tuning(config, row, seed, folder)


def pretraining(config: PretrainingBenchmark, variant: Variant, folder: Path) -> list[str]:
    pages = f"{config.funsd},{folder / 'pages/illustrated'}"
    return [
        *["run_pretrain_layoutlmv3.py", "--model", "random", "--dataset", "funsd,docbank", "--dataset_path", pages],
        *["--output_dir", str(folder / "pretrained" / variant.name), *variant.flags, "--boxes", variant.boxes],
        *["--steps", str(config.steps), "--batch_size", "8", "--gradient_accumulation_steps", "1"],
        *["--learning_rate", "1e-3", "--warmup", "0.1", "--eval_steps", str(config.steps // 10), "--seed", "1"],
    ]


def fine_tuning(config: PretrainingBenchmark, row: Row, seed: int, folder: Path) -> list[str]:
    """As the FUNSD run of docs/fine-tuning.md."""
    model = "random" if row.variant is None else str(folder / "pretrained" / row.name / "model")
    boxes = "segment" if row.variant is None else row.variant.boxes
    return [
        *["run_finetune_layoutlmv3.py", "--model", model, "--dataset", "funsd", "--dataset_path", config.funsd],
        *["--output_dir", str(run_folder(folder, row, seed)), "--boxes", boxes, "--train_pages", str(row.forms)],
        *["--epochs", f"{EPOCHS * FORMS / row.forms:g}", "--learning_rate", "1e-3", "--batch_size", "8"],
        *["--weight_decay", "0.1", "--warmup", "0.3", "--seed", str(seed)],
    ]


def run_folder(folder: Path, row: Row, seed: int) -> Path:
    return folder / "fine_tuned" / f"{row.name.replace(' ', '-')}-{row.forms}-{seed}"


def table(config: PretrainingBenchmark, folder: Path) -> str:
    """The figures of the runs that are finished, mean over seeds ± standard deviation, and of the pre-trainings."""
    lines = ["| pre-training | labelled forms | runs | words | entity F1 |", "|---|---:|---:|---:|---:|"]
    for row in rows_of(config):
        paths = [run_folder(folder, row, seed) / "metrics.json" for seed in range(1, config.seeds + 1)]
        tests = [read_json(path, "--output_dir")["test"] for path in paths if path.exists()]
        cells = [spread([test[figure] for test in tests]) for figure in FIGURES]
        lines.append(f"| {row.name} | {row.forms} | {len(tests)} | {' | '.join(cells)} |")
    lines += ["", "| pre-training | objective | accuracy, held out | most frequent answer |", "|---|---|---:|---:|"]
    for variant in dict.fromkeys(row.variant for row in rows_of(config) if row.variant is not None):
        path = folder / "pretrained" / variant.name / "metrics.json"
        found = read_json(path, "--output_dir")["held_out"] if path.exists() else {}
        for name in (key.removesuffix("_accuracy") for key in found if key.endswith("_accuracy")):
            shares = f"{found[f'{name}_accuracy']:.4f} | {found[f'{name}_most_frequent']:.4f}"
            lines.append(f"| {variant.name} | {name} | {shares} |")
    return "\n".join([*lines, ""])


def spread(values: list[float]) -> str:
    """Mean ± standard deviation; of one value it alone."""
    if not values:
        return "-"
    return f"{mean(values):.4f}" + (f" ± {stdev(values):.4f}" if len(values) > 1 else "")


if __name__ == "__main__":
    run(PretrainingBenchmark, compare)
