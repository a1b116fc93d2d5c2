"""What every kind of tokenizer offers, and which kind a file is of."""

from pathlib import Path
from typing import Any, Protocol

from llama.errors import CheckpointError
from llama.formats.files import check_pointer


class Backend(Protocol):
    """Text to ids and back. What is written like a special token in a text is text."""

    files: tuple[Path, ...]  # what it was made from
    n_words: int  # ids, the special ones included
    bos_id: int | None  # put before a context; None: this kind puts nothing there
    eos_id: int  # scored after a completion
    end_ids: frozenset[int]  # each ends a generation

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, which is valid Unicode, without any that stand for its begin or end."""

    def decode(self, ids: list[int]) -> str:
        """Text of `ids`, without special tokens."""

    def texts(self) -> list[str] | None:
        """For each id roughly what it stands for, with its spaces and line breaks.

        None where the ids of a text are not those of its parts, whatever the tokens: the best path of a unigram model
        has ties, which the sum over the whole text breaks; an added token may take the spaces beside it.
        """


def open_backend(path: Path) -> Backend:
    """The tokenizer in one file: tokenizer.json, tiktoken's ranks or a sentencepiece model.

    Raises:
        CheckpointError: It is none of these, or its package is not installed.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such tokenizer file (`tokenizer_path`)")
    check_pointer(path)
    content = path.read_bytes()
    if content.lstrip().startswith(b"{"):
        from llama.tokenizers.hugging_face import HuggingFaceBackend

        return HuggingFaceBackend(path)
    if is_ranks(content):
        from llama.tokenizers.tiktoken import TiktokenBackend

        return TiktokenBackend(path)
    from llama.tokenizers.sentencepiece import SentencePieceBackend

    return SentencePieceBackend(path)


def is_ranks(content: bytes) -> bool:
    """Whether a file begins with a line of base64 and a rank, as tiktoken's do."""
    parts = content[:1000].split(b"\n", 1)[0].split()
    return len(parts) == 2 and parts[1].isdigit()


def content_of(token: Any) -> str | None:
    """A special token's text; configurations hold it as it is, or as an object."""
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else None
