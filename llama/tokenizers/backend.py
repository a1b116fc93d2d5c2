"""The interface of tokenizer backends, and how the kind of a file is detected."""

from pathlib import Path
from typing import Any, Protocol

from llama.errors import CheckpointError
from llama.formats.files import check_pointer


class Backend(Protocol):
    """Converts text to ids and back. Special tokens spelled out in a text are ordinary text."""

    files: tuple[Path, ...]  # the files it was read from
    n_words: int  # number of ids, including special ones
    bos_id: int | None  # begins a context; None: this kind has none
    eos_id: int  # scored after a completion
    end_ids: frozenset[int]  # ids that end a generation

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, which is valid Unicode, without BOS and EOS."""

    def decode(self, ids: list[int]) -> str:
        """Text of `ids`, without special tokens."""

    def texts(self) -> list[str] | None:
        """The approximate text of each id, with its spaces and line breaks.

        None if a text cannot be encoded in parts: a unigram model breaks ties by the sum over the whole text, and an
        added token may absorb adjacent spaces.
        """


def open_backend(path: Path) -> Backend:
    """The tokenizer in one file: tokenizer.json, tiktoken's ranks or a sentencepiece model.

    Raises:
        CheckpointError: The file is missing or of another kind, or its package is not installed.
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
    """Whether a file begins with a line of base64 and a rank, tiktoken's format."""
    parts = content[:1000].split(b"\n", 1)[0].split()
    return len(parts) == 2 and parts[1].isdigit()


def content_of(token: Any) -> str | None:
    """The text of a special token in a configuration, where it is a string or an object; None if it is neither."""
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else None
