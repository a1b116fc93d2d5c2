"""Data of the browser of examples. Texts, parts of prompts and classes are stored once, however many results there are.

A set has columns: entry n of each is about example n. A column of equal entries is a single value.
"""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evaluate.methods import Method, aligned
from evaluate.report.prompt_parts import split_prompt
from evaluate.report.sections import Section
from evaluate.result import Result
from preprocess.files import read_json

UNITS = 1000  # scores are in thousandths of a nat: probabilities are accurate to .1 %
MOST_WORDS = 20  # of a larger label set, only the scores of the best and of the ground truth are stored
KEPT_WORDS = 10


class Places(dict):
    """Numbers things in the order in which they are looked up."""

    def of(self, thing: Hashable) -> int:
        """The number of a thing; a new thing gets the next number."""
        return self.setdefault(thing, len(self))


class Prompts(NamedTuple):
    """A prompt file.

    Args:
        texts: Texts of the examples; None if some are missing.
        rows: Prompt, completion and separator of each example.
    """

    texts: list[str] | None
    rows: list[tuple[str | None, str | None, str | None]]


class Shared(NamedTuple):
    """Things that the results of a set share, numbered.

    Args:
        labels: Classes.
        words: Label sets, as numbers of classes.
        parts: Strings that prompts consist of.
        prompts: Prompts, as numbers of parts.
    """

    labels: Places
    words: Places
    parts: Places
    prompts: Places


def to_set(section: Section, files: dict[str, Prompts]) -> dict[str, Any]:
    """The examples of a section, and the predictions of each draw of its methods and of each order of a draw.

    Args:
        files: Prompt files read so far, by path.
    """
    shared = Shared(Places(), Places(), Places(), Places())
    order = section.order
    for word in order.first.all_label_words:  # classes are in the order of the label words
        shared.labels.of(word)
    texts = next((texts for texts in (texts_of(draw, order, files) for draw in section.results) if texts), None)
    truths = order.first.truths
    methods = [
        {
            "name": name,
            "draws": [to_draw(draw, order, shared, files) for draw in method.draws],
            "orders": [to_draw(draw, order, shared, files) for draw in method.orders],
        }
        for name, method in zip(section.names, section.methods, strict=True)
    ]
    return {
        "name": section.title,
        "best": section.best,
        "ids": order.ids,
        "texts": texts,
        "truths": None if truths is None else [shared.labels.of(truth) for truth in truths],
        "methods": methods,
        "classes": [shared.labels.of(word) for word in section.classes],
        "labels": list(shared.labels),
        "words": list(shared.words),
        "parts": list(shared.parts),
        "prompts": list(shared.prompts),
    }


def to_draw(draw: Result, order: Method, shared: Shared, files: dict[str, Prompts]) -> dict[str, Any]:
    """The predictions of one draw, with examples in the order of `order`."""
    places = aligned(draw, order.ids, np.arange(len(draw.rows))).tolist()
    rows = [draw.rows[place] for place in places]
    cut = set(draw.meta.get("cut") or ())
    return {
        "name": name_of_draw(draw),
        "predictions": [-1 if row["prediction"] is None else shared.labels.of(row["prediction"]) for row in rows],
        "right": None if draw.truths else "".join("1" if row["correct"] else "0" for row in rows),
        **to_scores(draw, places, shared),
        "generations": generations(rows),
        "prompts": to_prompts(draw, places, shared, files),
        "cut": [number for number, row in enumerate(rows) if row["id"] in cut],
    }


def name_of_draw(draw: Result) -> str:
    """The name of a draw, or of an order of its demonstrations."""
    name = "one draw" if draw.seed is None else f"seed {draw.seed}"
    return f"{name}, order {draw.order}" if draw.order else name


def to_scores(draw: Result, places: Sequence[int], shared: Shared) -> dict[str, Any]:
    """Label words and scores of all examples, concatenated. Of a large label set only some are kept; `norms` is the
    logarithm of the sum over all words. The scores of example n begin at `starts[n]`; None: all have the same words."""
    if draw.scores is None:
        return {"words": None, "scores": None, "starts": None, "norms": None}
    label_words = draw.label_words
    if len({id(words) for words in label_words}) == 1 and len(label_words[0]) <= MOST_WORDS:
        words = shared.words.of(tuple(map(shared.labels.of, label_words[0])))
        return {"words": words, "scores": units(np.array(draw.scores)[places].ravel()), "starts": None, "norms": None}
    words, scores, starts, norms = [], [], [0], []
    for place in places:
        own, values = label_words[place], np.array(draw.scores[place])
        kept = worth_showing(values, None if draw.truth_places is None else draw.truth_places[place])
        words.append(shared.words.of(tuple(shared.labels.of(own[n]) for n in kept)))
        scores += units(values[kept])
        starts.append(len(scores))
        norms += units(np.logaddexp.reduce(values, keepdims=True))
    column = constant(words)
    return {"words": column, "scores": scores, "starts": starts if column is words else None, "norms": norms}


def units(values: np.ndarray) -> list[int]:
    """Scores in nats as whole numbers of thousandths."""
    return np.rint(values * UNITS).astype(int).tolist()


def worth_showing(values: np.ndarray, truth: int | None) -> list[int]:
    """Indices of the label words to keep: all of a small set, else the best and the ground truth."""
    if len(values) <= MOST_WORDS:
        return list(range(len(values)))
    best = np.argsort(-values, kind="stable")[:KEPT_WORDS].tolist()
    return list(dict.fromkeys([*best, *([] if truth is None else [truth])]))


def generations(rows: Sequence[dict[str, Any]]) -> list[str] | None:
    """The generated texts; None if the method does not generate."""
    texts = [row.get("generation") for row in rows]
    return texts if all(isinstance(text, str) for text in texts) else None


def to_prompts(draw: Result, places: Sequence[int], shared: Shared, files: dict[str, Prompts]) -> Any:
    """Number of the prompt of each example; None without the prompt file."""
    found = prompts_of(draw, files)
    if found is None:
        return None
    numbers: dict[tuple, int | None] = {}
    for row in dict.fromkeys(found.rows):
        prompt, completion, separator = row
        parts = () if prompt is None else split_prompt(prompt, draw.prompt_meta)
        around = (shared.parts.of(completion or ""), shared.parts.of(separator) if separator is not None else -1)
        named = tuple((kind, shared.parts.of(text)) for kind, text in parts)
        numbers[row] = None if prompt is None else shared.prompts.of((named, *around))
    return constant([numbers[found.rows[place]] for place in places])


def prompts_of(draw: Result, files: dict[str, Prompts]) -> Prompts | None:
    """The prompt file of a result, whose hash `read_results` has checked; None if it is not available."""
    path = draw.meta.get("prompt_path")
    if not path or not Path(path).is_file():
        return None
    if path not in files:
        rows = read_json(path, "prompt_path")
        texts = [row.get("text") for row in rows]
        complete = all(isinstance(text, str) for text in texts)
        fields = [tuple(map(row.get, ("prompt", "completion", "separator"))) for row in rows]
        files[path] = Prompts(texts if complete else None, fields)
    return files[path]


def texts_of(draw: Result, order: Method, files: dict[str, Prompts]) -> list[str] | None:
    """Texts in the order of `order`; None if not available."""
    found = prompts_of(draw, files)
    if found is None or found.texts is None:
        return None
    return [found.texts[place] for place in aligned(draw, order.ids, np.arange(len(draw.rows))).tolist()]


def constant(values: Sequence[Any]) -> Any:
    """A single value if all are equal; None if there are none."""
    return next(iter(values), None) if len(set(values)) < 2 else values
