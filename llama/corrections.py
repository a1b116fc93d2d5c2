"""Label distributions corrected for what a model says whatever the text is. All in log space, on the label words alone.

Arrays hold log-probabilities, one row an example and one column a label word (N, C), or one row a text without content
(F, C). Rows need not be normalised; what is returned is: the logsumexp of each row is 0. A sum of log-probabilities can
be below what exp can express, so nothing is exponentiated before it is normalised.
"""

import numpy as np

TOLERANCE = 1e-9  # of a class's mean probability, relative
ITERATIONS = 20_000


def normalise(log_probs: np.ndarray) -> np.ndarray:
    """log p of a distribution over the label words (..., C)."""
    return log_probs - np.logaddexp.reduce(log_probs, axis=-1, keepdims=True)


def log_mean(log_probs: np.ndarray) -> np.ndarray:
    """log of the mean distribution (C) of rows (N, C)."""
    return np.logaddexp.reduce(normalise(log_probs), axis=0) - np.log(len(log_probs))


def divide(log_probs: np.ndarray, free: np.ndarray) -> np.ndarray:
    """p / mean of p over texts that say nothing of the class, `free` (F, C).

    contextual: texts without content such as "N/A" (Zhao et al. 2021, section 4: W = diag(1 / p_cf), b = 0)
    domain: texts of random words of the data set (Fei et al. 2023)
    pmi: the end of the prompt in place of the prompt, PMI_DC (Holtzman et al. 2021)
    """
    return normalise(normalise(log_probs) - log_mean(free))


def divide_by_batch(log_probs: np.ndarray, mean: str = "probability", examples: int = 0) -> np.ndarray:
    """p / mean of p over the examples themselves, without their labels (Zhou et al. 2023).

    Args:
        mean: probability, the paper's: the mean of p; log: the mean of log p, the geometric one.
        examples: Take the mean over the first so many; 0: all.
    """
    seen = log_probs[: examples or None]
    return normalise(normalise(log_probs) - (log_mean(seen) if mean == "probability" else normalise(seen).mean(axis=0)))


def match_prior(log_probs: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """p times one weight a class, such that the mean of the corrected distributions is `prior` (C).

    The weights are found as those that adjust a model to new priors (Saerens et al. 2002), here from the prior to the
    weights: each class is raised by what it lacks, again and again (Sinkhorn's scaling; it converges).

    Raises:
        ValueError: It did not, within 20,000 rounds.
    """
    corrected = normalise(log_probs)
    for _ in range(ITERATIONS):
        lack = np.log(prior) - log_mean(corrected)
        if np.abs(np.expm1(-lack)).max() < TOLERANCE:
            return corrected
        corrected = normalise(corrected + lack)
    raise ValueError(
        f"after {ITERATIONS} rounds a class still differs from its prior by a factor of"
        f" {np.exp(np.abs(lack).max()):.6f}"
    )
