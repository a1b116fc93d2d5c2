"""What prediction on pages without labels writes and says: a row a text, and a summary for the screen."""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from finetune.block_metrics import Scores, decisions


def rows_of(words: Sequence[tuple[str, Any]], scores: Scores, label_words: Sequence[str]) -> list[dict[str, Any]]:
    """A row {text, label, score, box} of each text; label and score are None where it is blank.

    Args:
        words: Text and box of each.
        scores: The log-probabilities of each over the label words.
    """
    said = decisions(scores, label_words)
    return [
        {"text": text, "label": label, "score": found and math.exp(max(found)), "box": list(box)}
        for (text, box), label, found in zip(words, said, scores, strict=True)
    ]


def summary(title: str, rows: Sequence[dict[str, Any]], repairs: Mapping[str, int], places: Iterable[str]) -> str:
    """One screen: how many texts of which label, how sure, what was mended, where it went."""
    scores: dict[str, list[float]] = {}
    for row in rows:
        if row["label"] is not None:
            scores.setdefault(row["label"], []).append(row["score"])
    scores["all"] = [score for found in scores.values() for score in found]
    width = max(map(len, scores))
    lines = [title]
    for label, found in scores.items():
        mean = f"mean score {fmean(found):.4f}" if found else ""
        lines.append(f"  {label:<{width}}  {len(found):>6}  {mean}".rstrip())
    counts = {"without text, no label": len(rows) - len(scores["all"])} | repairs
    lines += [f"{what.replace('_', ' ')}: {count}" for what, count in counts.items() if count]
    return "\n".join([*lines, f"written to {' and '.join(places)}"])
