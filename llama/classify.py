"""Classification of texts from Python, by the direct and the channel method."""

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
    """The result for N texts and C label words.

    Args:
        labels: The most probable label word of each text; ties go to the first.
        probabilities: (N, C), each row sums to 1; calibrated if requested.
        log_probs: (N, C) in nats, before calibration: of each label word (direct), or of the text after it (channel).
        cut: Indices of the texts that were too long and were cut at their end.
    """

    labels: list[str]
    probabilities: np.ndarray
    log_probs: np.ndarray
    cut: list[int]


@dataclass(frozen=True)
class Question:
    """The prompt, label words and method of a classification.

    Args:
        label_words: At least two.
        prompt: A template (see `llama.templates`), or its beginning up to the label word or the text.
        method: direct or channel.
        demonstrations: Pairs of a text and its label word.
        separator: The text between the prompt and its continuation, if the prompt is not a whole template.

    Raises:
        ValueError: An argument is invalid; the message names it.
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
        self.opened  # noqa: B018 - an invalid prompt is refused before anything is computed

    @cached_property
    def opened(self) -> Opened:
        """Prompt, completion and separator of an example, after the demonstrations."""
        missing = [field for field in (TEXT, LABEL_WORD) if field not in self.prompt]
        source = self.prompt
        if len(missing) == 2:
            raise ValueError(f"prompt {source!r}: expected it to contain {TEXT} or {LABEL_WORD}")
        if missing:
            kept = source.rstrip(" ") if self.separator == " " else source  # as `Tokenizer.encode_pair` joins them
            source = kept + self.separator + missing[0]
        try:
            shown = [(text.strip(), word) for text, word in self.demonstrations]
            return read_template(source, ["text"], self.label_words).open(self.method, shown)
        except ValueError as error:
            raise ValueError(f"prompt {self.prompt!r}: {error}") from None

    def requests(self, text: str, label_words: Sequence[str], tokenizer: Tokenizer) -> list[Request]:
        """One request for each label word."""
        prompt, completion, separator = self.opened
        return build_requests(self.method, tokenizer, prompt, completion, text.strip(), label_words, separator)


def strings(name: str, values: Iterable[str]) -> list[str]:
    """`values` as a list of strings; `name` is the argument in messages.

    Raises:
        ValueError: It is a single string, which would be iterated by character, or contains other types.
    """
    if isinstance(values, str):
        raise ValueError(f"{name} {values!r}: expected a list of strings, found a single string")
    texts = list(values)
    for number, value in enumerate(texts):
        if not isinstance(value, str):
            raise ValueError(f"{name}: item {number} is {value!r}, expected a string")
    return texts


class Scorer(Protocol):
    """The part of `llama.llama.LLaMA` that `classify` uses."""

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
        raise ValueError("calibrate 'contextual': supported only for the direct method; use 'batch' for channel")
    free = [CONTENT_FREE] * (calibrate == "contextual")
    requests, cut = encode(llama, [*texts, *free], question)
    if len(texts) in cut:
        raise ValueError(f"prompt: too long; {CONTENT_FREE!r} does not fit within {llama.max_seq_len} tokens")
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
    """The requests of all texts, and the indices of the texts that were cut."""
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
            raise ValueError(f"prompt: longer than {llama.max_seq_len} tokens with its demonstrations")
        requests += built
        cut += [number] * was_cut
    return requests, cut
