"""The examples in parts, which the script of the page loads when a reader needs them.

Each part is JSON, deflated, in base64, which contains no characters with a meaning in HTML or JavaScript.
"""

import base64
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evaluate.report.examples import Places, Prompts, constant, to_set
from evaluate.report.sections import Section

CHARACTERS = 4_000_000  # of the JSON of a part, on average

Set = Mapping[str, Any]  # see `to_set`


def pack(sections: Sequence[Section]) -> dict[str, str]:
    """Name of each part -> its content. The part `sets` describes the sets; `LAYER-SET-NUMBER` is a layer of
    consecutive examples of a set."""
    files: dict[str, Prompts] = {}
    heads, packed = [], {}
    for number, section in enumerate(sections):
        found = to_set(section, files)
        layers = {name: layer for name, layer in LAYERS.items() if name != "texts" or found["texts"]}
        rows = {name: rows_per_part(layer, found) for name, layer in layers.items()}
        heads.append(head(found, rows))
        for name, layer in layers.items():
            for place, begin in enumerate(range(0, len(found["ids"]), rows[name])):
                packed[f"{name}-{number}-{place}"] = deflate(layer(found, begin, begin + rows[name]))
    return {"sets": deflate(heads)} | packed


def deflate(content: Any) -> str:
    """JSON content, deflated, in base64."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    packed = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return base64.b64encode(packed.compress(text.encode()) + packed.flush()).decode()


def rows_per_part(layer: Callable[[Set, int, int], Any], found: Set) -> int:
    """The number of examples in each part of a layer."""
    count = len(found["ids"])
    length = len(json.dumps(layer(found, 0, count), separators=(",", ":")))
    return max(1, count * CHARACTERS // max(length, CHARACTERS))


def head(found: Set, rows: Mapping[str, int]) -> dict[str, Any]:
    """What the page needs before it loads any examples."""
    methods = [{"name": method["name"]} for method in found["methods"]]
    for method, own in zip(found["methods"], methods, strict=True):
        for kind in ("draws", "orders"):
            own[kind] = [{"name": draw["name"], "scored": draw["scores"] is not None} for draw in method[kind]]
    return {
        **{key: found[key] for key in ("name", "best", "classes", "labels")},
        "count": len(found["ids"]),
        "hasTruths": found["truths"] is not None,
        "methods": methods,
        "rows": rows,
    }


def draws_of(found: Set) -> list[dict[str, Any]]:
    """The draws of each method, then its orders, method by method."""
    return [draw for method in found["methods"] for kind in ("draws", "orders") for draw in method[kind]]


def answers(found: Set, begin: int, end: int) -> dict[str, Any]:
    """What the filters need of the examples from `begin` to `end`."""
    draws = draws_of(found)
    return {
        "ids": found["ids"][begin:end],
        "truths": found["truths"] and found["truths"][begin:end],
        "predictions": [draw["predictions"][begin:end] for draw in draws],
        "right": [draw["right"] and draw["right"][begin:end] for draw in draws],
    }


def texts(found: Set, begin: int, end: int) -> list[str]:
    """The texts of the examples from `begin` to `end`."""
    return found["texts"][begin:end]


def details(found: Set, begin: int, end: int) -> dict[str, Any]:
    """What the page shows of an open example, for the examples from `begin` to `end`. Label sets, prompts and their
    parts are only those that occur, so that their number does not grow with the number of examples."""
    words, prompts, parts = Places(), Places(), Places()
    draws = [
        {
            "words": renumbered(draw["words"], begin, end, words),
            "scores": draw["scores"] and draw["scores"][score_range(draw, found["words"], begin, end)],
            "norms": draw["norms"] and draw["norms"][begin:end],
            "generations": draw["generations"] and draw["generations"][begin:end],
            "prompts": renumbered(draw["prompts"], begin, end, prompts),
            "cut": [number - begin for number in draw["cut"] if begin <= number < end],
        }
        for draw in draws_of(found)
    ]
    return {
        "words": [found["words"][number] for number in words],
        "prompts": [own_numbers(found["prompts"][number], parts) for number in prompts],
        "parts": [found["parts"][number] for number in parts],
        "draws": draws,
    }


def renumbered(column: Any, begin: int, end: int, places: Places) -> Any:
    """A part of a column of numbers, each replaced by its place among those that occur."""
    if isinstance(column, list):
        return constant([None if number is None else places.of(number) for number in column[begin:end]])
    return None if column is None else places.of(column)


def own_numbers(prompt: tuple, parts: Places) -> tuple:
    """A prompt with its parts renumbered."""
    named, completion, separator = prompt
    shown = tuple((kind, parts.of(number)) for kind, number in named)
    return shown, parts.of(completion), separator if separator < 0 else parts.of(separator)


def score_range(draw: Mapping[str, Any], words: Sequence[Sequence[int]], begin: int, end: int) -> slice:
    """The place of the scores of the examples from `begin` to `end`."""
    if draw["starts"] is None:
        return slice(begin * len(words[draw["words"]]), end * len(words[draw["words"]]))
    return slice(draw["starts"][begin], draw["starts"][: end + 1][-1])


LAYERS = {"answers": answers, "texts": texts, "details": details}
