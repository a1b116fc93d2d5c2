"""Caches the pages and resized images of a run on disk, for resumed runs and all devices."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from transformers.models.layoutlmv3.image_processing_pil_layoutlmv3 import LayoutLMv3ImageProcessorPil

from documents.images import ImageFile, open_image
from documents.layoutlmv3 import pixels
from documents.pages import Keep, Splits
from preprocess.blocks import Block, Page
from preprocess.files import read_json, write_bytes


def prepare(
    read: Callable[[Keep], Splits], image_processor: LayoutLMv3ImageProcessorPil, folder: Path
) -> tuple[Splits, ImageFile]:
    """The pages, with indices as images, and the images.

    Args:
        read: Reads the pages, each converted by the given function.
    """
    images = ImageFile(folder / "prepared.images", image_processor.size["height"])
    path = folder / "prepared.json"
    if not path.exists():

        def keep(page: Page) -> Page:
            image = open_image(page.image, page.place)
            return replace(page, image=images.add(pixels(image_processor, image)))

        with images:
            splits = read(keep)
        write_bytes(path, json.dumps(asdict(splits), ensure_ascii=False).encode())
    return read_prepared(path), images


def read_prepared(path: Path) -> Splits:
    """The pages that `prepare` wrote."""
    stored = read_json(path, "--output_dir")
    for split in ("train", "validation", "test"):
        stored[split] = [
            Page(
                [Block(**block | {"box": tuple(block["box"])}) for block in page["blocks"]],
                page["image"],
                page["place"],
            )
            for page in stored[split]
        ]
    return Splits(**stored)
