"""The columns of the results table; each shows a property of a method."""

from collections.abc import Callable
from typing import Any

import numpy as np

from evaluate import metrics
from evaluate.formats import Column, clock, ends, four_digits, mean_and_sd, number
from evaluate.methods import Method
from evaluate.result import Result


def deviation(values: np.ndarray | list[float] | None) -> float | None:
    """Sample standard deviation; None for fewer than two values."""
    return None if values is None or len(values) < 2 else float(np.std(values, ddof=1))


def interval_or_why(interval: Callable[[Method], Any]) -> Callable[[Method], Any]:
    """An interval, or the reason why there is none."""
    return lambda method: method.groups.too_few or interval(method)


def of_draws(metric: Callable[[Result], float | None]) -> Callable[[Method], float | None]:
    """The mean of a metric over the draws."""
    return lambda method: method.mean(metric)


def macro_f1(method: Method) -> float | None:
    """Mean macro-F1 over the draws."""
    return None if method.macro_f1s is None else float(method.macro_f1s.mean())


def seed_of(draw: Result) -> str:
    """Seed and order of a draw."""
    return f"{draw.seed} order {draw.order}" if draw.order else str(draw.seed)


def whole(value: float) -> str:
    """A count as text; its mean over draws may not be whole."""
    return f"{value:.0f}" if value == round(value) else f"{value:.1f}"


COLUMNS: dict[str, Column] = {
    "dataset": Column("dataset", lambda method: method.dataset, is_number=False),
    "num_examples": Column("examples", lambda method: len(method.ids)),
    "checkpoint": Column("checkpoint", lambda method: method.checkpoint, is_number=False),
    "method": Column("method", lambda method: method.name, is_number=False),
    "dtype": Column("dtype", lambda method: method.dtype, is_number=False),
    "k": Column("k", lambda method: method.k),
    "draws": Column("draws", lambda method: len(method.seeds)),
    "seed": Column("seed", lambda method: None if None in method.seeds else ",".join(map(seed_of, method.draws))),
    "accuracy": mean_and_sd(
        "accuracy", lambda method: method.accuracy, lambda method: deviation(method.accuracies), four_digits
    ),
    "interval": ends(
        "95 % interval", interval_or_why(lambda method: method.accuracy_interval), four_digits, "accuracy "
    ),
    "worst": number("worst draw", lambda method: float(method.accuracies.min())),
    "best": number("best draw", lambda method: float(method.accuracies.max())),
    "macro_f1": mean_and_sd("macro-F1", macro_f1, lambda method: deviation(method.macro_f1s), four_digits),
    "macro_f1_interval": ends(
        "macro-F1 interval", interval_or_why(lambda method: method.macro_f1_interval), four_digits, "macro-F1 "
    ),
    "macro_f1_all": number("macro-F1, all labels", of_draws(lambda result: result.macro_f1_of_all)),
    "weighted_f1": number("weighted F1", of_draws(lambda result: result.of_confusion(metrics.weighted_f1))),
    "mcc": number("MCC", of_draws(lambda result: result.of_confusion(metrics.matthews_correlation))),
    "ece": number("ECE", of_draws(lambda result: result.calibration_error)),
    "brier": number("Brier", of_draws(lambda result: result.brier_score)),
    "nll": number("NLL", of_draws(lambda result: result.negative_log_likelihood)),
    "disagreement": number("disagreement", lambda method: method.disagreement),
    "orders": Column("orders", lambda method: len(method.order_accuracies) or None),
    "order_sd": number("sd of orders", lambda method: method.order_deviation),
    "order_worst": number("worst order", lambda method: min(method.order_accuracies, default=None)),
    "unanswered": number("unanswered", of_draws(lambda result: result.unanswered), whole),
    "tokens": number("tokens", of_draws(lambda result: result.tokens), whole),
    "time": Column("time", of_draws(lambda result: result.seconds), clock),
    "majority": number("majority", of_draws(lambda result: result.majority)),
}
