"""The hardware limit: the work of a set of requests, and the best rate of the model's own matrices.

    seconds >= 2 x (weights of the blocks x distinct tokens + weights of the output layer x distinct scored positions)
               / best rate of the matrices

Padding and recomputation do not count as work; attention, norms and Python are not included.
"""

import math
import time
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from serve import synchronize
from torch import Tensor
from weights import sizes

ROWS = (256, 512, 1024, 2048, 4096)
PASSES = 2  # through all matrices, for each number of rows


def count_work(requests: Iterable[tuple[Sequence[int], Sequence[int]]]) -> tuple[int, int]:
    """Number of distinct tokens and of distinct scored positions of (context, target) pairs.

    Tokens are distinct if their prefixes differ: they are the nodes of the prefix tree of all sequences, counted token
    by token without the engine. Scored positions are the last token of the context and all tokens of the target, the
    last of which predicts the end of sequence.
    """
    places: dict[tuple[int, int], int] = {}
    scored = set()
    for context, target in requests:
        place = 0
        for position, token in enumerate([*context, *target]):
            place = places.setdefault((place, token), len(places) + 1)
            if position >= len(context) - 1:
                scored.add(place)
    return len(places), len(scored)


def flop_of(shape: dict[str, int], tokens: int, positions: int) -> int:
    """The work of so many distinct tokens and distinct scored positions."""
    numbers = {key: math.prod(size) for key, size in sizes(shape) if len(size) == 2}
    blocks = sum(number for key, number in numbers.items() if key.startswith("model.layers."))
    return 2 * (blocks * tokens + numbers["lm_head.weight"] * positions)


@torch.inference_mode()
def best_rate(matrices: Sequence[Tensor], numbers_of_rows: Sequence[int] = ROWS) -> tuple[float, int]:
    """The highest rate, in FLOP/s, of one pass through all matrices, one after the other, and its number of rows."""
    weights = sum(matrix.numel() for matrix in matrices)
    dtype, device = matrices[0].dtype, matrices[0].device
    best = (0.0, 0)
    for rows in numbers_of_rows:
        widths = {matrix.shape[1] for matrix in matrices}
        inputs = {width: torch.randn(rows, width, dtype=dtype, device=device) for width in widths}
        for _ in range(PASSES):
            synchronize()
            begin = time.perf_counter()
            for matrix in matrices:
                F.linear(inputs[matrix.shape[1]], matrix)
            synchronize()
            best = max(best, (2 * weights * rows / (time.perf_counter() - begin), rows))
    return best
