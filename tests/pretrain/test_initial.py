"""Weights of RoBERTa and BEiT in a LayoutLMv3, with random models of these classes."""

import pytest
import torch

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")

from transformers import BeitModel, LayoutLMv3Config, LayoutLMv3Model, RobertaForMaskedLM

from preprocess.errors import InputError
from pretrain.initial import shape_of_roberta, take_weights, tokenizer_of_roberta
from pretrain.layoutlmv3 import pretrain_layoutlmv3


def layout(shape: dict) -> LayoutLMv3Model:
    return LayoutLMv3Model(LayoutLMv3Config(**shape))


def test_weights_are_copied(roberta, beit):
    shape = shape_of_roberta(str(roberta))
    assert 4 * shape["coordinate_size"] + 2 * shape["shape_size"] == 48
    model = layout(shape)
    before = {key: weight.clone() for key, weight in model.state_dict().items()}
    taken = take_weights(model, str(roberta), str(beit))
    text = RobertaForMaskedLM.from_pretrained(roberta).roberta.state_dict()
    image = BeitModel.from_pretrained(beit).embeddings.patch_embeddings.projection
    after = model.state_dict()
    assert set(text) == set(taken.text) <= set(after)
    assert all(torch.equal(after[key], text[key]) for key in text)
    assert torch.equal(after["patch_embed.proj.weight"], image.weight)
    assert torch.equal(after["patch_embed.proj.bias"], image.bias)
    assert all(torch.equal(after[key], before[key]) for key in taken.random)
    assert {"cls_token", "embeddings.x_position_embeddings.weight", "encoder.rel_pos_bias.weight"} <= set(taken.random)
    first, second, third = taken.lines("R", "B", "random")
    assert (first, second) == (f"{len(text)} weights from R", "2 weights from B")
    assert third.startswith("random: ") and "pos_embed" in third
    tokenizer = tokenizer_of_roberta(str(roberta))
    assert tokenizer.mask_token_id == 4
    assert tokenizer.pad_token_id == 1


def test_refused(roberta, beit, small):
    with pytest.raises(InputError, match=r"--init_text .*: is a beit, expected a roberta"):
        shape_of_roberta(str(beit))
    with pytest.raises(InputError, match=r"--init_image .*: is a roberta, expected a beit"):
        take_weights(layout(shape_of_roberta(str(roberta))), "", str(roberta))
    with pytest.raises(InputError, match=r"--init_text .*word_embeddings.weight has shape .*; that of the model: \("):
        take_weights(LayoutLMv3Model.from_pretrained(small), str(roberta), "")
    with pytest.raises(InputError, match=r"neither a folder nor an id of the hub .--init_text"):
        take_weights(layout(shape_of_roberta(str(roberta))), "no/such/folder", "")


def test_a_run_starts_with_them(quick, roberta, beit, tmp_path, capsys):
    """With the shape and the tokenizer of the RoBERTa, which limits the length to less than the default."""
    config = quick(init_text=str(roberta), init_image=str(beit), training={"learning_rate": 1e-12})
    pretrain_layoutlmv3(config)
    said = capsys.readouterr().out
    assert f"2 weights from {beit}" in said
    made = LayoutLMv3Model.from_pretrained(tmp_path / "run/model")
    text = RobertaForMaskedLM.from_pretrained(roberta).roberta
    assert made.config.max_position_embeddings == 130
    found, expected = made.embeddings.word_embeddings.weight, text.embeddings.word_embeddings.weight
    assert torch.allclose(found, expected, atol=1e-6)
