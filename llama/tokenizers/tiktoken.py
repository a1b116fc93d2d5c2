"""Llama 3's tokenizer in Meta's files: tiktoken's ranks, lines of base64 and a rank."""

import base64
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from llama.errors import CheckpointError
from llama.formats.files import missing_package

SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
SPECIAL_TOKENS = 256  # their ids follow the ranks
SPECIAL = {"begin_of_text": 0, "end_of_text": 1, "eom_id": 8, "eot_id": 9}  # offsets of the ones we use
LONGEST_TEXT = 400_000  # characters; tiktoken panics on longer ones
LONGEST_RUN = 25_000  # characters without a change between space and non-space: tiktoken's time grows with the square
RUN = re.compile(rf"\s{{1,{LONGEST_RUN}}}|\S{{1,{LONGEST_RUN}}}")


class TiktokenBackend:
    """See `llama.tokenizers.backend.Backend`."""

    def __init__(self, path: Path):
        try:
            import tiktoken
        except ImportError:
            raise missing_package("tiktoken", path) from None
        self.files: tuple[Path, ...] = (path,)
        ranks = read_ranks(path)
        first = len(ranks)
        special = {name: first + place for name, place in SPECIAL.items()}
        self.encoding = tiktoken.Encoding("llama3", pat_str=SPLIT, mergeable_ranks=ranks, special_tokens={})
        self.ranks = first
        self.n_words = first + SPECIAL_TOKENS
        self.bos_id: int | None = special["begin_of_text"]
        self.eos_id = special["end_of_text"]
        self.end_ids = frozenset([special["end_of_text"], special["eom_id"], special["eot_id"]])

    def encode(self, text: str) -> list[int]:
        return list(chain.from_iterable(map(self.encoding.encode_ordinary, parts(text))))

    def decode(self, ids: list[int]) -> str:
        return self.encoding.decode([token for token in ids if token < self.ranks], errors="replace")

    def texts(self) -> list[str]:
        """The text of each token."""
        texts = [token.decode("utf-8", "replace") for token in self.encoding.token_byte_values()]
        return texts + [""] * SPECIAL_TOKENS


def read_ranks(path: Path) -> dict[bytes, int]:
    """Token -> rank, which is its id; the ranks are consecutive from 0."""
    ranks = {}
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except ValueError:
            raise CheckpointError(f"{path}: line {number}: expected base64 and a rank, tiktoken's format") from None
    if sorted(ranks.values()) != list(range(len(ranks))):
        raise CheckpointError(f"{path}: the ranks are not 0 to {len(ranks) - 1}, each once: the file is damaged")
    absent = next((byte for byte in range(256) if bytes([byte]) not in ranks), None)
    if absent is not None:
        raise CheckpointError(f"{path}: byte {absent} has no rank: the file is damaged")
    return ranks


def parts(text: str) -> Iterator[str]:
    """`text` in parts that tiktoken can encode, cut as in Meta's own tokenizer: every 400,000 characters, and within
    runs of more than 25,000."""
    for start in range(0, len(text), LONGEST_TEXT):
        yield from cut_runs(text[start : start + LONGEST_TEXT])


def cut_runs(text: str) -> Iterator[str]:
    """`text` cut within runs of spaces, or of other characters, that exceed the maximum length."""
    start, ends = 0, [run.end() for run in RUN.finditer(text) if len(run[0]) == LONGEST_RUN]
    for end in ends:
        if end < len(text) and text[end].isspace() == text[end - 1].isspace():
            yield text[start:end]
            start = end
    yield text[start:]
