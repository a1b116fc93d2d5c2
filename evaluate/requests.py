"""Requests of a prompt file; texts that are too long are cut."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tqdm import tqdm

from llama import Request, Tokenizer, collector
from llama.parallel import Launch, is_rank_0
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


@collector.paused()
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


Packed = list[list[tuple[bytes, ...]]]  # for each request the bytes of its ids


@collector.paused()
def encode_together(
    launch: Launch,
    prompts: Sequence[Prompt],
    method: str,
    tokenizer: Tokenizer,
    max_seq_len: int,
    path: str | Path,
    room: int = 0,
) -> Encoded:
    """The same as `encode`, by all processes: each encodes a part of the examples and gets those of the others.

    Raises:
        InputError: The first error in the order of the file, on all ranks.
    """
    if launch.world_size == 1:
        return encode(prompts, method, tokenizer, max_seq_len, path, room)
    begin, end = (len(prompts) * number // launch.world_size for number in (launch.rank, launch.rank + 1))
    own, error = Encoded([], []), None
    try:
        own = encode(prompts[begin:end], method, tokenizer, max_seq_len, path, room)
    except InputError as raised:
        error = raised
    parts = launch.share((pack(own.requests), own.cut, error))
    for _, _, error in parts:
        if error is not None:
            raise error
    requests = unpack([example for packed, _, _ in parts for example in packed], tokenizer.ids)
    return Encoded(requests, [name for _, cut, _ in parts for name in cut])


def pack(requests: Sequence[Sequence[Request]]) -> Packed:
    """Requests to send: tuples of ids as bytes, each object once."""
    packed: dict[int, bytes] = {}
    for ids in (ids for example in requests for request in example for ids in request):
        if id(ids) not in packed:
            packed[id(ids)] = array("i", ids).tobytes()
    return [[tuple(packed[id(ids)] for ids in request) for request in example] for example in requests]


def unpack(packed: Packed, ids: Sequence[int]) -> list[list[Request]]:
    """The requests that were packed; equal tuples of ids are one object.

    Args:
        ids: The object of each id.
    """

    @cache
    def read(content: bytes) -> tuple[int, ...]:
        return tuple(map(ids.__getitem__, array("i", content)))

    return [[Request(*map(read, request)) for request in example] for example in packed]
