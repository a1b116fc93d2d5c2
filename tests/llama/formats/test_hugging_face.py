"""Hugging Face folders: every architecture against transformers on the same files; errors are one line."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from llama import LLaMA, Request, load, open_checkpoint
from llama.generation import Sampling
from llama.shared import all_batches

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
    "rope_theta": 10000.0,
}
KINDS = {
    "llama": ("Llama", {}),
    "multi-head": ("Llama", {"num_key_value_heads": 4}),
    "one key-value head": ("Llama", {"num_key_value_heads": 1}),
    "tied": ("Llama", {"tie_word_embeddings": True}),
    "wide heads": ("Llama", {"head_dim": 16}),
    "narrow heads": ("Llama", {"head_dim": 6, "tie_word_embeddings": True}),
    "biases": ("Llama", {"attention_bias": True, "mlp_bias": True}),
    "llama3 scaling": ("Llama", {"rope_parameters": LLAMA3}),
    "linear scaling": ("Llama", {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 500.0}}),
    "nothing at its default": ("Llama", {"rms_norm_eps": 0.02, "rope_parameters": {"rope_theta": 5e5}}),
    "mistral": ("Mistral", {"head_dim": 16}),
    "mistral with a window": ("Mistral", {"sliding_window": 96}),
    "qwen2": ("Qwen2", {}),
    "qwen2 tied": ("Qwen2", {"tie_word_embeddings": True, "num_key_value_heads": 4}),
    "qwen3": ("Qwen3", {"head_dim": 16}),
    "qwen3 tied with biases": ("Qwen3", {"head_dim": 8, "tie_word_embeddings": True, "attention_bias": True}),
}


def assert_same(ours: LLaMA, theirs, length: int = 90) -> None:
    """Log-probabilities within 1e-4 nats per token up to the last position, and the same greedy tokens."""
    ids = torch.randint(3, 384, (length,), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = torch.log_softmax(theirs(ids[None]).logits[0].double(), dim=-1)
    requests = [Request(tuple(ids[:1].tolist()), tuple(ids[1:].tolist()))]
    requests += [Request(tuple(ids[:40].tolist()), tuple(ids[40:end].tolist())) for end in (41, 60, 75)]
    for index, log_probs in all_batches(ours.scoring(requests)):
        start = len(requests[index].context)
        target = torch.tensor(requests[index].target)
        found = expected[start - 1 : start - 1 + len(target)].gather(1, target[:, None])[:, 0]
        torch.testing.assert_close(log_probs[:-1].double(), found, atol=1e-4, rtol=0)
    contexts = [tuple(ids[:number].tolist()) for number in (1, 9, 60)]
    new = dict(all_batches(ours.generation(contexts, [0, 0, 0], Sampling(16, temperature=0, top_p=1))))
    for index, context in enumerate(contexts):
        tokens = theirs.generate(
            torch.tensor([context]),
            attention_mask=torch.ones(1, len(context), dtype=torch.long),
            max_new_tokens=16,
            do_sample=False,
            pad_token_id=0,
        )[0, len(context) :].tolist()
        assert new[index] == [token for token in tokens if token not in ours.tokenizer.end_ids]


@pytest.mark.parametrize(("architecture", "config"), KINDS.values(), ids=KINDS)
def test_agrees_with_transformers(architecture, config, save_model, one_process, tmp_path) -> None:
    theirs = save_model(tmp_path, architecture, **config)
    ours = load(str(tmp_path), dtype="float32")
    assert ours.model.args.max_seq_len == 96
    assert_same(ours, theirs)
    shared = ours.model.output.weight.data_ptr() == ours.model.tok_embeddings.weight.data_ptr()
    assert shared == config.get("tie_word_embeddings", False)


def test_scaling_in_older_files(save_model, one_process, tmp_path) -> None:
    """rope_scaling with `type`, and rope_theta beside it."""
    theirs = save_model(tmp_path, rope_parameters=KINDS["linear scaling"][1]["rope_parameters"])
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    del config["rope_parameters"]
    path.write_text(json.dumps(config | {"rope_theta": 500.0, "rope_scaling": {"type": "linear", "factor": 4.0}}))
    assert_same(load(str(tmp_path)), theirs)


@pytest.mark.parametrize("safe", [True, False])
def test_shards(safe, save_model, one_process, tmp_path) -> None:
    """Split by transformers, or as *.bin, which it no longer writes."""
    theirs = save_model(tmp_path, max_shard_size="20KB", tie_word_embeddings=True)
    assert len(list(tmp_path.glob("model-0*.safetensors"))) > 2
    if not safe:
        to_bin(tmp_path)
    assert_same(load(str(tmp_path)), theirs)


def to_bin(folder: Path) -> None:
    """Replace safetensors by files of torch.save."""
    for path in folder.glob("*.safetensors"):
        torch.save(
            load_file(path), folder / path.name.replace("model", "pytorch_model").replace(".safetensors", ".bin")
        )
        path.unlink()
    for path in folder.glob("*.safetensors.index.json"):
        text = path.read_text().replace("model-", "pytorch_model-").replace(".safetensors", ".bin")
        (folder / "pytorch_model.bin.index.json").write_text(text)
        path.unlink()


def change(folder: Path, **entries: object) -> None:
    """Rewrite config.json; None removes an entry."""
    path = folder / "config.json"
    config = json.loads(path.read_text()) | entries
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def test_a_tied_model_that_stores_another_output(save_model, one_process, tmp_path) -> None:
    """transformers uses the stored one; an equal copy is stored once in memory."""
    theirs = save_model(tmp_path)
    change(tmp_path, tie_word_embeddings=True)
    assert_same(load(str(tmp_path)), theirs)
    path = tmp_path / "model.safetensors"
    weights = load_file(path)
    save_file(weights | {"lm_head.weight": weights["model.embed_tokens.weight"].clone()}, path)
    assert open_checkpoint(str(tmp_path)).args.tied_output


WRONG_CONFIGS = {
    "another architecture": (
        {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"},
        "architecture GPT2LMHeadModel (model_type gpt2) is not supported, expected one of LlamaForCausalLM, Mistral",
    ),
    "a classifier": (
        {"architectures": ["LlamaForSequenceClassification"]},
        "architecture LlamaForSequenceClassification (model_type llama) is not supported",
    ),
    "vision": (
        {"architectures": ["MllamaForConditionalGeneration"], "model_type": "mllama"},
        "architecture MllamaForConditionalGeneration",
    ),
    "no architecture": ({"architectures": None, "model_type": "gpt2"}, "architecture unset (model_type gpt2)"),
    "quantized": (
        {"quantization_config": {"quant_method": "awq"}},
        "quantized weights (quantization_config: awq) are not supported",
    ),
    "mlx": ({"quantization": {"group_size": 64, "bits": 4}}, "quantized weights (quantization: 4) are not supported"),
    "yarn": (
        {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e4}},
        "rotary scaling 'yarn' is not supported, expected default, linear or llama3",
    ),
    "longrope": (
        {"rope_parameters": None, "rope_scaling": {"type": "longrope"}},
        "rotary scaling 'longrope' is not supported",
    ),
    "dynamic": (
        {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}},
        "rotary scaling 'dynamic' is not supported, expected default, linear or llama3; it has no effect within the"
        " first 96 tokens: use `max_seq_len` 96",
    ),
    "part of a head": ({"partial_rotary_factor": 0.5}, "partial_rotary_factor is not supported"),
    "no factor": (
        {"rope_parameters": {"rope_type": "llama3", "factor": 8.0}},
        "rotary scaling 'llama3' without low_freq_factor",
    ),
    "activation": ({"hidden_act": "gelu"}, "hidden_act 'gelu' is not supported, expected silu"),
    "a key of another type": ({"hidden_size": "32"}, "hidden_size is '32', expected a whole number"),
    "a key is missing": ({"num_hidden_layers": None}, "key 'num_hidden_layers' is missing"),
    "heads": ({"num_key_value_heads": 3}, "3 key-value heads do not divide 4 heads"),
    "width": ({"head_dim": None, "hidden_size": 33}, "hidden_size 33 is not a multiple of 4 heads"),
}


@pytest.mark.parametrize(("entries", "message"), WRONG_CONFIGS.values(), ids=WRONG_CONFIGS)
def test_unsupported_features_are_refused(entries, message, save_model, refusal, tmp_path) -> None:
    save_model(tmp_path)
    change(tmp_path, **entries)
    assert refusal(tmp_path).startswith(f"{tmp_path / 'config.json'}: {message}")


def test_lengths(save_model, refusal, one_process, tmp_path) -> None:
    """A window and dynamic scaling have no effect if no sequence exceeds them."""
    path = tmp_path / "config.json"
    theirs = save_model(tmp_path, "Mistral", sliding_window=50)
    assert refusal(tmp_path).startswith(f"{path}: sliding_window 50 is shorter than sequences of 96 tokens")
    assert refusal(tmp_path, max_seq_len=97) == f"`max_seq_len` 97: {path} allows at most 96"
    assert_same(load(str(tmp_path), max_seq_len=50), theirs, length=34)
    change(tmp_path, sliding_window=None, rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4})
    assert open_checkpoint(str(tmp_path), max_seq_len=96).args.rope_scaling is None
    change(tmp_path, rope_parameters=None, max_position_embeddings=131072)
    assert open_checkpoint(str(tmp_path)).args.max_seq_len == 4096


W = "model.layers.0.mlp.gate_proj.weight"
WRONG_WEIGHTS = {
    "missing": (lambda weights: weights.pop(W), f"weight {W} is missing"),
    "extra": (lambda weights: weights.update(visual=torch.ones(1)), "unexpected weight visual for this config.json"),
    "shape": (lambda weights: weights.update({W: torch.ones(3, 2)}), f"{W} has shape (3, 2), expected (56"),
    "integers": (lambda weights: weights.update({W: torch.ones(3).int()}), f"{W} is torch.int32, expected floating"),
    "eight bits": (lambda weights: weights.update({W: torch.ones(3).to(torch.float8_e4m3fn)}), f"{W} is torch.float8"),
}


@pytest.mark.parametrize(("change_weights", "message"), WRONG_WEIGHTS.values(), ids=WRONG_WEIGHTS)
def test_wrong_weights(change_weights, message, save_model, refusal, tmp_path) -> None:
    save_model(tmp_path)
    path = tmp_path / "model.safetensors"
    weights = load_file(path)
    change_weights(weights)
    save_file(weights, path)
    assert refusal(tmp_path).startswith(f"{path}: {message}")


def test_damaged_files(save_model, refusal, tmp_path) -> None:
    save_model(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    assert refusal(tmp_path).startswith(f"{path}: damaged or truncated: ")
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    assert refusal(tmp_path).startswith(f"{path}: is a Git LFS pointer")
    (tmp_path / "config.json").write_text("[]")
    assert refusal(tmp_path) == f"{tmp_path / 'config.json'}: expected a JSON object, found list"


def test_without_the_package(save_model, refusal, monkeypatch, tmp_path) -> None:
    save_model(tmp_path)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    line = f"{tmp_path / 'model.safetensors'}: needs the package safetensors, which is not installed: pip install safe"
    assert refusal(tmp_path).startswith(line)


def test_index_of_shards(save_model, refusal, tmp_path) -> None:
    save_model(tmp_path, max_shard_size="20KB")
    index = tmp_path / "model.safetensors.index.json"
    lost = sorted(tmp_path.glob("model-0*"))[1]
    lost.unlink()
    assert refusal(tmp_path) == f"{tmp_path}: {lost.name} is missing, which {index.name} names"
    index.write_text(json.dumps({"weight_map": {W: "../elsewhere.safetensors"}}))
    assert refusal(tmp_path) == f"{index}: expected files in the same folder, found ../elsewhere.safetensors"
    index.write_text("{}")
    assert re.match(f"{index}: expected a weight_map", refusal(tmp_path))


def test_a_sentencepiece_tokenizer(save_model, tokenizer_path, refusal, tmp_path) -> None:
    """Used without tokenizer.json; tokenizer_config.json states whether a sequence starts with BOS."""
    save_model(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "tokenizer.model").write_bytes(tokenizer_path.read_bytes())
    tokenizer = open_checkpoint(str(tmp_path)).tokenizer
    assert (tokenizer.n_words, tokenizer.bos_id, tokenizer.eos_id) == (384, 1, 2)
    (tmp_path / "tokenizer_config.json").write_text('{"add_bos_token": false}')
    assert open_checkpoint(str(tmp_path)).tokenizer.encode_pair("", "") == ((2,), ())
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "<|im_end|>"}')
    assert refusal(tmp_path).startswith(
        f"{tmp_path / 'tokenizer_config.json'}: eos_token '<|im_end|>' is not in tokeni"
    )


def test_ends_of_a_generation(save_model, refusal, tmp_path) -> None:
    save_model(tmp_path)
    path = tmp_path / "generation_config.json"
    for stated, expected in ((7, {7}), ([7, 2], {7, 2}), (None, {2})):
        path.write_text(json.dumps({"eos_token_id": stated}))
        assert open_checkpoint(str(tmp_path)).tokenizer.end_ids == expected
    change(tmp_path, eos_token_id=None)
    path.unlink()
    assert open_checkpoint(str(tmp_path)).tokenizer.end_ids == {2}  # the tokenizer's own
    path.write_text('{"eos_token_id": "</s>"}')
    assert refusal(tmp_path) == f"{path}: eos_token_id is '</s>', expected a whole number or a list of them"


def test_a_tokenizer_of_another_model(save_model, refusal, tmp_path) -> None:
    save_model(tmp_path, vocab_size=400)
    assert open_checkpoint(str(tmp_path)).args.vocab_size == 400  # rows without a token are common
    save_model(tmp_path, vocab_size=380)
    expected = f"{tmp_path / 'tokenizer.json'}: has ids up to 383, but {tmp_path / 'config.json'} has an embedding of"
    assert refusal(tmp_path).startswith(expected)


def test_no_tokenizer(save_model, refusal, tmp_path) -> None:
    save_model(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.unlink()
    line = f"`tokenizer_path`: not given, and neither {path} nor {tmp_path / 'tokenizer.model'} exists"
    assert refusal(tmp_path) == line
    (tmp_path / "vocab.json").touch()
    (tmp_path / "merges.txt").touch()
    assert refusal(tmp_path).startswith(f"{line}; make tokenizer.json from vocab.json and merges.txt")
    (tmp_path / "trainer_state.json").touch()
    assert refusal(tmp_path).startswith(f"{line}; a Trainer checkpoint has no tokenizer")
