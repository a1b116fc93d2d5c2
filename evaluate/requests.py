"""Requests of a prompt file; texts that are too long are cut."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from llama import Request, Tokenizer
from llama.parallel import is_rank_0
from llama.prompts import build_requests, fit
from preprocess.errors import InputError
from preprocess.prompts import Prompt


@dataclass(frozen=True)
class Encoded:
    """The requests of all examples, in the order of the file.

    Args:
        requests: For each example one request for each label word, or the context alone for generate.
        cut: Ids of the examples whose text was cut.
    """

    requests: list[list[Request]]
    cut: list[str]


def encode(
    prompts: Sequence[Prompt], method: str, tokenizer: Tokenizer, max_seq_len: int, path: str | Path, room: int = 0
) -> Encoded:
    """Encode every example for a method: direct, channel or generate.

    Args:
        method: direct, channel or generate.
        max_seq_len: Maximum number of tokens.
        path: The prompt file, for messages.
        room: Tokens to keep free after the context (generate).

    Raises:
        InputError: An example does not fit even without its text.
    """
    requests, cut = [], []
    # The progress bar appears after a second.
    for prompt in tqdm(prompts, desc="encoding", unit="example", delay=1, leave=False, disable=not is_rank_0()):

        def build(text: str, words: Sequence[str], prompt: Prompt = prompt) -> list[Request]:
            return build_requests(method, tokenizer, prompt.prompt, prompt.completion, text, words, prompt.separator)

        built, was_cut = fit(build, prompt.text, prompt.label_words, max_seq_len - room)
        if built is None:
            needed = max(request.length for request in build("", prompt.label_words)) + room
            raise InputError(
                f"{path}: id {prompt.id!r} needs {needed} tokens even without its text,"
                f" --max_seq_len allows {max_seq_len}" + f", including --max_gen_len {room}" * (room > 0)
            )
        if method == "direct" and not all(request.target for request in built):
            empty = next(word for word, request in zip(prompt.label_words, built, strict=True) if not request.target)
            raise InputError(f"{path}: id {prompt.id!r}: the tokenizer encodes the label word {empty!r} as no tokens")
        requests.append(built)
        if was_cut:
            cut.append(prompt.id)
    return Encoded(requests, cut)
