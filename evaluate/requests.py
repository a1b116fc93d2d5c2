"""Prompts to requests: fields filled, text encoded, over-long texts cut. Below here nothing knows the method."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from llama import Request, Tokenizer
from llama.parallel import is_rank_0
from preprocess.errors import InputError
from preprocess.prompts import LABEL_WORD, TEXT, Prompt, fill


@dataclass(frozen=True)
class Encoded:
    """The requests of all examples, in the order of the file.

    Args:
        requests: For each example one request a label word, or the context alone for generate.
        cut: Ids of the examples whose text was too long and lost words at its end.
    """

    requests: list[list[Request]]
    cut: list[str]


def encode(
    prompts: Sequence[Prompt], method: str, tokenizer: Tokenizer, max_seq_len: int, path: str | Path, room: int = 0
) -> Encoded:
    """Encode every example for a method: direct, channel or generate.

    Args:
        max_seq_len: Tokens that the model takes.
        path: Of the prompt file, for the message.
        room: Tokens to keep free after the context (generate).

    Raises:
        InputError: An example that does not fit even without its text.
    """
    requests, cut = [], []
    # A bar where it takes more than a second: a whole test split does.
    for prompt in tqdm(prompts, desc="encoding", unit="example", delay=1, leave=False, disable=not is_rank_0()):

        def build(text: str, prompt: Prompt = prompt) -> list[Request]:
            return build_requests(prompt, text, method, tokenizer)

        built, was_cut = fit(build, prompt.text, max_seq_len - room)
        if built is None:
            needed = longest(build("")) + room
            raise InputError(
                f"{path}: id {prompt.id!r} needs {needed} tokens even without its text,"
                f" --max_seq_len allows {max_seq_len}"
            )
        requests.append(built)
        if was_cut:
            cut.append(prompt.id)
    return Encoded(requests, cut)


def build_requests(prompt: Prompt, text: str, method: str, tokenizer: Tokenizer) -> list[Request]:
    """The requests of one example with `text` as its text: one a label word; for generate the context alone."""
    if method == "generate":
        return [Request(*tokenizer.encode_pair(fill(prompt.prompt, TEXT, text), ""))]
    if method == "direct":
        filled = [(fill(prompt.prompt, TEXT, text), fill(prompt.completion, LABEL_WORD, w)) for w in prompt.label_words]
    else:
        filled = [(fill(prompt.prompt, LABEL_WORD, w), fill(prompt.completion, TEXT, text)) for w in prompt.label_words]
    return [Request(*tokenizer.encode_pair(*pair)) for pair in filled]


def longest(requests: Sequence[Request]) -> int:
    return max(len(request.context) + len(request.target) for request in requests)


def fit(build: Callable[[str], list[Request]], text: str, max_tokens: int) -> tuple[list[Request] | None, bool]:
    """The requests with as many words of `text` as fit, and whether words were cut; None where not even none fits.

    One cut for all label words, so that they are compared on the same text: the longest decides.
    """
    built = build(text)
    if longest(built) <= max_tokens:
        return built, False
    ends = [0, *(word.end() for word in re.finditer(r"\S+", text))]
    # `low` words fit, if any number does; `high` do not. All of them may: without the white space at the end.
    low, high = 0, len(ends)
    while high - low > 1:
        middle = (low + high) // 2
        if longest(build(text[: ends[middle]])) <= max_tokens:
            low = middle
        else:
            high = middle
    built = build(text[: ends[low]])
    return (built, True) if longest(built) <= max_tokens else (None, True)
