"""Differences between the results of the systems and the naive reference in float32, in nats per token.

direct, channel   the largest difference of a log-probability. lm-evaluation-harness returns only sums: the difference
                  is divided by the number of tokens.
generate          at the first token that differs from the naive continuation, the difference between the
                  log-probabilities of the two tokens.
"""

from collections.abc import Callable, Sequence
from typing import Any

REFERENCE_EXAMPLES = 32  # scored again in float32 if the run has another dtype
SUMS_ALONE = "lm_eval"

Results = Sequence[Sequence[float]]
Pairs = Sequence[Sequence[Sequence[int]]]  # (context, target)
Scorer = Callable[[Pairs], Results]


def compare(workload: dict[str, Any], results: dict[str, Results], score: Scorer) -> dict[str, dict[str, Any]]:
    """The differences of each system from the naive reference; empty if that did not run.

    Args:
        results: Results of each system, one for each request.
        score: The naive reference in float32: the log-probabilities of each target and of EOS.
    """
    if "naive" not in results:
        return {}
    if workload["method"] == "generate":
        return compare_generated(workload, results, score)
    reference = results["naive"]
    if workload["dtype"] != "float32":
        reference = score(workload["requests"][: min(len(reference), REFERENCE_EXAMPLES * workload["words"])])
    return {system: compare_scores(rows, reference, system == SUMS_ALONE) for system, rows in results.items()}


def compare_scores(rows: Results, reference: Results, sums_alone: bool) -> dict[str, Any]:
    """The differences of scores. EOS is ignored if a system does not score it; rows with other tokens are ignored."""
    largest, other_tokens = 0.0, 0
    for row, expected in zip(rows, reference, strict=False):  # the product may have more rows
        if sums_alone:
            largest = max(largest, abs(row[0] - sum(expected[:-1])) / (len(expected) - 1))
        elif len(expected) - len(row) not in (0, 1):
            other_tokens += 1
        else:
            largest = max(largest, *(abs(a - b) for a, b in zip(row, expected, strict=False)))
    return {"difference": largest, "rows_with_other_tokens": other_tokens}


def compare_generated(workload: dict[str, Any], results: dict[str, Results], score: Scorer) -> dict[str, Any]:
    """The differences of each system's continuations from the naive ones."""
    differences = {}
    for system, rows in results.items():
        pairs = []
        for (context, _), own, naive in zip(workload["requests"], rows, results["naive"], strict=False):
            if list(own) != list(naive):
                pairs += choices(context, [*own, workload["eos_id"]], [*naive, workload["eos_id"]])
        log_probs = [row[0] for row in score(pairs)] if pairs else []
        gaps = [abs(a - b) for a, b in zip(log_probs[::2], log_probs[1::2], strict=True)]
        differences[system] = {"difference": max(gaps, default=0.0), "rows_with_other_tokens": len(gaps)}
    return differences


def choices(context: Sequence[int], own: Sequence[int], naive: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """The first tokens at which two continuations differ, each with the common context."""
    place = next(place for place, (a, b) in enumerate(zip(own, naive, strict=False)) if a != b)
    common = [*context, *own[:place]]
    return [(common, [own[place]]), (common, [naive[place]])]
