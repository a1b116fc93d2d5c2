"""The figures of training steps in the log."""

from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("lightning", reason="needs requirements-finetune.txt")

from training.modules import TrainedModule
from training.options import StepOptions


class Noting(TrainedModule):
    """Keeps what is logged; two devices, a row every three steps, two batches a step."""

    trainer = SimpleNamespace(
        global_step=0,
        log_every_n_steps=3,
        world_size=2,
        lr_scheduler_configs=[SimpleNamespace(scheduler=SimpleNamespace(get_last_lr=lambda: [0.5]))],
    )

    def __init__(self):
        super().__init__(StepOptions(batch_size=1, gradient_accumulation_steps=2))
        self.logged: dict[str, float] = {}

    def log(self, name: str, value: float, **_: object) -> None:
        self.logged[name] = value


def test_means_over_the_steps_of_a_row():
    """A figure that a step does not have is not in its mean; a new row starts after the last one."""
    steps = [  # the parts of two batches
        [{"loss": 1.0, "mlm_loss": 1.0}, {"loss": 2.0, "mlm_loss": 2.0}],
        [{"loss": 3.0}, {"loss": 0.0}],
        [{"loss": 4.0, "mlm_loss": 3.0}, {"loss": 5.0, "mlm_loss": 3.0}],
        [{"loss": 7.0}, {"loss": 1.0}],
    ]
    module, rows = Noting(), []
    for number, batches in enumerate(steps):
        module.trainer.global_step = number
        for place, parts in enumerate(batches):
            module.note({name: torch.tensor(part) for name, part in parts.items()}, 2 * number + place)
        rows.append(module.logged)
        module.logged = {}
    means = [{name: row.get(f"train/{name}") for name in ("loss", "mlm_loss")} for row in rows]
    assert means == [
        {"loss": 6.0, "mlm_loss": 6.0},
        {"loss": 6.0, "mlm_loss": 6.0},
        {"loss": 10.0, "mlm_loss": 9.0},
        {"loss": 16.0, "mlm_loss": None},
    ]
    assert all(row["train/learning_rate"] == 0.5 for row in rows)
