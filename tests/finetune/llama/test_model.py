"""The loaded model is the named one, in every format."""

from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("peft", reason="needs requirements-finetune.txt")

import transformers
from safetensors.torch import load_file, save_file

from finetune.llama.model import load_base
from llama import CheckpointError, load
from preprocess.blocks import LABEL_WORDS
from preprocess.errors import InputError

IDS = torch.tensor([[1, 300, 17, 5, 260, 99, 120, 8]])


def base(model: object, tmp_path: Path):
    return load_base(
        str(model), LABEL_WORDS, torch.float32, ["some text to train on", "and more"] * 50, tmp_path / "base"
    )


@pytest.mark.parametrize("params", [{}, {"n_kv_heads": 2, "shards": 2}, {"rope_theta": 500.0}])
def test_a_checkpoint_in_metas_format_gives_the_same_hidden_states(make_checkpoint, tmp_path, one_process, params):
    """Compared with our own model, which tests/llama compares with transformers by another conversion."""
    folder = make_checkpoint(tmp_path / "meta", max_seq_len=64, **params)
    expected = load(str(folder)).model
    converted = base(folder, tmp_path)
    with torch.inference_mode():
        hidden = converted.model.eval().model(IDS).last_hidden_state
        torch.testing.assert_close(hidden, expected(IDS), atol=1e-4, rtol=0)
        logits = hidden @ expected.output.weight.T
        torch.testing.assert_close(logits, expected.output(expected(IDS)), atol=1e-4, rtol=0)
    assert converted.model.config.max_position_embeddings == 64
    assert converted.fingerprint


def test_the_tiny_checkpoint(root, tmp_path, one_process):
    folder = root / "checkpoints/tiny"
    with torch.inference_mode():
        hidden = base(folder, tmp_path).model.eval().model(IDS).last_hidden_state
        torch.testing.assert_close(hidden, load(str(folder)).model(IDS), atol=1e-4, rtol=0)


def test_a_folder_in_transformers_format_gives_the_same(make_checkpoint, tmp_path):
    first = base(make_checkpoint(tmp_path / "meta"), tmp_path)
    first.model.save_pretrained(tmp_path / "saved")
    first.tokenizer.save_pretrained(tmp_path / "saved")
    second = base(tmp_path / "saved", tmp_path)
    with torch.inference_mode():
        assert torch.equal(first.model.eval()(IDS).logits, second.model.eval()(IDS).logits)
    assert second.name == "saved"
    assert second.tokenizer("a  </s> 日本").input_ids == first.tokenizer("a  </s> 日本").input_ids


def test_random_is_created_once(tmp_path):
    torch.manual_seed(1)
    first = base("random", tmp_path)
    second = base("random", tmp_path)
    with torch.inference_mode():
        assert torch.equal(first.model.eval()(IDS).logits, second.model.eval()(IDS).logits)
    assert second.tokenizer("some text").input_ids == first.tokenizer("some text").input_ids


def test_refusals(tmp_path, make_checkpoint):
    bert = tmp_path / "bert"
    transformers.BertConfig().save_pretrained(bert)
    with pytest.raises(InputError, match=r"--model .*bert: is a bert, expected a llama"):
        base(bert, tmp_path)
    with pytest.raises(InputError, match=r"neither params\.json"):
        base(tmp_path, tmp_path)
    config = transformers.LlamaConfig(num_labels=2, architectures=["LlamaForTokenClassification"])
    config.save_pretrained(tmp_path / "two")
    with pytest.raises(InputError, match=r"classifies LABEL_0, LABEL_1; the data set has Caption, "):
        base(tmp_path / "two", tmp_path)
    (make_checkpoint(tmp_path / "meta") / "consolidated.00.pth").unlink()
    with pytest.raises(CheckpointError, match=r"no consolidated\.NN\.pth"):
        base(tmp_path / "meta", tmp_path)
    transformers.LlamaConfig().save_pretrained(tmp_path / "weightless")
    with pytest.raises(InputError, match="transformers cannot load it"):
        base(tmp_path / "weightless", tmp_path)


def test_rotary_tables_are_not_rounded(make_checkpoint, tmp_path):
    """In bfloat16, weights are rounded, but the tables of rotary angles are not."""
    folder = make_checkpoint(tmp_path / "meta")
    model = load_base(str(folder), LABEL_WORDS, torch.bfloat16, [], tmp_path).model
    assert model.model.layers[0].mlp.up_proj.weight.dtype == torch.bfloat16
    expected = base(folder, tmp_path).model.model.rotary_emb.inv_freq
    assert torch.equal(model.model.rotary_emb.inv_freq, expected)


def test_a_damaged_file(make_checkpoint, tmp_path):
    first = base(make_checkpoint(tmp_path / "meta"), tmp_path)
    first.model.save_pretrained(tmp_path / "saved")
    first.tokenizer.save_pretrained(tmp_path / "saved")
    path = tmp_path / "saved/model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"--model .*saved: transformers cannot load it: "):
        base(tmp_path / "saved", tmp_path)


def test_a_missing_weight(tmp_path):
    """transformers would initialize it at random; only the classifier may be new."""
    base("random", tmp_path)
    path = tmp_path / "base/model.safetensors"
    weights = load_file(path)
    lost = next(name for name in weights if name.endswith("q_proj.weight"))
    save_file({name: weight for name, weight in weights.items() if name != lost}, path, {"format": "pt"})
    with pytest.raises(InputError, match=f"base: 1 weights are missing, such as {lost}"):
        base(tmp_path / "base", tmp_path)
