"""The interface of tokenizer backends, and what they share."""

from pathlib import Path
from typing import Any, Protocol


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


def content_of(token: Any) -> str | None:
    """The text of a special token in a configuration, where it is a string or an object; None if it is neither."""
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else None
