"""What the tests of llama/ share: small models and folders to break, transformers' LLaMA on the same weights, the
definition of a score.
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from llama import CheckpointError, LLaMA, Transformer, load, open_checkpoint

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
    """A random model with grouped-query attention that takes 64 tokens. Tests leave it as it is."""
    return load(str(make_checkpoint(tmp_path_factory.mktemp("small"), n_kv_heads=2, max_seq_len=64)))


@pytest.fixture
def folder(make_checkpoint: Callable[..., Path], tmp_path: Path) -> Path:
    """A random checkpoint in one shard, for the test alone."""
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
    """A function: (folder, **options of open_checkpoint) -> the line with which the checkpoint is refused."""

    def refuse(ckpt_dir: Path | str, **options: Any) -> str:
        with pytest.raises(CheckpointError) as refused:
            open_checkpoint(str(ckpt_dir), **options)
        assert refused.value.exit_status == 2
        assert "\n" not in str(refused.value)
        return str(refused.value)

    return refuse


@pytest.fixture(scope="session")
def full_log_probs() -> Callable[[Transformer, Sequence[int]], torch.Tensor]:
    """The definition: (model, ids) -> (T, V), log-probabilities of the next token after each. No batch, no cache."""

    @torch.inference_mode()
    def log_probs(model: Transformer, ids: Sequence[int]) -> torch.Tensor:
        return torch.log_softmax(model.output(model(torch.tensor([list(ids)])))[0].double(), dim=-1)

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
