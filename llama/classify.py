"""Texts and label words in, labels and probabilities out: direct and channel for people who import this package."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from llama.corrections import divide, divide_by_batch, normalise
from llama.prompts import build_requests, fit
from llama.scoring import Request
from llama.templates import LABEL_WORD, TEXT, Opened, read_template
from llama.tokenizer import Tokenizer

METHODS = ("direct", "channel")
CALIBRATIONS = (None, "contextual", "batch")
CONTENT_FREE = "N/A"  # Zhao et al. 2021


@dataclass(frozen=True)
class Classification:
    """What was found for N texts and C label words.

    Args:
        labels: The most probable label word of each text; the first among equals.
        probabilities: (N, C), each row sums to 1; calibrated where that was asked for.
        log_probs: (N, C) in nats, as scored: of each label word (direct), or of the text after it (channel).
        cut: Places of the texts that were too long and lost words at their end.
    """

    labels: list[str]
    probabilities: np.ndarray
    log_probs: np.ndarray
    cut: list[int]


@dataclass(frozen=True)
class Question:
    """How texts are asked about.

    Args:
        label_words: At least two.
        prompt: A template (see `llama.templates`), or what stands before its label word, or before its text.
        method: direct or channel.
        demonstrations: Pairs of a text and its label word.
        separator: Stands between the prompt and what follows it, where the prompt is no whole template.

    Raises:
        ValueError: Something is missing or unknown.
    """

    label_words: tuple[str, ...]
    prompt: str
    method: str
    demonstrations: tuple[tuple[str, str], ...]
    separator: str

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method {self.method!r}: expected {' or '.join(METHODS)}")
        words = self.label_words
        read = {unicodedata.normalize("NFC", word.strip()) for word in words}
        if len(words) < 2 or len(read) < len(words) or "" in read:
            raise ValueError(f"label_words {list(words)}: expected at least two that read differently")
        for pair in self.demonstrations:
            if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str) and pair[1] in words):
                raise ValueError(f"demonstrations: found {pair!r}, expected (text, one of {list(words)})")
        self.opened  # noqa: B018 - a prompt that cannot be used is refused before anything is computed

    @cached_property
    def opened(self) -> Opened:
        """Prompt, completion and separator of an example, after the demonstrations."""
        missing = [field for field in (TEXT, LABEL_WORD) if field not in self.prompt]
        source = self.prompt
        if len(missing) == 2:
            raise ValueError(f"prompt {source!r}: expected {TEXT} or {LABEL_WORD} in it")
        if missing:
            kept = source.rstrip(" ") if self.separator == " " else source  # as `Tokenizer.encode_pair` joins them
            source = kept + self.separator + missing[0]
        try:
            shown = [(text.strip(), word) for text, word in self.demonstrations]
            return read_template(source, ["text"], self.label_words).open(self.method, shown)
        except ValueError as error:
            raise ValueError(f"prompt {self.prompt!r}: {error}") from None

    def requests(self, text: str, label_words: Sequence[str], tokenizer: Tokenizer) -> list[Request]:
        """One request a label word."""
        prompt, completion, separator = self.opened
        return build_requests(self.method, tokenizer, prompt, completion, text.strip(), label_words, separator)


def strings(name: str, values: Iterable[str]) -> list[str]:
    """An argument that is a list of strings.

    Raises:
        ValueError: It is one string, which would be taken letter by letter, or holds something else.
    """
    if isinstance(values, str):
        raise ValueError(f"{name} {values!r}: expected a list of strings, found one")
    found = list(values)
    for number, value in enumerate(found):
        if not isinstance(value, str):
            raise ValueError(f"{name}: number {number} is {value!r}, expected a string")
    return found


class Scorer(Protocol):
    """What `classify` needs of a model: `llama.llama.LLaMA`."""

    tokenizer: Tokenizer
    max_seq_len: int

    def sum_log_probs(self, requests: Sequence[Request], score_eos: bool) -> list[float]: ...


def classify(
    llama: Scorer, texts: Sequence[str], question: Question, calibrate: str | None, score_eos: bool
) -> Classification:
    """See `llama.llama.LLaMA.classify`."""
    if calibrate not in CALIBRATIONS:
        raise ValueError(f"calibrate {calibrate!r}: expected None, 'contextual' or 'batch'")
    if calibrate == "contextual" and question.method == "channel":
        raise ValueError("calibrate 'contextual': belongs to the direct method; channel takes 'batch'")
    free = [CONTENT_FREE] * (calibrate == "contextual")
    requests, cut = encode(llama, [*texts, *free], question)
    if len(texts) in cut:
        raise ValueError(f"prompt: leaves no room for {CONTENT_FREE!r} within {llama.max_seq_len} tokens")
    sums = llama.sum_log_probs(requests, score_eos)
    log_probs = np.array(sums).reshape(-1, len(question.label_words))
    scored, bias = log_probs[: len(texts)], log_probs[len(texts) :]
    if calibrate == "contextual":
        corrected = divide(scored, bias)
    else:
        corrected = divide_by_batch(scored) if calibrate == "batch" and len(texts) else normalise(scored)
    labels = [question.label_words[place] for place in corrected.argmax(axis=1)]
    return Classification(labels, np.exp(corrected), scored, cut)


def encode(llama: Scorer, texts: Sequence[str], question: Question) -> tuple[list[Request], list[int]]:
    """The requests of all texts, and which texts were cut."""
    requests: list[Request] = []
    cut = []
    for number, text in enumerate(texts):
        built, was_cut = fit(
            lambda part, words: question.requests(part, words, llama.tokenizer),
            text,
            question.label_words,
            llama.max_seq_len,
        )
        if built is None:
            raise ValueError(f"prompt: with the demonstrations it is longer than {llama.max_seq_len} tokens")
        requests += built
        cut += [number] * was_cut
    return requests, cut
