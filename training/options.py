"""Options of every training run: steps, batches, learning rate, logging."""

import math
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any, Self

from preprocess.errors import InputError

SCHEDULES = ("linear", "cosine", "constant")
MOST = 10**9  # maximum steps and epochs
COUNTS = dict.fromkeys(("steps", "eval_steps", "logging_steps", "gradient_accumulation_steps"), MOST)
COUNTS["batch_size"] = 10**6
SEEDS = 2**32  # bound of seeds of numpy's global generator
TENSORBOARD, CSV = "tensorboard", "csv"
LOGGERS = {TENSORBOARD: "tensorboard", CSV: "", "mlflow": "mlflow", "wandb": "wandb"}  # and the package of each


@dataclass(frozen=True)
class StepOptions:
    """How a model is trained.

    Args:
        steps: Optimizer steps; default 9000, for LayoutLMv3 see --trainer.
        epochs: Passes over the train pages, instead of --steps.
        batch_size: Chunks in a batch.
        gradient_accumulation_steps: Batches in a step.
        learning_rate: Peak learning rate, after a linear warm-up; it then follows the schedule.
        schedule: Decay of the learning rate to 0: linear or cosine; constant does not decay.
        warmup: Warm-up steps as a fraction of all steps.
        warmup_steps: Number of warm-up steps, instead of --warmup.
        weight_decay: Weight decay of AdamW.
        eval_steps: Evaluate on the validation pages and save a checkpoint every N steps.
        logging_steps: Log loss and learning rate every N steps.
        patience: Stop after N evaluations without improvement; 0 never stops early.
        gradient_checkpointing: Recompute activations in the backward pass, to save memory.
        logger: Logger in addition to log.csv: tensorboard, mlflow or wandb, if installed; csv adds none.
        seed: Random seed.
    """

    steps: int | None = None
    epochs: float | None = None
    batch_size: int | None = 2
    gradient_accumulation_steps: int = 1
    learning_rate: float | None = 1e-4
    schedule: str | None = "linear"
    warmup: float = 0.1
    warmup_steps: int = 0
    weight_decay: float = 0.0
    eval_steps: int | None = 500
    logging_steps: int = 50
    patience: int = 0
    gradient_checkpointing: bool = False
    logger: str = TENSORBOARD
    seed: int = 42

    def __post_init__(self) -> None:
        for flag, most in COUNTS.items():
            if getattr(self, flag) is not None and not 1 <= getattr(self, flag) <= most:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected 1 to {most}")
        for flag in ("patience", "warmup_steps"):
            if getattr(self, flag) < 0:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected 0 or more")
        if not 0 <= self.seed < SEEDS:
            raise InputError(f"--seed {self.seed}: expected 0 to {SEEDS - 1}")
        for flag in ("learning_rate", "epochs"):
            if getattr(self, flag) is not None and not 0 < getattr(self, flag) <= MOST:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected a number above 0, at most {MOST}")
        if self.steps is not None and self.epochs is not None:
            raise InputError(f"--steps {self.steps} and --epochs {self.epochs:g}: expected only one of them")
        if not 0 <= self.warmup < 1:
            raise InputError(f"--warmup {self.warmup}: expected 0 or more and less than 1")
        if not 0 <= self.weight_decay < math.inf:
            raise InputError(f"--weight_decay {self.weight_decay}: expected a number of 0 or more")
        if self.schedule not in (None, *SCHEDULES):
            raise InputError(f"--schedule {self.schedule}: expected {', '.join(SCHEDULES)}")
        if self.logger not in LOGGERS:
            raise InputError(f"--logger {self.logger}: expected {', '.join(LOGGERS)}")
        package = LOGGERS[self.logger]
        if package and find_spec(package) is None:
            raise InputError(f"--logger {self.logger}: the package {package} is not installed: pip install {package}")

    @property
    def transformers_schedule(self) -> str:
        """The name of the schedule in transformers, whose `constant` has no warm-up."""
        return "constant_with_warmup" if self.schedule == "constant" else self.schedule

    def warmup_of(self, steps: int) -> int:
        """Number of warm-up steps among `steps`."""
        return min(self.warmup_steps or math.ceil(self.warmup * steps), steps)

    def filled(self, **defaults: Any) -> Self:
        """A copy with defaults for unset options; none for steps and epochs if one of the two is set."""
        settled = {"steps", "epochs"} if self.steps or self.epochs else set()
        missing = [name for name in defaults if getattr(self, name) is None and name not in settled]
        return replace(self, **{name: defaults[name] for name in missing})

    def steps_of(self, chunks: int, processes: int = 1) -> int:
        """Optimizer steps of a run over `chunks` train chunks."""
        if self.epochs is None:
            return self.steps
        batches = math.ceil(chunks / self.batch_size)
        return math.ceil(self.epochs * math.ceil(batches / (self.gradient_accumulation_steps * processes)))
