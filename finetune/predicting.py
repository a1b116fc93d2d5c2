"""Predicts the log-probabilities of blocks with a trained classifier."""

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from documents.chunks import Encoded
from finetune.block_metrics import Scores, block_scores
from finetune.training import Collator


def predict_scores(
    model: nn.Module, encoded: Encoded, collator: Collator, batch_size: int, *, bf16: bool = False
) -> Scores:
    """The log-probabilities of each block, in nats; None for a block without tokens.

    Args:
        bf16: Whether to use autocast to bfloat16.
    """
    return block_scores(chunk_logits(model, encoded, collator, batch_size, bf16), encoded.chunks, len(encoded.blocks))


@torch.inference_mode()
def chunk_logits(
    model: nn.Module, encoded: Encoded, collator: Collator, batch_size: int, bf16: bool
) -> Iterator[np.ndarray]:
    """Logits (T, C) of each chunk, computed batch by batch."""
    device = next(model.parameters()).device
    precision = torch.autocast(device.type, torch.bfloat16) if bf16 else contextlib.nullcontext()
    rows = encoded.rows()
    model.eval()
    for start in tqdm(range(0, len(rows), batch_size), desc="predict", unit="batch", disable=None):
        batch = {name: tensor.to(device) for name, tensor in collator(rows[start : start + batch_size]).items()}
        del batch["labels"]
        with precision:
            logits = model(**batch).logits
        yield from logits.float().cpu().numpy()
