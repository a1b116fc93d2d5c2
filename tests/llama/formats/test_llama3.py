"""Meta's Llama 3 format against the same weights in Hugging Face's: the real tokenizer, scaled frequencies, shards
along the vocabulary."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from llama import load, open_checkpoint
from tests.llama.formats.test_hugging_face import assert_same

SCALING = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
    "rope_theta": 5e5,
}
PARAMS = {"dim": 32, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "multiple_of": 56, "ffn_dim_multiplier": 0.6}
PARAMS |= {"norm_eps": 1e-6, "rope_theta": 5e5, "vocab_size": 128256, "use_scaled_rope": True, "max_seq_len": 96}
META_NAMES = {
    "self_attn.q_proj": "attention.wq",
    "self_attn.k_proj": "attention.wk",
    "self_attn.v_proj": "attention.wv",
    "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.down_proj": "feed_forward.w2",
    "mlp.up_proj": "feed_forward.w3",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
    "model.embed_tokens": "tok_embeddings",
    "model.norm": "norm",
    "lm_head": "output",
}


@pytest.fixture
def to_meta(data: Path) -> Callable[[Path, Path, int], Path]:
    """A function: (Hugging Face folder, new folder, shards) writes Meta's files. Shares no code with llama/."""

    def convert(source: Path, folder: Path, shards: int) -> Path:
        folder.mkdir()
        (folder / "params.json").write_text(json.dumps(PARAMS))
        shutil.copy(data / "llama3_tokenizer/tokenizer.model", folder)
        parts: list[dict[str, torch.Tensor]] = [{} for _ in range(shards)]
        for key, weight in load_file(source / "model.safetensors").items():
            name = key.removesuffix(".weight").replace("model.layers", "layers")
            for theirs, metas in META_NAMES.items():
                name = name.replace(theirs, metas)
            if name.endswith(("wq", "wk")):
                rows = [
                    head * 8 + half * 4 + pair
                    for head in range(len(weight) // 8)
                    for pair in range(4)
                    for half in (0, 1)
                ]
                weight = weight[rows]
            along = 1 if name.endswith(("wo", "w2")) else 0
            pieces = [weight] * shards if weight.dim() == 1 else weight.chunk(shards, dim=along)
            for part, piece in zip(parts, pieces, strict=True):
                part[f"{name}.weight"] = piece.clone()
        for number, part in enumerate(parts):
            torch.save(part, folder / f"consolidated.{number:02d}.pth")
        return folder

    return convert


@pytest.mark.parametrize("shards", [1, 2])
def test_same_weights_in_both_formats(shards, save_model, to_meta, one_process, tmp_path) -> None:
    theirs = save_model(tmp_path / "hf", vocab_size=128256, rope_parameters=SCALING)
    folder = to_meta(tmp_path / "hf", tmp_path / "meta", shards)
    meta, hugging_face = load(str(folder), model_parallel_size=1), load(str(tmp_path / "hf"))
    assert meta.model.args == hugging_face.model.args
    for key, weight in meta.model.state_dict().items():
        assert torch.equal(weight, hugging_face.model.state_dict()[key]), key
    assert_same(meta, theirs)
    fingerprints = {open_checkpoint(str(tmp_path / name)).fingerprint() for name in ("meta", "hf")}
    assert len(fingerprints) == 2


def test_score_and_generate(save_model, to_meta, one_process, tmp_path) -> None:
    """With the real tokenizer, from text to text."""
    save_model(tmp_path / "hf", vocab_size=128256, rope_parameters=SCALING)
    llama = load(str(to_meta(tmp_path / "hf", tmp_path / "meta", 2)), model_parallel_size=1)
    prompts = ["Article: rain stopped play\nCategory:", ""]
    (first, second) = llama.compute_log_probs(prompts, ["Sports", "World"])
    assert first < 0 > second
    assert len(llama.generate(prompts, max_gen_len=4, temperature=0)) == 2


def test_the_embedding_must_fit_the_tokenizer(save_model, to_meta, refusal, tmp_path) -> None:
    save_model(tmp_path / "hf", vocab_size=128256)
    folder = to_meta(tmp_path / "hf", tmp_path / "meta", 2)
    weights = torch.load(folder / "consolidated.00.pth", weights_only=True)
    weights["tok_embeddings.weight"] = weights["tok_embeddings.weight"][:64000]
    torch.save(weights, folder / "consolidated.00.pth")
    assert refusal(folder).endswith("the embedding 64000 rows: they do not match")
