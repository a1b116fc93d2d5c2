"""A prompt file to requests, with texts cut that are too long."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from llama import Request, Tokenizer
from llama.parallel import is_rank_0
from llama.prompts import build_requests
from preprocess.errors import InputError
from preprocess.prompts import Prompt


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

        def build(text: str, words: Sequence[str], prompt: Prompt = prompt) -> list[Request]:
            return build_requests(method, tokenizer, prompt.prompt, prompt.completion, text, words, prompt.separator)

        built, was_cut = fit(build, prompt.text, prompt.label_words, max_seq_len - room)
        if built is None:
            needed = max(map(length, build("", prompt.label_words))) + room
            raise InputError(
                f"{path}: id {prompt.id!r} needs {needed} tokens even without its text,"
                f" --max_seq_len allows {max_seq_len}"
            )
        requests.append(built)
        if was_cut:
            cut.append(prompt.id)
    return Encoded(requests, cut)


def length(request: Request) -> int:
    return len(request.context) + len(request.target)


def fit(
    build: Callable[[str, Sequence[str]], list[Request]], text: str, label_words: Sequence[str], max_tokens: int
) -> tuple[list[Request] | None, bool]:
    """The requests with as many words of `text` as fit, and whether words were cut; None where not even none fits.

    One cut for all label words, so that they are compared on the same text: the longest decides.

    Args:
        build: Gives the requests of a text with some label words.
    """

    def fits(text: str, word: str) -> bool:
        return max(map(length, build(text, [word]))) <= max_tokens

    word = label_words[0]
    if fits(text, word):
        built = build(text, label_words)
        lengths = list(map(length, built))
        if max(lengths) <= max_tokens:
            return built, False
        word = label_words[lengths.index(max(lengths))]
    ends = [0, *(word.end() for word in re.finditer(r"\S+", text))]
    high = len(ends)
    while high:
        # `low` words fit with this label word, if any number does; `high` do not. All of them may: without the white
        # space at the end.
        low = 0
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(text[: ends[middle]], word) else (low, middle)
        built = build(text[: ends[low]], label_words)
        lengths = list(map(length, built))
        if max(lengths) <= max_tokens:
            return built, True
        word, high = label_words[lengths.index(max(lengths))], low  # a longer one
    return None, True
