"""Recomputed activations give the same gradients, with either trainer."""

import json
from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("lightning", reason="needs requirements-finetune.txt")

from documents.layoutlmv3 import checkpoint_gradients
from finetune.layoutlmv3.fine_tuning import finetune_layoutlmv3
from finetune.layoutlmv3.model import load_layout


def test_gradients_are_the_same_and_layers_are_computed_twice(tmp_path):
    torch.manual_seed(0)
    model = load_layout("random", ("O", "X"), ["some words to train on"] * 20, tmp_path).model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    batch = {"input_ids": torch.tensor([[0, 7, 8, 2]]), "bbox": torch.randint(0, 1000, (1, 4, 4)).sort().values}
    calls, gradients = [], []
    model.layoutlmv3.encoder.layer[0].intermediate.register_forward_hook(lambda *_: calls.append(1))
    for checkpointed in (False, True):
        if checkpointed:
            checkpoint_gradients(model)
        model.zero_grad()
        model(**batch, pixel_values=torch.zeros(1, 3, 224, 224)).logits.sum().backward()
        gradients.append(
            {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
        )
    assert len(calls) == 1 + 2
    assert gradients[0].keys() == gradients[1].keys()
    assert all(torch.allclose(gradients[0][name], gradients[1][name], atol=1e-6) for name in gradients[0])


@pytest.mark.parametrize("trainer", ["lightning", "hf"])
def test_a_run(quick_layout, trainer):
    config = quick_layout(trainer=trainer, training={"steps": 2, "gradient_checkpointing": True})
    finetune_layoutlmv3(config)
    assert json.loads((Path(config.output_dir) / "metrics.json").read_text())["steps"] == 2
