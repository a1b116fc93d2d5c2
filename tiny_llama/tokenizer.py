"""The tiny checkpoint's own sentencepiece model."""

import io
from collections.abc import Iterable
from pathlib import Path

import sentencepiece

from preprocess.files import write_bytes


def train_tokenizer(texts: Iterable[str], path: Path, vocab_size: int) -> None:
    """Byte-pair encoding as LLaMA's: byte fallback, digits apart, no normalisation.

    `remove_extra_whitespaces` is off, as is every normalisation: by default newlines and repeated spaces would be lost.
    A newline is a piece of its own, since prompts are made of lines.
    """
    model = io.BytesIO()
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
    write_bytes(path, model.getvalue())
