"""Adapters of peft, merged on load, against peft itself on the same files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from llama import load, open_checkpoint
from tests.llama.formats.test_hugging_face import assert_same

peft = pytest.importorskip("peft", reason="needs requirements-finetune.txt")

EVERY = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@pytest.fixture
def save_adapter(save_model, tmp_path: Path) -> Callable[..., Any]:
    """A function: (base={}, tokens=None, **options of LoraConfig) -> peft's model with a random adapter, saved in
    tmp_path / adapter; the base is in tmp_path / base. `tokens` resizes the vocabulary first."""

    def save(base: dict[str, Any] | None = None, tokens: int | None = None, **options: Any) -> Any:
        model = save_model(tmp_path / "base", **base or {})
        if tokens:
            model.resize_token_embeddings(tokens, mean_resizing=False)
        model.name_or_path = str(tmp_path / "base")
        stated = {"r": 4, "lora_alpha": 12, "target_modules": EVERY, "task_type": "CAUSAL_LM"} | options
        adapted = peft.get_peft_model(model, peft.LoraConfig(**stated)).eval()
        adapted.peft_config["default"].base_model_name_or_path = str(tmp_path / "base")
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for name, weight in adapted.named_parameters():
                if "lora_" in name or "modules_to_save" in name:
                    weight.copy_(torch.randn(weight.shape, generator=generator) * 0.1)
        adapted.save_pretrained(tmp_path / "adapter")
        return adapted

    return save


QWEN = {"architecture": "Qwen3", "head_dim": 16, "tie_word_embeddings": True}
KINDS = {
    "every matrix": {},
    "queries and values": {"target_modules": ["q_proj", "v_proj"]},
    "rank-stabilised": {"use_rslora": True},
    "patterns": {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"layers.1.self_attn.k_proj": 30, "up_proj": 1}},
    "one layer": {"layers_to_transform": [1]},
    "output and embedding": {"target_modules": [*EVERY, "lm_head", "embed_tokens"]},
    "trained output": {"modules_to_save": ["lm_head"]},
    "trained embedding of a tied model": {"base": {"tie_word_embeddings": True}, "modules_to_save": ["embed_tokens"]},
    "added tokens": {"tokens": 390, "modules_to_save": ["lm_head", "embed_tokens"]},
    "added tokens, adapted": {"tokens": 390, "target_modules": ["q_proj", "embed_tokens", "lm_head"]},
    "qwen3": {"base": QWEN},
    "qwen2 with biases": {"base": {"architecture": "Qwen2"}},
}


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_merged_is_what_peft_computes(options, save_adapter, one_process, tmp_path) -> None:
    theirs = save_adapter(**options)
    ours = load(str(tmp_path / "adapter"))
    assert_same(ours, theirs)
    plain = load(str(tmp_path / "base")).compute_log_probs(["Article: rain\nCategory:"], ["Sports"])
    assert ours.compute_log_probs(["Article: rain\nCategory:"], ["Sports"]) != plain


def test_bin_files_and_a_base_beside_it(save_adapter, one_process, tmp_path, monkeypatch) -> None:
    theirs = save_adapter()
    path = tmp_path / "adapter/adapter_model.safetensors"
    torch.save(load_file(path), path.with_suffix(".bin"))
    path.unlink()
    change(tmp_path / "adapter", base_model_name_or_path="../base")
    monkeypatch.chdir(tmp_path / "base")
    assert_same(load(str(tmp_path / "adapter")), theirs)


def test_a_base_in_metas_format(make_checkpoint, to_transformers, one_process, tmp_path) -> None:
    """As in finetune/: names and rows in an adapter are always Hugging Face's."""
    base = make_checkpoint(tmp_path / "base", shards=2, n_kv_heads=2, max_seq_len=96)
    options = peft.LoraConfig(r=4, target_modules=EVERY, task_type="CAUSAL_LM", init_lora_weights="gaussian")
    adapted = peft.get_peft_model(to_transformers(base), options).eval()
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(len(name))) * 0.1)
    adapted.peft_config["default"].base_model_name_or_path = str(base)
    adapted.save_pretrained(tmp_path / "adapter")
    assert_same(load(str(tmp_path / "adapter"), model_parallel_size=1), adapted)


def test_the_tokenizer_beside_it(save_adapter, write_tokenizer, tmp_path) -> None:
    save_adapter()
    assert open_checkpoint(str(tmp_path / "adapter")).tokenizer.backend.files[0] == tmp_path / "base/tokenizer.json"
    write_tokenizer(tmp_path / "adapter", eos_token="<unk>")
    checkpoint = open_checkpoint(str(tmp_path / "adapter"))
    assert checkpoint.tokenizer.backend.files[0] == tmp_path / "adapter/tokenizer.json"
    assert (checkpoint.tokenizer.eos_id, checkpoint.tokenizer.end_ids) == (0, {0, 2})
    assert checkpoint.name == "adapter"


def test_fingerprint_is_of_both(save_adapter, tmp_path) -> None:
    save_adapter()
    first = {open_checkpoint(str(tmp_path / name)).fingerprint() for name in ("base", "adapter")}
    path = tmp_path / "adapter/adapter_model.safetensors"
    weights = load_file(path)
    save_file({name: weight + 1e-3 for name, weight in weights.items()}, path)
    assert len(first | {open_checkpoint(str(tmp_path / "adapter")).fingerprint()}) == 3


def change(folder: Path, **entries: object) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


REFUSED = {
    "another method": ({"peft_type": "IA3"}, "peft_type 'IA3' is not supported, expected LORA; merge it with peft"),
    "a classifier": ({"task_type": "TOKEN_CLS"}, "task_type 'TOKEN_CLS' is a classifier, expected a language model"),
    "dora": ({"use_dora": True}, "use_dora is set, which is not supported; merge it with peft"),
    "biases": ({"bias": "all"}, "bias 'all' is not supported"),
    "single tokens": ({"trainable_token_indices": [1]}, "trainable_token_indices is set"),
    "a changed base": ({"init_lora_weights": "pissa"}, "init_lora_weights 'pissa' changes the base"),
    "no alpha": ({"lora_alpha": "x"}, "lora_alpha is 'x', expected a number"),
    "no base": ({"base_model_name_or_path": None}, "base_model_name_or_path does not name the base model"),
}


@pytest.mark.parametrize(("entries", "message"), REFUSED.values(), ids=REFUSED)
def test_unsupported_adapters_are_refused(entries, message, save_adapter, refusal, tmp_path) -> None:
    save_adapter(target_modules=["q_proj"])
    change(tmp_path / "adapter", **entries)
    assert refusal(tmp_path / "adapter").startswith(f"{tmp_path / 'adapter/adapter_config.json'}: {message}")


def test_a_missing_base(save_adapter, refusal, tmp_path) -> None:
    save_adapter(target_modules=["q_proj"])
    change(tmp_path / "adapter", base_model_name_or_path="nowhere")
    line = refusal(tmp_path / "adapter")
    assert line.startswith(
        f"{tmp_path / 'adapter'}: base model 'nowhere' of the adapter (adapter_config.json) is missing"
    )
    assert line.endswith(": no such folder; looked at nowhere, checkpoints/nowhere, checkpoints/llama/nowhere")
    change(tmp_path / "adapter", base_model_name_or_path=str(tmp_path / "adapter"))
    assert refusal(tmp_path / "adapter").endswith("base_model_name_or_path names the adapter itself")


Q = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
MISFITS = {
    "another base": ({Q: torch.ones(4, 30)}, "layers.0.self_attn.q_proj.weight fits a weight of shape (32, 30)"),
    "half of it": ({Q: None}, "model.layers.0.self_attn.q_proj.weight has no lora_A"),
    "no such weight": ({Q.replace("0", "7"): torch.ones(4, 32)}, "belongs to no weight of the base"),
    "something else": ({"base_model.model.prompt": torch.ones(4)}, "base_model.model.prompt belongs to no weight"),
    "rows": ({"base_model.model.lm_head.weight": torch.ones(400, 32)}, "embedding and output have 400 rows, those of"),
    "width": ({"base_model.model.lm_head.weight": torch.ones(384, 30)}, "lm_head.weight has shape (384, 30), expect"),
}


@pytest.mark.parametrize(("tensors", "message"), MISFITS.values(), ids=MISFITS)
def test_an_adapter_of_another_model(tensors, message, save_adapter, refusal, tmp_path) -> None:
    save_adapter(target_modules=["q_proj"])
    path = tmp_path / "adapter/adapter_model.safetensors"
    weights = load_file(path) | tensors
    save_file({name: weight for name, weight in weights.items() if weight is not None}, path)
    line = refusal(tmp_path / "adapter")
    assert line.startswith(f"{path}: ")
    assert message in line


def test_no_weights(save_adapter, refusal, tmp_path) -> None:
    save_adapter(target_modules=["q_proj"])
    (tmp_path / "adapter/adapter_model.safetensors").unlink()
    assert "contains adapter_config.json, but neither adapter_model.safetensors nor" in refusal(tmp_path / "adapter")
