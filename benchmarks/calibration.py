"""Compares calibrations on test sets with increasingly imbalanced classes.

python benchmarks/calibration.py --direct outputs_direct.json --calibrated outputs_direct_calibrate.json

Test sets are drawn from examples with known label distributions, so no model is needed.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from options import run

# isort: split

import math
from dataclasses import dataclass

import numpy as np

from evaluate.reading import read_checked
from evaluate.result import Result
from llama.corrections import divide, divide_by_batch, match_prior, normalise
from preprocess.errors import InputError
from preprocess.files import PathFlag


@dataclass(frozen=True)
class CalibrationConfig:
    """Draw test sets with increasingly imbalanced classes from scored examples, and compare calibrations on them.

    Args:
        direct: Predictions of run_evaluate_direct_llama.py, of a balanced test split.
        calibrated: Predictions of run_evaluate_direct_calibrate_llama.py --method contextual made from them; without
            it, contextual is left out.
        examples: Examples in a test set.
        skews: Comma-separated fractions of the test set that one class gets beyond an equal share; 0 is balanced.
        draws: Test sets for each skew; the classes take turns as the frequent one.
        seed: Random seed of the draws.
    """

    direct: PathFlag = "results/tiny/outputs_direct_ag_news_test.json"
    calibrated: PathFlag = ""
    examples: int = 1000
    skews: str = "0,0.25,0.5,0.75,0.9"
    draws: int = 20
    seed: int = 0


def measure(config: CalibrationConfig) -> None:
    """Print the mean accuracy for each skew."""
    skews = read_skews(config.skews)
    result = Result(read_checked(Path(config.direct)))
    if (
        result.scores is None
        or result.truth_places is None
        or len({tuple(row["label_words"]) for row in result.rows}) > 1
    ):
        raise InputError(f"{config.direct}: expected scores and ground truths, one set of label words (--direct)")
    scores, truths = normalise(np.array(result.scores)), np.array(result.truth_places)
    classes = scores.shape[1]
    uniform = np.full(classes, 1 / classes)
    names = ["direct", "batch", "prior uniform", "prior true"]
    if config.calibrated:
        free = np.array(
            [row["log_probs"] for row in Result(read_checked(Path(config.calibrated))).meta["content_free"]]
        )
        names.insert(1, "contextual")
    print("| share of one class | " + " | ".join(names) + " |")
    print("|---:|" + "---:|" * len(names))
    generator = np.random.default_rng(config.seed)
    for skew in skews:
        accuracies = []
        for draw in range(config.draws):
            prior = (1 - skew) * uniform + skew * np.eye(classes)[draw % classes]
            chosen = draw_examples(truths, prior, config.examples, generator)
            given, truth = scores[chosen], truths[chosen]
            corrected = {
                "direct": given,
                "batch": divide_by_batch(given),
                "prior uniform": match_prior(given, uniform),
                "prior true": match_prior(given, prior),
            }
            if config.calibrated:
                corrected["contextual"] = divide(given, free)
            accuracies.append([(corrected[name].argmax(-1) == truth).mean() for name in names])
        share = (1 - skew) / classes + skew
        print(f"| {share:.2f} | " + " | ".join(f"{value:.3f}" for value in np.mean(accuracies, axis=0)) + " |")


def read_skews(text: str) -> list[float]:
    """The numbers in a comma-separated list; raises InputError unless they are from 0 to 1."""
    try:
        skews = [float(part) for part in text.split(",")]
    except ValueError:
        skews = [math.nan]
    if not all(0 <= skew <= 1 for skew in skews):
        raise InputError(f"--skews {text}: expected comma-separated numbers from 0 to 1")
    return skews


def draw_examples(truths: np.ndarray, prior: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Indices of examples, drawn without replacement with the class frequencies `prior`.

    Raises:
        InputError: A class has too few examples.
    """
    chosen = []
    for place, wanted in enumerate(np.round(prior * count).astype(int)):
        members = np.flatnonzero(truths == place)
        if wanted > len(members):
            raise InputError(f"--examples {count}: class {place} has {len(members)} examples, {wanted} are needed")
        chosen.append(generator.choice(members, wanted, replace=False))
    return np.concatenate(chosen)


if __name__ == "__main__":
    run(CalibrationConfig, measure)
