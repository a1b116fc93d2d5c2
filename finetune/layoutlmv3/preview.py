"""A preview of the training data: pages with boxes and labels drawn, and one chunk as the model reads it."""

import tempfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from documents.chunks import Chunk, Encoded, chunk_layout
from documents.images import open_image
from documents.layoutlmv3 import chunk_length
from documents.pages import Source
from finetune.drawing import drawn
from finetune.layoutlmv3.model import load_layout
from preprocess.blocks import Block, Page
from preprocess.errors import InputError
from preprocess.files import write_bytes

PAGES, TOKENS = 4, 64  # numbers of pages and tokens that are shown


def show(config: Any, source: Source) -> None:
    """Draw the first train pages into `--preview`, and print the first chunk of the first one.

    Args:
        config: A LayoutLMv3Config.

    Raises:
        InputError: No train page has text, or an image is missing.
    """
    where, flag = (
        (config.pages.train_path, "--train_path") if config.pages.train_path else (source.path, "--dataset_path")
    )
    found = next((pages for split in ("train", "test") if (pages := source.read(where, split, flag, True))), None)
    pages = [page for page in islice(found or (), PAGES) if any(block.text for block in page.blocks)]
    if not pages:
        raise InputError(f"{where}: no page with text in it ({flag})")
    for number, page in enumerate(pages, start=1):
        image = open_image(page.image, page.place)
        rows = [{"label": block.label_word, "box": on_image(block, image.size)} for block in page.blocks]
        path = Path(config.preview) / f"page-{number}.png"
        write_bytes(path, drawn(image, rows))
        print(f"{path}: {page.place}, {len(rows)} texts")
    texts = [block.text for page in pages for block in page.blocks if block.text]
    with tempfile.TemporaryDirectory() as scratch:
        base = load_layout(config.model, source.label_words, texts, Path(scratch))
        length = chunk_length(base.model, base.processor, config.max_length)
    blocks = [block for block in pages[0].blocks if block.text]
    chunk = chunk_layout([Page(blocks, 0)], base.processor.tokenizer, length, config.stride)[0]
    print("\n".join(lines_of(chunk, blocks, source.label_words, base.processor.tokenizer)))


def on_image(block: Block, size: tuple[int, int]) -> tuple[float, ...]:
    """The box of a block, in pixels of an image."""
    return tuple(value * side / 1000 for value, side in zip(block.box, size * 2, strict=True))


def lines_of(chunk: Chunk, blocks: Sequence[Block], label_words: Sequence[str], tokenizer: Any) -> list[str]:
    """A table of the tokens: id, token, box, and the label at positions that classify a block."""
    labels = Encoded([chunk], list(blocks), label_words).rows()[0]["labels"]
    tokens = tokenizer.convert_ids_to_tokens(chunk.input_ids)
    lines = [f"{len(tokens)} tokens", f"{'id':>7}  {'token':<20}  {'box':<22}  label"]
    for number, (token, box, label) in enumerate(zip(tokens, chunk.boxes, labels, strict=True)):
        if number == TOKENS:
            return [*lines, f"... {len(tokens) - TOKENS} more"]
        word = label_words[label] if label >= 0 else ""
        lines.append(f"{chunk.input_ids[number]:>7}  {token:<20}  {' '.join(map(str, box)):<22}  {word}".rstrip())
    return lines
