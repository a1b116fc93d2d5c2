"""Shared by the tests of training/: a pre-training that takes a few seconds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def quick_pretraining(pages_with_images: Path, tmp_path: Path) -> Callable[[dict], Any]:
    """Training options -> the options of a run of four steps on words only."""
    from documents.unlabelled import UnlabelledOptions
    from pretrain.layoutlmv3 import LayoutLMv3PretrainingConfig
    from pretrain.modules import PretrainingOptions
    from pretrain.objectives import ObjectiveOptions
    from training.lightning import LightningOptions

    few = {"steps": 4, "eval_steps": 4, "logging_steps": 1, "batch_size": 2, "gradient_accumulation_steps": 1}
    return lambda training: LayoutLMv3PretrainingConfig(
        "random",
        str(tmp_path / "run"),
        pages=UnlabelledOptions(dataset_path=str(pages_with_images), validation_fraction=0.3),
        hidden=ObjectiveOptions(objectives="mlm"),
        training=PretrainingOptions(**few | training),
        lightning=LightningOptions(accelerator="cpu"),
    )
