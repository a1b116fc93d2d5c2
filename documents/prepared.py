"""Caches the pages and resized images of a run on disk, for resumed runs and all devices."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from transformers.models.layoutlmv3.image_processing_pil_layoutlmv3 import LayoutLMv3ImageProcessorPil

from documents.images import ImageFile, open_image
from documents.layoutlmv3 import pixels
from documents.pages import Keep, Splits
from preprocess.blocks import Block, Page
from preprocess.errors import InputError
from preprocess.files import read_json, write_bytes
from preprocess.seals import CHANGED, hash_of


def prepare(
    read: Callable[[Keep], Splits], image_processor: LayoutLMv3ImageProcessorPil, folder: Path
) -> tuple[Splits, ImageFile]:
    """Read the pages, or their cached copy; returns pages whose `image` is an index, and the images.

    Args:
        read: Reads the pages and converts each with the function that it is given.
    """
    images = ImageFile(folder / "prepared.images", image_processor.size["height"])
    path = folder / "prepared.json"
    if not path.exists():

        def keep(page: Page) -> Page:
            image = open_image(page.image, page.place)
            return replace(page, image=images.add(pixels(image_processor, image)))

        with images:
            splits = read(keep)
        stored = {"images_sha256": hash_of(images.path), "splits": asdict(splits)}
        write_bytes(path, encoded(stored | {"sha256": sha256(stored)}))
    return read_prepared(path, images), images


def encoded(content: dict[str, Any]) -> bytes:
    """JSON in UTF-8; lone surrogates, which a text may contain, are kept."""
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogatepass")


def sha256(content: dict[str, Any]) -> str:
    """The hash of the encoded content."""
    return hashlib.sha256(encoded(content)).hexdigest()


def read_prepared(path: Path, images: ImageFile) -> Splits:
    """The pages that `prepare` wrote.

    Raises:
        InputError: One of the two files has changed.
    """
    whole = read_json(path, "--output_dir")
    keys = ("images_sha256", "splits")
    content = {key: whole[key] for key in keys if key in whole} if isinstance(whole, dict) else {}
    if not content or sha256(content) != whole.get("sha256"):
        raise InputError(f"{path}: {CHANGED}")
    if not images.path.is_file() or hash_of(images.path) != content["images_sha256"]:
        raise InputError(f"{images.path}: {CHANGED}")
    stored = content["splits"]
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
