"""The tiny checkpoint's own sentencepiece model."""

import io
from collections.abc import Iterable
from pathlib import Path

import sentencepiece

from preprocess.errors import InputError
from preprocess.files import write_bytes


def train_tokenizer(texts: Iterable[str], path: Path, vocab_size: int) -> None:
    """Train byte-pair encoding with LLaMA's settings: byte fallback, single digits, no normalisation.

    Normalisation, including `remove_extra_whitespaces`, is off, because it would remove newlines and repeated spaces.
    A newline is a token of its own, because prompts consist of lines.

    Raises:
        InputError: The texts do not allow so many tokens, or so few.
    """
    model = io.BytesIO()
    try:
        train(texts, model, vocab_size)
    except RuntimeError as error:
        raise InputError(f"--vocab_size {vocab_size}: {str(error).rpartition('] ')[2] or 'too small'}") from None
    write_bytes(path, model.getvalue())


def train(texts: Iterable[str], model: io.BytesIO, vocab_size: int) -> None:
    """Train on the texts, and write the model."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        model_type="bpe",
        vocab_size=vocab_size,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        user_defined_symbols=["\n"],
        character_coverage=0.9999,
        max_sentence_length=20_000,
        num_threads=2,
        minloglevel=2,
    )
