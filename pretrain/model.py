"""LayoutLMv3 for pre-training: with an embedding for masked patches, and a head for each objective."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, gelu, linear
from transformers import LayoutLMv3Model

from documents.chunks import IGNORED
from pretrain.objectives import CPC, MIM, MLM, WPA


class TokenHead(nn.Module):
    """The head of masked language modelling, as in RoBERTa: its output weights are the word embeddings.

    Args:
        width: Width of the hidden states.
        vocabulary: Number of tokens.
    """

    def __init__(self, width: int, vocabulary: int, eps: float):
        super().__init__()
        self.dense, self.norm = nn.Linear(width, width), nn.LayerNorm(width, eps)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, states: Tensor, embeddings: Tensor) -> Tensor:
        """(N, V) of states (N, H) and word embeddings (V, H)."""
        return linear(self.norm(gelu(self.dense(states))), embeddings, self.bias)


class PretrainingModel(nn.Module):
    """A LayoutLMv3 with the heads of its objectives.

    Args:
        backbone: The model that is saved in the end.
        objectives: The objectives to train.
        codes: Number of codes of the image tokenizer.
        areas: Number of areas of a page, for cell position classification.
    """

    def __init__(self, backbone: LayoutLMv3Model, objectives: tuple[str, ...], codes: int, areas: int):
        super().__init__()
        config = backbone.config
        width = config.hidden_size
        self.backbone, self.objectives = backbone, objectives
        heads = {
            MLM: lambda: TokenHead(width, config.vocab_size, config.layer_norm_eps),
            MIM: lambda: nn.Linear(width, codes),
            WPA: lambda: nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1)),
            CPC: lambda: nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, areas)),
        }
        self.heads = nn.ModuleDict({name: heads[name]() for name in objectives})
        for module in self.heads.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=config.initializer_range)
                nn.init.zeros_(module.bias)
        if MIM in objectives:
            self.mask_embedding = nn.Parameter(torch.empty(width).normal_(std=config.initializer_range))

    def own_state(self) -> dict[str, Tensor]:
        """The weights that the backbone does not have."""
        return {name: weight for name, weight in self.state_dict().items() if not name.startswith("backbone.")}

    def states(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Contextual states of the tokens (B, T, H) and of the patches (B, P, H); P is 0 without images."""
        inputs = {
            name: batch[name] for name in ("input_ids", "attention_mask", "bbox", "pixel_values") if name in batch
        }
        hook = None
        if MIM in self.objectives and "masked_patches" in batch:
            masked = batch["masked_patches"][..., None]
            # transformers has no other access between the patch projection and the position embeddings
            hook = self.backbone.patch_embed.register_forward_hook(
                lambda _, __, patches: torch.where(masked, self.mask_embedding.to(patches.dtype), patches)
            )
        try:
            states = self.backbone(**inputs).last_hidden_state
        finally:
            if hook is not None:
                hook.remove()
        length = batch["input_ids"].shape[1]
        return states[:, :length], states[:, length + 1 :]  # between them is the class token of the image

    def forward(self, batch: dict[str, Any]) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
        """For each objective, at its N targets: losses float32 (N,), whether the prediction is right bool (N,), and the
        row of the batch (N,)."""
        tokens, patches = self.states(batch)
        results = {}
        for name in self.objectives:
            labels = batch["labels"][name]
            rows, places = (labels != IGNORED).nonzero(as_tuple=True)
            states, targets = (patches if name == MIM else tokens)[rows, places], labels[rows, places]
            results[name] = (*self.evaluate(name, states, targets), rows)
        return results

    def evaluate(self, name: str, states: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Losses and whether predictions are right, from states (N, H) and labels (N,)."""
        head = self.heads[name]
        if name == WPA:
            logits = head(states).float().squeeze(-1)
            losses = binary_cross_entropy_with_logits(logits, targets.float(), reduction="none")
            return losses, (logits > 0) == targets.bool()
        embeddings = self.backbone.embeddings.word_embeddings.weight
        logits = (head(states, embeddings) if name == MLM else head(states)).float()
        return cross_entropy(logits, targets, reduction="none"), logits.argmax(-1) == targets
