"""Measures the effect of pre-training: a small random LayoutLMv3 is pre-trained, then fine-tuned on FUNSD.

python benchmarks/pretraining.py --funsd data/funsd --docbank data/docbank --output_dir runs/pretraining

It is pre-trained on FUNSD's train forms and DocBank's sample pages with an image; their labels are not read. Every step
is a command of the project, printed before it runs. The same command resumes an interrupted benchmark: finished runs
are not repeated, and an unfinished run continues from its last checkpoint.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from options import run

# isort: split

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import mean, stdev

from docbank import run_command

from preprocess.docbank import page_files
from preprocess.errors import InputError
from preprocess.files import PathFlag, read_json, write_bytes

FORMS = 149  # of FUNSD's train split
EVALUATIONS = 10  # of a pre-training
PARTS = ("help", "few", "ablation", "boxes")
FIGURES = ("accuracy", "entity_f1")  # in this order: words, entity F1


@dataclass(frozen=True)
class Variant:
    """One way to pre-train, or none.

    Args:
        name: Name in tables, and of its folder.
        flags: Flags of run_pretrain_layoutlmv3.py; empty: no pre-training.
        boxes: Box of each word, also in fine-tuning: segment or word.
    """

    name: str
    flags: tuple[str, ...] = ()
    boxes: str = "segment"


NOTHING = Variant("from nothing")
FULL = Variant("mlm-mim-wpa", ("--objectives", "mlm,mim,wpa"))
ABLATION = (  # the rows of table 3 of Huang et al. 2022
    Variant("mlm-without-image", ("--objectives", "mlm", "--visual", "False")),
    Variant("mlm", ("--objectives", "mlm")),
    Variant("mlm-mim", ("--objectives", "mlm,mim")),
    FULL,
)
WORD_BOXES = (
    Variant("from nothing word boxes", boxes="word"),
    replace(FULL, name=f"{FULL.name}-word-boxes", boxes="word"),
)


@dataclass(frozen=True)
class PretrainingBenchmark:
    """Pre-train a small LayoutLMv3 in several ways, fine-tune each on FUNSD with several seeds, and print one table.

    Args:
        funsd: Folder of FUNSD.
        docbank: Folder of DocBank's samples: txt/ and ori_jpg/.
        output_dir: Folder for pages, runs, and results.md with the tables.
        parts: Comma-separated: help (with and without pre-training), few (fewer labelled forms), ablation (one
            objective after another), boxes (word boxes and segment boxes).
        steps: Pre-training steps.
        batch_size: Chunks of pages in a pre-training step.
        epochs: Fine-tuning epochs over all 149 forms; more with fewer forms, so that all runs have equally many steps.
        seeds: Number of fine-tuning runs of each kind.
        forms: Comma-separated numbers of labelled forms for few.
    """

    funsd: PathFlag = "data/funsd"
    docbank: PathFlag = "data/docbank"
    output_dir: PathFlag = "runs/pretraining"
    parts: str = "help,few,ablation,boxes"
    steps: int = 5000
    batch_size: int = 4
    epochs: float = 5.0
    seeds: int = 3
    forms: str = "10,40,149"

    def __post_init__(self) -> None:
        for part in self.parts.split(","):
            if part not in PARTS:
                raise InputError(f"--parts {self.parts}: {part!r} is not one of {', '.join(PARTS)}")
        for flag, least in (("steps", EVALUATIONS), ("batch_size", 1), ("seeds", 1)):
            if getattr(self, flag) < least:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected {least} or more")
        if not self.epochs > 0:
            raise InputError(f"--epochs {self.epochs}: expected a number above 0")
        if not all(form.isdecimal() and 2 <= int(form) <= FORMS for form in self.forms.split(",")):
            raise InputError(f"--forms {self.forms}: expected numbers from 2 to {FORMS}")


@dataclass(frozen=True)
class Row:
    """A row of the table: a way to pre-train, and a number of labelled forms."""

    variant: Variant
    forms: int = FORMS


def compare(config: PretrainingBenchmark) -> None:
    """Pre-train and fine-tune; the table is updated after each run."""
    folder = Path(config.output_dir)
    copy_illustrated(Path(config.docbank), folder / "pages")
    for command in commands(config, folder):
        run_command(command)
        write_bytes(folder / "results.md", table(config, folder).encode())
    print(table(config, folder))


def copy_illustrated(source: Path, folder: Path) -> None:
    """Copy the pages that have an image, since a LayoutLMv3 that reads images takes no others.

    Raises:
        InputError: There is none.
    """
    images = {file: source / "ori_jpg" / f"{file.stem}_ori.jpg" for file in page_files(source)}
    illustrated = {file: image for file, image in images.items() if image.exists()}
    if not illustrated:
        raise InputError(f"{source}: no page with an image in ori_jpg/ (--docbank)")
    folder.mkdir(parents=True, exist_ok=True)
    for file in (*illustrated, *illustrated.values()):
        shutil.copy(file, folder / file.name)


def rows_of(config: PretrainingBenchmark) -> list[Row]:
    """The rows of the table, each once."""
    parts = config.parts.split(",")
    rows = [Row(NOTHING), Row(FULL)] if "help" in parts else []
    few = [int(form) for form in config.forms.split(",")]
    rows += [Row(variant, count) for count in few for variant in (NOTHING, FULL)] if "few" in parts else []
    rows += [Row(variant) for variant in ABLATION] if "ablation" in parts else []
    rows += [Row(variant) for variant in (NOTHING, FULL, *WORD_BOXES)] if "boxes" in parts else []
    return list(dict.fromkeys(rows))


def commands(config: PretrainingBenchmark, folder: Path) -> Iterator[list[str]]:
    """The commands in order: each pre-training before its fine-tuning runs."""
    pretrained: set[Variant] = set()
    for row in rows_of(config):
        if row.variant.flags and row.variant not in pretrained:
            pretrained.add(row.variant)
            yield pretraining(config, row.variant, folder)
        for seed in range(1, config.seeds + 1):
            yield fine_tuning(config, row, seed, folder)


def pretraining(config: PretrainingBenchmark, variant: Variant, folder: Path) -> list[str]:
    pages = f"{config.funsd},{folder / 'pages'}"
    return [
        *["run_pretrain_layoutlmv3.py", "--model", "random", "--dataset", "funsd,docbank", "--dataset_path", pages],
        *["--output_dir", str(folder / "pretrained" / variant.name), *variant.flags, "--boxes", variant.boxes],
        *["--steps", str(config.steps), "--batch_size", str(config.batch_size), "--gradient_accumulation_steps", "1"],
        *["--learning_rate", "1e-3", "--warmup", "0.1", "--eval_steps", str(config.steps // EVALUATIONS)],
        *["--keep", "last", "--seed", "1"],
    ]


def fine_tuning(config: PretrainingBenchmark, row: Row, seed: int, folder: Path) -> list[str]:
    """The command of a fine-tuning run, with the options of the FUNSD run in docs/fine-tuning.md."""
    model = str(folder / "pretrained" / row.variant.name / "model") if row.variant.flags else "random"
    return [
        *["run_finetune_layoutlmv3.py", "--model", model, "--dataset", "funsd", "--dataset_path", config.funsd],
        *["--output_dir", str(run_folder(folder, row, seed)), "--boxes", row.variant.boxes],
        *["--train_pages", str(row.forms)],
        *["--epochs", f"{config.epochs * FORMS / row.forms:g}", "--learning_rate", "1e-3", "--batch_size", "8"],
        *["--weight_decay", "0.1", "--warmup", "0.3", "--seed", str(seed)],
    ]


def run_folder(folder: Path, row: Row, seed: int) -> Path:
    """The run folder of a fine-tuning run."""
    return folder / "fine_tuned" / f"{row.variant.name.replace(' ', '-')}-{row.forms}-{seed}"


def table(config: PretrainingBenchmark, folder: Path) -> str:
    """Three tables of the runs that are finished: means over the seeds, the pre-trainings, and each seed."""
    means = ["| pre-training | labelled forms | runs | words | entity F1 |", "|---|---:|---:|---:|---:|"]
    seeds = ["| pre-training | labelled forms | seed | words | entity F1 |", "|---|---:|---:|---:|---:|"]
    for row in rows_of(config):
        runs = {seed: run_folder(folder, row, seed) / "metrics.json" for seed in range(1, config.seeds + 1)}
        tests = {seed: read_json(path, "--output_dir")["test"] for seed, path in runs.items() if path.exists()}
        name = f"| {row.variant.name} | {row.forms}"
        means.append(f"{name} | {len(tests)} | {cells(list(tests.values()))} |")
        seeds += [f"{name} | {seed} | {cells([test])} |" for seed, test in tests.items()]
    return "\n".join([*means, "", *held_out(config, folder), "", *seeds, ""])


def held_out(config: PretrainingBenchmark, folder: Path) -> list[str]:
    """The lines of a table: how well each objective is predicted on the held-out pages."""
    lines = ["| pre-training | objective | accuracy, held out | most frequent answer |", "|---|---|---:|---:|"]
    for variant in dict.fromkeys(row.variant for row in rows_of(config) if row.variant.flags):
        path = folder / "pretrained" / variant.name / "metrics.json"
        held_out = read_json(path, "--output_dir")["held_out"] if path.exists() else {}
        for name in (key.removesuffix("_accuracy") for key in held_out if key.endswith("_accuracy")):
            shares = f"{held_out[f'{name}_accuracy']:.4f} | {held_out[f'{name}_most_frequent']:.4f}"
            lines.append(f"| {variant.name} | {name} | {shares} |")
    return lines


def cells(tests: list[dict[str, float]]) -> str:
    """The figures of runs on the test forms."""
    return " | ".join(spread([test[figure] for test in tests]) for figure in FIGURES)


def spread(values: list[float]) -> str:
    """Mean ± standard deviation; a single value alone."""
    if not values:
        return "-"
    return f"{mean(values):.4f}" + (f" ± {stdev(values):.4f}" if len(values) > 1 else "")


if __name__ == "__main__":
    run(PretrainingBenchmark, compare)
