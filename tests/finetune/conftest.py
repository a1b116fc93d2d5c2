"""Shared by the tests of finetune/: runs on generated pages."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def quick(pages: Path, tmp_path: Path) -> Callable[..., Any]:
    """(folder, options of the run, of training as a dictionary) -> the options of a run of a few seconds."""
    from documents.pages import PageOptions
    from finetune.llama.fine_tuning import LlamaLayoutConfig
    from finetune.llama.lora import LoraOptions
    from finetune.training import TrainingOptions

    def options(
        folder: str = "run", page_options: dict | None = None, training: dict | None = None, **more: Any
    ) -> Any:
        few = {"steps": 12, "eval_steps": 4, "logging_steps": 2, "learning_rate": 1e-3}
        return LlamaLayoutConfig(
            **{"model": "random", "output_dir": str(tmp_path / folder)} | more,
            pages=PageOptions(**{"dataset_path": str(pages)} | (page_options or {})),
            training=TrainingOptions(**few | (training or {})),
            lora=LoraOptions(lora_r=4),
        )

    return options


@pytest.fixture
def quick_layout(pages_with_images: Path, tmp_path: Path) -> Callable[..., Any]:
    """As `quick`, of LayoutLMv3: (folder, options of the run, of pages, training and Lightning as dictionaries)."""
    from documents.pages import PageOptions
    from finetune.layoutlmv3.fine_tuning import LayoutLMv3Config
    from finetune.training import TrainingOptions
    from training.lightning import LightningOptions

    few = {"steps": 6, "eval_steps": 2, "logging_steps": 2, "learning_rate": 1e-3, "batch_size": 2, "schedule": None}

    def options(
        folder: str = "run",
        page_options: dict | None = None,
        training: dict | None = None,
        lightning: dict | None = None,
        **more: Any,
    ) -> Any:
        where = {} if more.get("trainer") == "hf" else {"accelerator": "cpu"}
        return LayoutLMv3Config(
            **{"model": "random", "dataset": "doclaynet", "output_dir": str(tmp_path / folder)} | more,
            pages=PageOptions(**{"dataset_path": str(pages_with_images)} | (page_options or {})),
            training=TrainingOptions(**few | (training or {})),
            lightning=LightningOptions(**where | (lightning or {})),
        )

    return options
