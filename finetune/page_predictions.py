"""Output of prediction on pages without labels: one row per text, and a summary for the screen."""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from finetune.block_metrics import Scores, decisions


def rows_of(words: Sequence[tuple[str, Any]], scores: Scores, label_words: Sequence[str]) -> list[dict[str, Any]]:
    """A row {text, label, score, box} for each text; label and score are None for blank texts.

    Args:
        words: Text and box of each.
        scores: Log-probabilities of each text over the label words; None for blank texts.
    """
    labels = decisions(scores, label_words)
    return [
        {"text": text, "label": label, "score": row and math.exp(max(row)), "box": list(box)}
        for (text, box), label, row in zip(words, labels, scores, strict=True)
    ]


def summary(title: str, rows: Sequence[dict[str, Any]], repairs: Mapping[str, int], places: Iterable[str]) -> str:
    """A summary for the screen: number of texts and mean score of each label, repairs, output paths."""
    scores: dict[str, list[float]] = {}
    for row in rows:
        if row["label"] is not None:
            scores.setdefault(row["label"], []).append(row["score"])
    scores["all"] = [score for of_label in scores.values() for score in of_label]
    width = max(map(len, scores))
    lines = [title]
    for label, of_label in scores.items():
        mean = f"mean score {fmean(of_label):.4f}" if of_label else ""
        lines.append(f"  {label:<{width}}  {len(of_label):>6}  {mean}".rstrip())
    counts = {"without text, not labelled": len(rows) - len(scores["all"])} | repairs
    lines += [f"{what.replace('_', ' ')}: {count}" for what, count in counts.items() if count]
    return "\n".join([*lines, f"written to {' and '.join(places)}"])
