"""How long, how fast and in what steps a model is trained: what every training run is told."""

import math
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any, Self

from preprocess.errors import InputError

SCHEDULES = ("linear", "cosine", "constant")
TENSORBOARD, CSV = "tensorboard", "csv"
LOGGERS = {TENSORBOARD: "tensorboard", CSV: "", "mlflow": "mlflow", "wandb": "wandb"}  # and the package of each


@dataclass(frozen=True)
class StepOptions:
    """How a model is trained.

    Args:
        steps: Steps of the optimizer; default 9000, with LayoutLMv3 what --trainer says.
        epochs: Passes over the train pages, instead of --steps.
        batch_size: Chunks that are computed at once.
        gradient_accumulation_steps: Batches that make one step.
        learning_rate: The highest; it rises linearly during the warm-up, then follows the schedule.
        schedule: How it falls to 0 then: linear or cosine; or constant: it stays.
        warmup: Share of the steps that warms up.
        warmup_steps: So many steps warm up, instead of --warmup.
        weight_decay: Of AdamW.
        eval_steps: Evaluate on the validation pages, and save, every so many steps.
        logging_steps: Log loss and learning rate every so many steps.
        patience: Stop after so many evaluations without a better one; 0 never stops early.
        gradient_checkpointing: Compute activations twice rather than hold them.
        logger: Beside log.csv: tensorboard, mlflow or wandb, whose package must be there; csv: nothing more.
        seed: Of everything random.
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
        for flag in ("steps", "batch_size", "gradient_accumulation_steps", "eval_steps", "logging_steps"):
            if getattr(self, flag) is not None and getattr(self, flag) < 1:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected 1 or more")
        for flag in ("patience", "seed", "warmup_steps"):
            if getattr(self, flag) < 0:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected 0 or more")
        for flag in ("learning_rate", "epochs"):
            if getattr(self, flag) is not None and not 0 < getattr(self, flag) < math.inf:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected a number above 0")
        if self.steps is not None and self.epochs is not None:
            raise InputError(f"--steps {self.steps} and --epochs {self.epochs:g}: expected one of them")
        if not 0 <= self.warmup < 1:
            raise InputError(f"--warmup {self.warmup}: expected a number from 0 to below 1")
        if not 0 <= self.weight_decay < math.inf:
            raise InputError(f"--weight_decay {self.weight_decay}: expected a number of 0 or more")
        if self.schedule not in (None, *SCHEDULES):
            raise InputError(f"--schedule {self.schedule}: expected {', '.join(SCHEDULES)}")
        if self.logger not in LOGGERS:
            raise InputError(f"--logger {self.logger}: expected {', '.join(LOGGERS)}")
        package = LOGGERS[self.logger]
        if package and find_spec(package) is None:
            raise InputError(f"--logger {self.logger}: the package {package} is not there: pip install {package}")

    @property
    def transformers_schedule(self) -> str:
        """What transformers calls the schedule; its own `constant` has no warm-up."""
        return "constant_with_warmup" if self.schedule == "constant" else self.schedule

    def warmup_of(self, steps: int) -> int:
        """Steps that warm up, of so many."""
        return min(self.warmup_steps or math.ceil(self.warmup * steps), steps)

    def filled(self, **defaults: Any) -> Self:
        """With defaults for what is not given; of steps and epochs one is enough."""
        told = {"steps", "epochs"} if self.steps or self.epochs else set()
        missing = [name for name in defaults if getattr(self, name) is None and name not in told]
        return replace(self, **{name: defaults[name] for name in missing})

    def steps_of(self, chunks: int, processes: int = 1) -> int:
        """Steps that the run takes over so many train chunks."""
        if self.epochs is None:
            return self.steps
        batches = math.ceil(chunks / self.batch_size)
        return math.ceil(self.epochs * math.ceil(batches / (self.gradient_accumulation_steps * processes)))
