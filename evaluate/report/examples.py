"""What the browser of examples shows, as JSON: each text, each prompt and each class once, however many results.

A set holds columns: the n-th entry of each is of the n-th example. Where all entries are the same, one stands for all.
"""

import json
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

from evaluate.report.sections import Section
from evaluate.result import Result
from preprocess.files import read_json

DECIMALS = 3  # of a score: a probability made from it is right to .1 %
ESCAPED = {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


class Places(dict):
    """Numbers what it is asked for, in that order."""

    def of(self, thing: Hashable) -> int:
        return self.setdefault(thing, len(self))


def to_json(sections: Sequence[Section]) -> str:
    """JSON without a character that means something in HTML or ends a line in JavaScript: it can stand in a script
    element, and nothing in it can end that."""
    files: dict[str, list[dict[str, Any]]] = {}
    content = {"sets": [to_set(section, files) for section in sections]}
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character, escaped in ESCAPED.items():
        text = text.replace(character, escaped)
    return text


def to_set(section: Section, files: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The examples of a section and what each of its results says of them.

    Args:
        files: Prompt files that were read already, by their paths.
    """
    labels, label_sets, templates = Places(), Places(), Places()
    first = section.results[0]
    prompts = [prompt_rows(result, files) for result in section.results]
    texts = next((texts for texts in map(texts_of, prompts) if texts), None)
    for row in first.rows:  # so that the classes come in the order of the label words
        for word in row.get("label_words", ()):
            labels.of(word)
    systems = []
    for result, name, rows in zip(section.results, section.names, prompts, strict=True):
        sets = [label_sets.of(tuple(labels.of(word) for word in row.get("label_words", ()))) for row in result.rows]
        shown = [templates.of(tuple(map(row.get, ("prompt", "completion", "separator")))) for row in rows or ()]
        cut = set(result.meta.get("cut") or ())
        systems.append({
            "name": name,
            "predictions": [-1 if word is None else labels.of(word) for word in result.predicted],
            "right": "".join("1" if correct else "0" for correct in result.correct),
            "label_sets": constant(sets),
            "scores": rounded(result.scores),
            "generations": generations(result),
            "templates": constant(shown),
            "cut": [number for number, row in enumerate(result.rows) if row["id"] in cut],
        })  # fmt: skip
    return {
        "name": section.title,
        "ids": first.ids,
        "texts": texts,
        "truths": None if first.truths is None else [labels.of(truth) for truth in first.truths],
        "systems": systems,
        "labels": list(labels),
        "label_sets": list(label_sets),
        "templates": list(templates),
    }


def prompt_rows(result: Result, files: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]] | None:
    """The prompt file of a result, whose hash `read_results` has compared; None where it is not at hand."""
    path = result.meta.get("prompt_path")
    if not path or not Path(path).is_file():
        return None
    if path not in files:
        files[path] = read_json(path, "prompt_path")
    return files[path]


def texts_of(rows: Sequence[dict[str, Any]] | None) -> list[str] | None:
    texts = [row.get("text") for row in rows or ()]
    return texts if all(isinstance(text, str) for text in texts) else None


def generations(result: Result) -> list[str] | None:
    texts = [row.get("generation") for row in result.rows]
    return texts if all(isinstance(text, str) for text in texts) else None


def rounded(scores: Sequence[Sequence[float]] | None) -> list[list[float]] | None:
    return None if scores is None else [[round(score, DECIMALS) for score in row] for row in scores]


def constant(values: Sequence[int]) -> int | Sequence[int] | None:
    """One for all where they are all the same; None where there are none."""
    return next(iter(values), None) if len(set(values)) < 2 else values
