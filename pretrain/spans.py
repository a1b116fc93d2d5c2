"""Masked language modelling (Huang et al. 2022, section 3.3): tokens masked in spans, as in BART and SpanBERT."""

from collections.abc import Sequence

import numpy as np


def draw_spans(count: int, ratio: float, mean: float, generator: np.random.Generator) -> np.ndarray:
    """Which of `count` units are masked, bool (count,): round(ratio * count) of them.

    Spans with Poisson-distributed lengths are placed at random until enough units are masked; the last span is cut
    short. Overlaps count once; a length of 0 masks nothing.
    """
    wanted = round(ratio * count)
    masked = np.zeros(count, bool)
    left = wanted
    while left:
        start, length = int(generator.integers(count)), int(generator.poisson(mean))
        for place in range(start, min(start + length, count)):
            if left and not masked[place]:
                masked[place] = True
                left -= 1
    return masked


def masked_tokens(
    words: Sequence[int], ratio: float, mean: float, unit: str, generator: np.random.Generator
) -> np.ndarray:
    """Which of the text tokens of a chunk are masked, bool (T,).

    Args:
        words: The word of each token.
        unit: token: a word may be masked in part; word: only whole words.
    """
    if unit == "token":
        return draw_spans(len(words), ratio, mean, generator)
    starts = [place == 0 or word != words[place - 1] for place, word in enumerate(words)]
    numbers = np.cumsum(starts, dtype=int) - 1
    return draw_spans(int(sum(starts)), ratio, mean, generator)[numbers] if starts else np.zeros(0, bool)


def corrupted(
    ids: Sequence[int],
    masked: np.ndarray,
    mask_id: int,
    others: np.ndarray,
    shares: tuple[float, float],
    generator: np.random.Generator,
) -> list[int]:
    """The model's input: most masked tokens become the mask token, some a random token, the rest is unchanged.

    Args:
        others: The ids from which random tokens are drawn: all except special tokens.
        shares: The shares of mask tokens and of random tokens among the masked.
    """
    read = list(ids)
    for place in np.flatnonzero(masked):
        drawn, other = generator.random(), others[generator.integers(len(others))]
        if drawn < shares[0]:
            read[place] = mask_id
        elif drawn < sum(shares):
            read[place] = int(other)
    return read
