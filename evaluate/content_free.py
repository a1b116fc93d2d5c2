"""Prompts that say nothing of an example: what the model answers to them is what it prefers anyway."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from llama.classify import CONTENT_FREE
from llama.templates import TEXT
from preprocess.errors import InputError
from preprocess.files import read_json
from preprocess.prompts import Prompt

DEFAULT_TEXTS = (CONTENT_FREE,)
RANDOM_TEXTS = 20  # of domain calibration, as in the paper

Key = tuple[str, str, str, tuple[str, ...]]


def without_text(prompt: Prompt) -> Key:
    """What a content-free score depends on: the prompt without its text."""
    return prompt.prompt, prompt.separator, prompt.completion, prompt.label_words


def with_texts(prompts: Sequence[Prompt], texts: Sequence[str]) -> dict[Key, list[Prompt]]:
    """Each distinct prompt with each of `texts` in place of its own."""
    return {without_text(prompt): [replace(prompt, text=text) for text in texts] for prompt in prompts}


def read_texts(path: str) -> list[str]:
    """The texts of a JSON list; the default ones without a path.

    Raises:
        InputError: No list of texts, or an empty one.
    """
    if not path:
        return list(DEFAULT_TEXTS)
    texts = read_json(Path(path), "--content_free")
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise InputError(f'{path}: expected a JSON list of texts, as ["N/A", "", "[MASK]"] (--content_free)')
    return [text.strip() for text in texts]


def by_id(prompts: Sequence[Prompt]) -> list[int]:
    """Their places in the order of their ids: the same examples in another order give the same draw."""
    return sorted(range(len(prompts)), key=lambda number: prompts[number].id)


def random_texts(prompts: Sequence[Prompt], seed: int) -> list[str]:
    """Texts of words drawn from those of all texts, as many in each as a text has on average (Fei et al. 2023)."""
    words = [word for number in by_id(prompts) for word in prompts[number].text.split()]
    if not words:
        raise InputError("--method domain: no text of the prompt file holds a word to draw")
    length = max(1, round(len(words) / len(prompts)))
    generator = np.random.default_rng(seed)
    return [
        " ".join(words[place] for place in generator.integers(len(words), size=length)) for _ in range(RANDOM_TEXTS)
    ]


def premises(prompts: Sequence[Prompt], premise: str, path: str) -> dict[Key, list[Prompt]]:
    """For each distinct prompt the one that holds nothing but its end.

    Args:
        premise: To take in its place; "": what follows the last {text}.
        path: Of the prompt file, for the message.

    Raises:
        InputError: Nothing follows.
    """
    found = {}
    for prompt in prompts:
        end = premise or prompt.prompt.rpartition(TEXT)[2].strip()
        if not end:
            raise InputError(f"{path}: id {prompt.id!r}: nothing follows {TEXT} in its prompt; name a --premise")
        found[without_text(prompt)] = [replace(prompt, prompt=TEXT, text=end)]
    return found
