"""The hardware limit: the work of a set of requests, and the best rate of the model's own matrices.

    seconds >= 2 x (weights of the blocks x distinct tokens + weights of the output layer x distinct scored positions)
               / best rate of the matrices

Padding and recomputation do not count as work; attention, norms and Python are not included. The products of attention
are counted apart: with a prefix of several thousand tokens they are about as many as those of the weights.
"""

import math
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from serve import synchronize
from torch import Tensor
from weights import sizes

ROWS = (256, 512, 1024, 2048, 4096)
PASSES = 2  # through all matrices, for each number of rows


class Work(NamedTuple):
    """The work of a set of requests.

    Args:
        tokens: Number of distinct tokens.
        positions: Number of distinct scored positions.
        attended: Sum over the distinct tokens of the number of tokens that each attends to, itself included.
    """

    tokens: int
    positions: int
    attended: int


def count_work(requests: Iterable[tuple[Sequence[int], Sequence[int]]]) -> Work:
    """The work of (context, target) pairs.

    Tokens are distinct if their prefixes differ: they are the nodes of the prefix tree of all sequences, counted token
    by token without the engine. Scored positions are the last token of the context and all tokens of the target, the
    last of which predicts the end of sequence.
    """
    places: dict[tuple[int, int], int] = {}
    scored = set()
    attended = 0
    for context, target in requests:
        place = 0
        for position, token in enumerate([*context, *target]):
            before = len(places)
            place = places.setdefault((place, token), before + 1)
            attended += (position + 1) * (len(places) - before)
            if position >= len(context) - 1:
                scored.add(place)
    return Work(len(places), len(scored), attended)


def flop_of(shape: dict[str, int], tokens: int, positions: int) -> int:
    """The products of so many distinct tokens and distinct scored positions with the weights."""
    numbers = {key: math.prod(size) for key, size in sizes(shape) if len(size) == 2}
    blocks = sum(number for key, number in numbers.items() if key.startswith("model.layers."))
    return 2 * (blocks * tokens + numbers["lm_head.weight"] * positions)


def attention_flop(shape: dict[str, int], attended: int) -> int:
    """The products of queries with keys, and of attention weights with values; see `Work`."""
    return 2 * 2 * shape["dim"] * shape["n_layers"] * attended


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
