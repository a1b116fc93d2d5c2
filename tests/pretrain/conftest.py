"""Shared by the tests of pretrain/: a small random LayoutLMv3 with its processor, runs of a few seconds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SMALL = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


@pytest.fixture(scope="session")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RoBERTa in the hub's format: a language model with vocab.json and merges.txt."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaConfig, RobertaForMaskedLM

    from documents.layoutlmv3 import SPECIAL_TOKENS

    folder = tmp_path_factory.mktemp("roberta")
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(["figure note rain market play"] * 20, 300, special_tokens=list(SPECIAL_TOKENS))
    tokenizer.save_model(str(folder))
    size = tokenizer.get_vocab_size()
    config = RobertaConfig(vocab_size=size, max_position_embeddings=130, type_vocab_size=1, **SMALL)
    RobertaForMaskedLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def beit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BEiT of RoBERTa's width."""
    from transformers import BeitConfig, BeitModel

    folder = tmp_path_factory.mktemp("beit")
    BeitModel(BeitConfig(**SMALL)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random LayoutLMv3 without dropout, with its processor."""
    from transformers import LayoutLMv3Model

    from documents.layoutlmv3 import make_random

    folder = tmp_path_factory.mktemp("small")
    texts = ["figure note equals item page chapter photo overview rows rain market play today"] * 50
    make_random(LayoutLMv3Model, texts, folder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    return folder


@pytest.fixture
def quick(pages_with_images: Path, tmp_path: Path) -> Callable[..., Any]:
    """(folder, training, hidden, lightning as dictionaries, options of the run) -> the options of a run of seconds."""
    from documents.unlabelled import UnlabelledOptions
    from pretrain.layoutlmv3 import LayoutLMv3PretrainingConfig
    from pretrain.modules import PretrainingOptions
    from pretrain.objectives import ObjectiveOptions
    from training.lightning import LightningOptions

    few = {"steps": 4, "eval_steps": 2, "logging_steps": 1, "batch_size": 2, "gradient_accumulation_steps": 1}

    def options(
        folder: str = "run",
        training: dict | None = None,
        hidden: dict | None = None,
        lightning: dict | None = None,
        **more: Any,
    ) -> Any:
        return LayoutLMv3PretrainingConfig(
            **{"model": "random", "output_dir": str(tmp_path / folder), "codebook_size": 16} | more,
            pages=UnlabelledOptions(dataset_path=str(pages_with_images), validation_fraction=0.3),
            hidden=ObjectiveOptions(**hidden or {}),
            training=PretrainingOptions(**few | {"learning_rate": 1e-3} | (training or {})),
            lightning=LightningOptions(**{"accelerator": "cpu"} | (lightning or {})),
        )

    return options
