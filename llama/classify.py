"""Texts and label words in, labels and probabilities out: direct and channel for people who import this package."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from llama.corrections import divide, divide_by_batch, normalise
from llama.prompts import LABEL_WORD, TEXT, build_requests, fill, fit
from llama.scoring import Request
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
        prompt: Holds {text}, or for channel {label_word}.
        method: direct or channel.
        demonstrations: Pairs of a text and its label word.
        separator: Stands between prompt and completion.

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
        if len(words) < 2 or len(set(words)) < len(words) or not all(isinstance(w, str) and w.strip() for w in words):
            raise ValueError(f"label_words {list(words)}: expected at least two different words")
        for _, word in self.demonstrations:
            if word not in words:
                raise ValueError(f"demonstrations: label word {word!r}, expected one of {list(words)}")
        self.forms  # noqa: B018 - a prompt that cannot be used is refused before anything is computed

    @cached_property
    def forms(self) -> tuple[str, str]:
        """Prompt and completion of one example, with their fields open."""
        if self.method == "direct":
            if TEXT not in self.prompt:
                raise ValueError(f"prompt {self.prompt!r}: has no {TEXT}, which the direct method fills")
            return self.prompt, LABEL_WORD
        if LABEL_WORD in self.prompt:
            return self.prompt, TEXT
        return self.turned()

    def turned(self) -> tuple[str, str]:
        """A prompt of the direct form turned round for channel: the lines that follow the text come before it."""
        before, found, after = self.prompt.rpartition(TEXT)
        rest, line_break, label = after.partition("\n")
        if not found or not line_break:
            raise ValueError(
                f"prompt {self.prompt!r}: the channel method needs {LABEL_WORD} in it, or {TEXT} with a line after it"
            )
        return f"{label}{self.separator}{LABEL_WORD}\n{before.rstrip(' ')}", f"{TEXT}{rest}"

    @cached_property
    def shown(self) -> str:
        """The demonstrations, each with a line break after it."""
        prompt, completion = self.forms
        pairs = ((text, word) if self.method == "direct" else (word, text) for text, word in self.demonstrations)
        fields = (TEXT, LABEL_WORD) if self.method == "direct" else (LABEL_WORD, TEXT)
        return "".join(
            f"{fill(prompt, fields[0], given)}{self.separator}{fill(completion, fields[1], scored)}\n"
            for given, scored in pairs
        )

    def requests(self, text: str, label_words: Sequence[str], tokenizer: Tokenizer) -> list[Request]:
        """One request a label word."""
        prompt, completion = self.forms
        return build_requests(
            self.method, tokenizer, self.shown + prompt, completion, text.strip(), label_words, self.separator
        )


class Scorer(Protocol):
    """What `classify` needs of a model: `llama.llama.LLaMA`."""

    tokenizer: Tokenizer
    max_seq_len: int

    def sum_log_probs(self, requests: Sequence[Request], score_eos: bool) -> list[float]: ...


def classify(
    llama: Scorer, texts: Sequence[str], question: Question, calibrate: str | None, score_eos: bool
) -> Classification:
    """See `llama.llama.LLaMA.classify`."""
    if isinstance(texts, str):
        raise ValueError("texts: expected a list of texts, found one")
    if calibrate not in CALIBRATIONS:
        raise ValueError(f"calibrate {calibrate!r}: expected None, 'contextual' or 'batch'")
    if calibrate == "contextual" and question.method == "channel":
        raise ValueError("calibrate 'contextual': belongs to the direct method; channel takes 'batch'")
    free = [CONTENT_FREE] * (calibrate == "contextual")
    requests, cut = encode(llama, [*texts, *free], question)
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
