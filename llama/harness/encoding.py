"""Encoding of texts as in lm-evaluation-harness's model `hf`, for equal results.

Tokenizers of Hugging Face folders are loaded with transformers, which recognizes special tokens in a text, as chat
templates require. Other checkpoints use the engine's tokenizers.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import transformers

from llama.checkpoint import Checkpoint
from llama.errors import CheckpointError
from llama.formats.files import first_line
from llama.formats.folder import HUGGING_FACE_TOKENIZERS
from llama.tokenizer import Tokenizer
from llama.tokenizers.hugging_face import token_texts


class TransformersBackend:
    """A tokenizer of transformers as a `llama.tokenizers.backend.Backend` that recognizes special tokens in a text."""

    def __init__(self, theirs: Any, files: tuple[Path, ...]):
        self.theirs = theirs
        self.files = files
        self.n_words = 1 + max(theirs.get_vocab().values())
        self.bos_id: int | None = theirs.bos_token_id
        self.eos_id: int = theirs.eos_token_id
        self.end_ids = frozenset([self.eos_id])

    def encode(self, text: str) -> list[int]:
        return self.theirs.encode(text, add_special_tokens=False)

    def decode(self, ids: list[int]) -> str:
        return self.theirs.decode(ids, skip_special_tokens=True)

    def texts(self) -> list[str] | None:
        backend = getattr(self.theirs, "backend_tokenizer", None)
        return None if backend is None else token_texts(backend)


class Encoding:
    """Encoding and decoding of texts.

    Args:
        tokenizer: Encodes parts that texts have in common once.
        theirs: The tokenizer of transformers; None: `tokenizer` is the engine's own.
        add_bos_token: Whether to put BOS before a text; None: the tokenizer's default.
    """

    def __init__(self, tokenizer: Tokenizer, theirs: Any = None, add_bos_token: bool | None = None):
        self.tokenizer = tokenizer
        self.theirs = theirs
        self.add_bos_token = add_bos_token
        if theirs is None:
            if add_bos_token and tokenizer.bos_id is None:
                raise CheckpointError("`add_bos_token` True: the tokenizer has no BOS token")
            self.before = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
            self.after: list[int] = []
        else:
            self.before, self.after = added_tokens(theirs)
        self.prefix_id: int = tokenizer.eos_id if tokenizer.bos_id is None else tokenizer.bos_id
        self.prefix = None if theirs is None else self.decode([self.prefix_id], skip_special_tokens=False)

    def encode(self, text: str, add_special_tokens: bool | None = None) -> list[int]:
        """Ids of `text`.

        Args:
            add_special_tokens: Whether to add what the tokenizer puts before and after a text; None: as
                `add_bos_token` says, and not if the text already begins with BOS, like one from a chat template.
        """
        ids = list(self.tokenizer.encode(text))
        if add_special_tokens is None:
            there = self.prefix is not None and text.startswith(self.prefix)
            add_special_tokens = self.add_bos_token is not False and not there
        return [*self.before, *ids, *self.after] if add_special_tokens else ids

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        if self.theirs is None:
            return self.tokenizer.decode(ids)
        return self.theirs.decode(list(ids), skip_special_tokens=skip_special_tokens)


def added_tokens(theirs: Any) -> tuple[list[int], list[int]]:
    """The ids that a tokenizer of transformers puts before and after a text."""
    alone, whole = (theirs.encode("a", add_special_tokens=added) for added in (False, True))
    starts = [start for start in range(len(whole)) if whole[start : start + len(alone)] == alone]
    if not starts:
        raise CheckpointError(
            f"{theirs.name_or_path}: its tokenizer encodes a text differently when it adds special tokens"
        )
    return whole[: starts[0]], whole[starts[0] + len(alone) :]


def open_encoding(checkpoint: Checkpoint, add_bos_token: bool | None = None) -> Encoding:
    """The encoding of a checkpoint.

    Args:
        add_bos_token: Whether to put BOS before a text; None: the tokenizer's default.

    Raises:
        CheckpointError: transformers cannot load the tokenizer of a Hugging Face folder.
    """
    path = checkpoint.tokenizer.backend.files[0]
    if checkpoint.files[0].name != "config.json":  # Meta's format, which transformers does not read
        return Encoding(checkpoint.tokenizer, None, add_bos_token)
    if path.name not in HUGGING_FACE_TOKENIZERS:
        names = " or ".join(HUGGING_FACE_TOKENIZERS)
        raise CheckpointError(f"`tokenizer_path` {path}: expected a file {names}, which transformers reads")
    asked = {} if add_bos_token is None else {"add_bos_token": add_bos_token}
    try:
        theirs = transformers.AutoTokenizer.from_pretrained(path.parent, trust_remote_code=False, **asked)
    except Exception as error:  # of any type, depending on the file
        raise CheckpointError(f"{path}: transformers cannot load it: {first_line(error)}") from None
    if theirs.eos_token_id is None:
        raise CheckpointError(f"{path.parent}: transformers finds no eos_token in tokenizer_config.json")
    return Encoding(Tokenizer(TransformersBackend(theirs, (path,))), theirs, add_bos_token)
