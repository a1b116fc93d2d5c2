"""Small random models that transformers saves, with a tokenizer of their own: the other side of every comparison."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

transformers = pytest.importorskip("transformers", reason="needs requirements-finetune.txt")

SHAPE = {
    "vocab_size": 384,
    "hidden_size": 32,
    "intermediate_size": 56,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 96,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


@pytest.fixture(scope="session")
def byte_level() -> tokenizers.Tokenizer:
    """A byte-level BPE of 384 ids, as Llama 3's, Qwen's and SmolLM2's are; `<s>` leads a text."""
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=384,
        special_tokens=["<unk>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words = "Article Category World Sports Business Science and technology rain stopped play market"
    made.train_from_iterator([f"{words} {number}: {words.lower()}\n" for number in range(50)], trainer)
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return made


@pytest.fixture(scope="session")
def write_tokenizer(byte_level) -> Callable[..., None]:
    """A function: (folder, **entries of tokenizer_config.json) writes the tokenizer as a folder has it."""

    def write(folder: Path, **config: Any) -> None:
        byte_level.save(str(folder / "tokenizer.json"))
        stated = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
        (folder / "tokenizer_config.json").write_text(json.dumps(stated | config))

    return write


@pytest.fixture(scope="session")
def save_model(write_tokenizer) -> Callable[..., Any]:
    """A function: (folder, architecture, dtype=None, seed=0, max_shard_size=None, **config) -> the model, which it has
    saved there. Every parameter is random, those that transformers sets to 0 and 1 too."""

    def save(
        folder: Path,
        architecture: str = "Llama",
        dtype: torch.dtype = torch.float32,
        seed: int = 0,
        max_shard_size: str = "1GB",
        **config: Any,
    ) -> Any:
        shape = getattr(transformers, f"{architecture}Config")(**SHAPE | config)
        model = getattr(transformers, f"{architecture}ForCausalLM")(shape)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                scale = 0.1 if "norm" in name else 0.3
                weight.copy_(torch.randn(weight.shape, generator=generator) * scale + ("norm" in name))
        model = model.to(dtype).eval()
        model.save_pretrained(folder, max_shard_size=max_shard_size)
        write_tokenizer(folder)
        return model

    return save
