"""Content-free prompts, whose scores show the model's bias."""

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
RANDOM_TEXTS = 20  # for domain calibration, as in the paper

Key = tuple[str, str, str, tuple[str, ...]]


def without_text(prompt: Prompt) -> Key:
    """The key of a content-free score: the prompt without its text."""
    return prompt.prompt, prompt.separator, prompt.completion, prompt.label_words


def with_texts(prompts: Sequence[Prompt], texts: Sequence[str]) -> dict[Key, list[Prompt]]:
    """Each distinct prompt with each of `texts` instead of its own text."""
    return {without_text(prompt): [replace(prompt, text=text) for text in texts] for prompt in prompts}


def read_texts(path: str) -> list[str]:
    """The texts of a JSON file; the default texts if `path` is empty.

    Raises:
        InputError: The file is not a list of texts, or the list is empty.
    """
    if not path:
        return list(DEFAULT_TEXTS)
    texts = read_json(Path(path), "--content_free")
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise InputError(f'{path}: expected a JSON list of texts, as ["N/A", "", "[MASK]"] (--content_free)')
    return [text.strip() for text in texts]


def by_id(prompts: Sequence[Prompt]) -> list[int]:
    """Indices sorted by id, so that a draw does not depend on the order of the examples."""
    return sorted(range(len(prompts)), key=lambda number: prompts[number].id)


def random_texts(prompts: Sequence[Prompt], seed: int) -> list[str]:
    """Texts of words drawn from all texts, with the average length of a text (Fei et al. 2023)."""
    words = [word for number in by_id(prompts) for word in prompts[number].text.split()]
    if not words:
        raise InputError("--method domain: the texts of the prompt file contain no words to draw")
    length = max(1, round(len(words) / len(prompts)))
    generator = np.random.default_rng(seed)
    return [
        " ".join(words[place] for place in generator.integers(len(words), size=length)) for _ in range(RANDOM_TEXTS)
    ]


def premises(prompts: Sequence[Prompt], premise: str, path: str) -> dict[Key, list[Prompt]]:
    """For each distinct prompt, a prompt that consists of its end alone.

    Args:
        premise: The text to use instead; "": the text after the last {text}.
        path: The prompt file, for messages.

    Raises:
        InputError: There is no text after {text}.
    """
    prompts_of = {}
    for prompt in prompts:
        end = premise or prompt.prompt.rpartition(TEXT)[2].strip()
        if not end:
            raise InputError(f"{path}: id {prompt.id!r}: no text after {TEXT} in its prompt; give a --premise")
        prompts_of[without_text(prompt)] = [replace(prompt, prompt=TEXT, text=end)]
    return prompts_of
