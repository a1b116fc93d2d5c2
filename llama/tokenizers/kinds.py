"""Detects the kind of a tokenizer file, and opens it."""

from pathlib import Path

from llama.errors import CheckpointError
from llama.formats.files import check_pointer
from llama.tokenizers.backend import Backend
from llama.tokenizers.hugging_face import HuggingFaceBackend
from llama.tokenizers.sentencepiece import SentencePieceBackend
from llama.tokenizers.tiktoken import TiktokenBackend


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
        return HuggingFaceBackend(path)
    if is_ranks(content):
        return TiktokenBackend(path)
    return SentencePieceBackend(path)


def is_ranks(content: bytes) -> bool:
    """Whether a file begins with a line of base64 and a rank, tiktoken's format."""
    parts = content[:1000].split(b"\n", 1)[0].split()
    return len(parts) == 2 and parts[1].isdigit()
