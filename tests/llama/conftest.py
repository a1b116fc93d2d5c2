"""Shared by the tests of llama/: small models and checkpoints to damage, models of transformers, the definition of a
score.
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from llama import CheckpointError, LLaMA, Transformer, load, open_checkpoint

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
SHARDED_ALONG_1 = ("tok_embeddings", "wo", "w2")
HUGGING_FACE_NAMES = {
    "attention.wq": "self_attn.q_proj",
    "attention.wk": "self_attn.k_proj",
    "attention.wv": "self_attn.v_proj",
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "tok_embeddings": "model.embed_tokens",
    "norm": "model.norm",
    "output": "lm_head",
}


@pytest.fixture(scope="session")
def small(make_checkpoint: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory, one_process: None) -> LLaMA:
    """A random model with grouped-query attention and 64 positions, which tests do not change."""
    return load(str(make_checkpoint(tmp_path_factory.mktemp("small"), n_kv_heads=2, max_seq_len=64)))


@pytest.fixture
def folder(make_checkpoint: Callable[..., Path], tmp_path: Path) -> Path:
    """A random checkpoint in one shard, which a test may change."""
    return make_checkpoint(tmp_path / "random", max_seq_len=64)


@pytest.fixture
def sharded(make_checkpoint: Callable[..., Path], tmp_path: Path) -> Path:
    """The same in two shards, without a limit on the length."""
    return make_checkpoint(tmp_path / "sharded", shards=2)


@pytest.fixture(scope="session")
def change_weights() -> Callable[..., None]:
    """A function: (folder, function that changes the dictionary of weights, shard=0) rewrites the shard."""

    def rewrite(folder: Path, change: Callable[[dict], None], shard: int = 0) -> None:
        path = folder / f"consolidated.{shard:02d}.pth"
        weights = torch.load(path, weights_only=True)
        change(weights)
        torch.save(weights, path)

    return rewrite


@pytest.fixture(scope="session")
def change_params() -> Callable[..., None]:
    """A function: (folder, **params) rewrites params.json."""

    def rewrite(folder: Path, **params: object) -> None:
        path = folder / "params.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | params))

    return rewrite


@pytest.fixture(scope="session")
def refusal() -> Callable[..., str]:
    """A function: (folder, **options of open_checkpoint) -> the message with which the checkpoint is refused."""

    def refuse(ckpt_dir: Path | str, **options: Any) -> str:
        with pytest.raises(CheckpointError) as refused:
            open_checkpoint(str(ckpt_dir), **options)
        assert refused.value.exit_status == 2
        assert "\n" not in str(refused.value)
        return str(refused.value)

    return refuse


@pytest.fixture(scope="session")
def full_log_probs() -> Callable[[Transformer, Sequence[int]], torch.Tensor]:
    """The definition: (model, ids) -> (T, V), log-probabilities of the next tokens, without batch and cache."""

    @torch.inference_mode()
    def log_probs(model: Transformer, ids: Sequence[int]) -> torch.Tensor:
        tokens = torch.tensor([list(ids)], device=model.norm.weight.device)
        return torch.log_softmax(model.output(model(tokens))[0].double(), dim=-1).cpu()

    return log_probs


def joined(shards: Sequence[dict[str, torch.Tensor]], key: str) -> torch.Tensor:
    """One weight of the whole model."""
    pieces = [shard[key] for shard in shards]
    if "norm" in key:
        return pieces[0]
    return torch.cat(pieces, dim=1 if key.split(".")[-2] in SHARDED_ALONG_1 else 0)


def halves(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """wq or wk for Hugging Face's rotary embedding, which pairs i with i + E / 2 where Meta's pairs neighbours."""
    return weight.view(heads, -1, 2, weight.shape[1]).transpose(1, 2).reshape_as(weight)


@pytest.fixture(scope="session")
def to_transformers() -> Callable[[Path], Any]:
    """A function: folder of a checkpoint -> transformers' LlamaForCausalLM in float32. Shares no code with llama/."""

    def convert(folder: Path) -> Any:
        from transformers import LlamaConfig, LlamaForCausalLM

        params = json.loads((folder / "params.json").read_text())
        shards = [torch.load(path, weights_only=True) for path in sorted(folder.glob("*.pth"))]
        heads = {"wq": params["n_heads"], "wk": params.get("n_kv_heads", params["n_heads"])}
        weights = {}
        for key in shards[0]:
            layer, name = re.fullmatch(r"(?:layers\.(\d+)\.)?(.+)\.weight", key).groups()
            prefix, kind = f"model.layers.{layer}." if layer else "", name.split(".")[-1]
            weight = joined(shards, key)
            weight = halves(weight, heads[kind]) if kind in heads else weight
            weights[f"{prefix}{HUGGING_FACE_NAMES[name]}.weight"] = weight
        config = LlamaConfig(
            vocab_size=joined(shards, "tok_embeddings.weight").shape[0],
            hidden_size=params["dim"],
            intermediate_size=joined(shards, "layers.0.feed_forward.w1.weight").shape[0],
            num_hidden_layers=params["n_layers"],
            num_attention_heads=heads["wq"],
            num_key_value_heads=heads["wk"],
            rms_norm_eps=params["norm_eps"],
            rope_parameters={"rope_type": "default", "rope_theta": params.get("rope_theta", 10000.0)},
            tie_word_embeddings=False,
        )
        model = LlamaForCausalLM(config)
        model.load_state_dict(weights, strict=True)
        return model.eval()

    return convert


@pytest.fixture(scope="session")
def byte_level() -> tokenizers.Tokenizer:
    """A byte-level BPE of 384 ids, like Llama 3's, Qwen's and SmolLM2's; `<s>` precedes a text."""
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
    """A function: (folder, **entries of tokenizer_config.json) writes the tokenizer's files."""

    def write(folder: Path, **config: Any) -> None:
        byte_level.save(str(folder / "tokenizer.json"))
        stated = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
        (folder / "tokenizer_config.json").write_text(json.dumps(stated | config))

    return write


@pytest.fixture(scope="session")
def save_model(write_tokenizer) -> Callable[..., Any]:
    """A function: (folder, architecture, dtype=None, seed=0, max_shard_size=None, **config) -> the model, which it has
    saved there. All parameters are random, including those that transformers sets to 0 or 1."""
    transformers = pytest.importorskip("transformers", reason="needs requirements-finetune.txt")

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
