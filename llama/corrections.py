"""Calibration formulas: corrections of label distributions for the model's bias. All in log space, over label words.

Arrays contain log-probabilities: one row for each example and one column for each label word (N, C), or one row for
each content-free text (F, C). Input rows need not be normalised. Output rows are: their logsumexp is 0. Rows are
normalised before they are exponentiated, because exp of a sum of log-probabilities can underflow.
"""

import numpy as np

TOLERANCE = 1e-9  # relative, of a class's mean probability
ITERATIONS = 20_000


def normalise(log_probs: np.ndarray) -> np.ndarray:
    """log p of a distribution over the label words (..., C)."""
    return log_probs - np.logaddexp.reduce(log_probs, axis=-1, keepdims=True)


def log_mean(log_probs: np.ndarray) -> np.ndarray:
    """log of the mean distribution (C) of rows (N, C)."""
    return np.logaddexp.reduce(normalise(log_probs), axis=0) - np.log(len(log_probs))


def divide(log_probs: np.ndarray, free: np.ndarray) -> np.ndarray:
    """p / mean of p over content-free texts, `free` (F, C).

    contextual: texts without content such as "N/A" (Zhao et al. 2021, section 4: W = diag(1 / p_cf), b = 0)
    domain: texts of random words of the data set (Fei et al. 2023)
    pmi: the end of the prompt instead of the prompt, PMI_DC (Holtzman et al. 2021)
    """
    return normalise(normalise(log_probs) - log_mean(free))


def divide_by_batch(log_probs: np.ndarray, mean: str = "probability", examples: int = 0) -> np.ndarray:
    """p / mean of p over the examples themselves, without their labels (Zhou et al. 2023).

    Args:
        mean: probability: the arithmetic mean of p, as in the paper; log: the geometric mean.
        examples: Number of examples in the mean, the first in order; 0: all.
    """
    seen = log_probs[: examples or None]
    return normalise(normalise(log_probs) - (log_mean(seen) if mean == "probability" else normalise(seen).mean(axis=0)))


def match_prior(log_probs: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """p times one weight for each class, such that the mean of the corrected distributions is `prior` (C).

    This adjusts a model to new class priors (Saerens et al. 2002). The weights are found by Sinkhorn's iteration, which
    converges: each class is repeatedly scaled by the ratio of its prior to its mean.

    Raises:
        ValueError: No convergence within 20,000 iterations.
    """
    corrected = normalise(log_probs)
    for _ in range(ITERATIONS):
        lack = np.log(prior) - log_mean(corrected)
        if np.abs(np.expm1(-lack)).max() < TOLERANCE:
            return corrected
        corrected = normalise(corrected + lack)
    raise ValueError(
        f"after {ITERATIONS} iterations a class still differs from its prior by a factor of"
        f" {np.exp(np.abs(lack).max()):.6f}"
    )
